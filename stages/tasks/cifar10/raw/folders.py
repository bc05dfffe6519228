"""A folder for each class, as in fast.ai's cifar10.tgz: train/<class>/*.png and test/<class>/*.png."""

import re
from collections.abc import Iterator

from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.images.raw.packing import Item
from stages.tasks.cifar10 import CLASSES
from stages.tasks.cifar10.raw.png import decode

MEMBER = re.compile(rf"(?:.*/)?(train|test)/({'|'.join(CLASSES)})/([^/]+)\.png", re.IGNORECASE)
NAME = "CIFAR-10, a folder for each class (fast.ai)"
IGNORED = r"(.*/)?labels\.txt"  # the class names, as in the folders


def holds(names: list[str]) -> bool:
    """Whether these files are of this layout."""
    return any(MEMBER.fullmatch(name) for name in names)


def read(archives: list[Archive]) -> Iterator[Item]:
    """Yield every image. The test folder is both the labelled dev split and, numbered from 1 by file name, the test split.

    Raises InputError if there is no test folder.
    """
    seen: set[tuple[str, str]] = set()
    tests = sorted(
        (match[3], match[2])
        for archive in archives
        for match in map(MEMBER.fullmatch, archive.names)
        if match and match[1].lower() == "test"
    )
    if not tests:
        raise InputError(f"{archives[0].path.parent}: found train/<class>/*.png but no test/<class>/*.png, the dev split")
    numbers = {name: str(index + 1) for index, name in enumerate(tests)}
    for archive in archives:
        for member, content in archive.members({name for name in archive.names if holds([name])}):
            match = MEMBER.fullmatch(member)
            assert match is not None
            split, label, name = match[1].lower(), CLASSES.index(match[2].lower()), f"{match[2]}/{match[3]}"
            where, (image, problem) = f"{archive.path}: {member}", decode(content)
            is_duplicate = (split, name) in seen
            seen.add((split, name))
            if split == "test" and not is_duplicate:
                yield Item("test", numbers[match[3], match[2]], where, image, None, problem)
            problem = "is a duplicate" if is_duplicate else problem
            yield Item("dev" if split == "test" else "train", name, where, image, label, problem)
