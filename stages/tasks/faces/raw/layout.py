"""Which file of the archives is which image: HW2P2's folders of spring 2023, or a plain folder for each identity.

    {train,dev}/<identity>/*, test/**                                         classification; dev may be val or valid
    known/<identity>/*, unknown_dev/*, unknown_test/*, verification_dev.csv   verification, if there is one

Whatever lies above these folders is not looked at, and neither is a file that is no image.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.tasks.faces.raw import tables

SPLITS = ("train", "dev", "test", "known", "unknown_dev", "unknown_test")
BY_IDENTITY = {"train": "train", "dev": "dev", "val": "dev", "valid": "dev", "known": "known"}  # folder -> split
FLAT = ("unknown_dev", "unknown_test")
PASSED_OVER = re.compile(r"$^")
SUFFIXES = (".jpg", ".jpeg", ".png")


class Image(NamedTuple):
    """Its split, its name there and its label, -1 for none."""

    split: str
    name: str
    label: int


@dataclass(frozen=True)
class Layout:
    """images: of each archive, by member. classes and known: identities, sorted, whose index is a label.

    problems: (where, what is wrong) of images that have no place. samples: files to copy.
    """

    images: list[dict[str, Image]]
    classes: list[str]
    known: list[str]
    problems: list[tuple[str, str]]
    samples: dict[str, bytes]


def find(archives: list[Archive]) -> Layout:
    """Read the archives' listings and tables. Raises InputError, naming a file or folder, for what does not fit together."""
    listing = _Listing(archives)
    problems = [
        (where, "lies in no <split>/<identity>/, nor in test/, unknown_dev/ or unknown_test/") for where in listing.misplaced
    ]
    names = {split: sorted(name for other, name in listing.members if other == split) for split in SPLITS}
    _check_complete(archives, names)
    classes, known = (sorted({_identity(name) for name in names[split]}) for split in ("train", "known"))
    labels = {
        "train": {identity: label for label, identity in enumerate(classes)},
        "known": {identity: label for label, identity in enumerate(known)},
    }
    unknown_dev = tables.verification_labels(archives, names["unknown_dev"], labels["known"])
    images: list[dict[str, Image]] = [{} for _ in archives]
    for (split, name), (index, member) in listing.members.items():
        if split == "dev" and _identity(name) not in labels["train"]:
            problems.append((f"{archives[index].path}: {member}", f"train has no images of {_identity(name)}"))
        elif split in ("train", "dev", "known"):
            label = labels["known" if split == "known" else "train"][_identity(name)]
            images[index][member] = Image(split, name, label)
        else:
            images[index][member] = Image(split, name, unknown_dev[name] if split == "unknown_dev" else -1)
    samples = tables.sample_submissions(archives, names["test"], len(names["unknown_test"]))
    return Layout(images, classes, known, problems, samples)


class _Listing:
    """members: (archive's index, member) of each (split, name). misplaced: images that are in a split but in no place."""

    def __init__(self, archives: list[Archive]) -> None:
        self.members: dict[tuple[str, str], tuple[int, str]] = {}
        self.misplaced: list[str] = []
        roots: dict[str, str] = {}
        empty: dict[tuple[str, str], str] = {}
        for index, archive in enumerate(archives):
            for member, parts in _visible(archive):
                where, place = f"{archive.path}: {member}", _place(parts)
                if not parts[-1].lower().endswith(SUFFIXES) or parts[-1].startswith("."):
                    if place is not None and place[0] in BY_IDENTITY.values():
                        empty.setdefault((place[0], parts[-2]), str(PurePosixPath(where).parent))
                elif place is not None:
                    split, depth = place
                    root = f"{archive.path}: {'/'.join(parts[:depth])}"
                    if roots.setdefault(split, root) != root:
                        raise InputError(f"{root} and {roots[split]} both hold the {split} images; give one of them")
                    key = split, "/".join(parts[depth:])
                    if key in self.members:
                        raise InputError(f"{where}: is there a second time")
                    self.members[key] = index, member
                elif {*BY_IDENTITY, *FLAT} & set(parts[:-1]):
                    self.misplaced.append(where)
        full = {(split, _identity(name)) for split, name in self.members}
        for key, folder in empty.items():
            if key not in full:
                raise InputError(f"{folder}: holds no image ({', '.join(SUFFIXES)}); remove the folder or fill it")


def _visible(archive: Archive) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(member, its path's parts) of the files that lie in no hidden folder."""
    for member in archive.names:
        parts = tuple(part for part in member.split("/") if part not in ("", "."))  # as PurePosixPath has them, but sooner
        if parts and not any(part.startswith(".") for part in parts[:-1]):
            yield member, parts


def _place(parts: tuple[str, ...]) -> tuple[str, int] | None:
    """The split, and how many parts lie above the image's name in it."""
    if len(parts) > 2 and parts[-3] in BY_IDENTITY:
        return BY_IDENTITY[parts[-3]], len(parts) - 2
    if len(parts) > 1 and parts[-2] in FLAT:
        return parts[-2], len(parts) - 1
    return ("test", parts.index("test") + 1) if "test" in parts[:-1] else None


def _identity(name: str) -> str:
    return name.partition("/")[0]


def _check_complete(archives: list[Archive], names: dict[str, list[str]]) -> None:
    given = f"in {', '.join(archive.path.name for archive in archives)}"
    folder = archives[0].path.parent
    if not names["train"]:
        raise InputError(f"{folder}: found no image train/<identity>/*{SUFFIXES[0]} {given}")
    if not names["dev"]:
        raise InputError(f"{folder}: found no image dev/<identity>/*{SUFFIXES[0]} (or val, valid) {given}")
    missing = [split for split in ("known", "unknown_dev") if not names[split]]
    present = [split for split in ("known", *FLAT) if names[split]]
    if missing and present:
        raise InputError(f"{folder}: found images in {present[0]} but none in {missing[0]} {given}")
