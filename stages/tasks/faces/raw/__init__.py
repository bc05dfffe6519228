"""Raw faces -> data/features/faces: per split the images as they came, encoded, end to end; labels; names; stats.json.

Every image is decoded once, to see that it can be and for the statistics. A split without images has no folder.
"""

import itertools
import json
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.data.packed import Ragged, Rows, text_row
from stages.data.rejected import Rejected
from stages.data.understood import Understood, check_labels
from stages.data.unread import check_all_read
from stages.images import storage
from stages.images.raw.channel_statistics import Moments, sums
from stages.tasks.faces.raw import layout
from stages.tasks.faces.raw.image import Problem, header
from stages.tasks.faces.raw.layout import SPLITS, Image, Layout
from stages.tasks.faces.settings import Settings

AHEAD = 2  # groups of images in work for each thread, so that none of them waits
GROUP = 8  # images that change threads together: one by one, the changing takes a tenth of the time


def pack(archives: list[Archive], out: Path, settings: Settings, seed: int) -> dict[str, Any]:
    """Check every image once and write the splits below `out`, each in the order of its names.

    Returns the statistics, also in out/stats.json: counts, identities, the side that networks see, the training split's
    channel mean and standard deviation at that side in units of 0 to 255, what was rejected and why, what decoding has to
    convert.
    Raises InputError for a bad image (unless settings.on_bad is skip), for archives and tables that do not fit together,
    and for an identity without a good training image.
    """
    found = layout.find(archives)
    moments, converted, rejected = Moments(), Counter[str](), Rejected(settings.on_bad == "skip")
    for where, reason in found.problems:
        rejected.add(where, reason)
    side = settings.side or _first_side(archives, found, rejected)
    writers: dict[str, _Writer] = {}
    with ExitStack() as stack:
        for where, image, content, examined in _examine_all(archives, found, side, out):
            if isinstance(examined, Problem):
                rejected.add(where, str(examined))
                continue
            if image.split not in writers:
                writers[image.split] = _Writer(stack, out / image.split)
            writers[image.split].append(image, content)
            converted.update(examined.converted)
            if examined.sums is not None:
                moments.add(side * side, examined.sums)
    for writer in writers.values():
        writer.finish()
    _check_enough(archives, found, writers)
    check_all_read(archives, layout.PASSED_OVER)
    labels = {split: Counter(image.label for image in writers[split].images) for split in ("train", "dev")}
    check_labels(archives[0].path.parent, found.classes, labels)
    mean, std = moments.mean_and_std()
    stats = {
        "task": "faces",
        "classes": found.classes,
        "known": found.known,
        "num": {split: len(writers[split].images) if split in writers else 0 for split in SPLITS},
        "side": side,
        "mean": mean,
        "std": std,
        "understood": _understood(found, writers).stats(),
        "rejected": sorted(rejected.items, key=lambda entry: entry["item"]),  # whatever the archives' order
        "converted": dict(sorted(converted.items())),
    }
    (out / "stats.json").write_text(json.dumps(stats, indent=2) + "\n")
    for name, content in found.samples.items():
        (out / name).write_bytes(content)
    return stats


def _understood(found: Layout, writers: Mapping[str, "_Writer"]) -> Understood:
    verification = f"{len(found.known):,} known identities, and unknown faces" if found.known else ""
    header = ["id", "label"]
    files = {"classification": "test", "verification": "unknown_test"}
    return Understood(
        "HW2P2 of spring 2023",
        f"{len(found.classes):,} identities, {found.classes[0]} to {found.classes[-1]}",
        {split: len(writers[split].images) for split in SPLITS if split in writers},
        {name: header for name, split in files.items() if split in writers},
        verification,
    )


@dataclass(frozen=True)
class _Examined:
    """What decoding has to convert, and the sums of the pixels, for `Moments`, if they were asked for."""

    converted: tuple[str, ...]
    sums: np.ndarray | None


def _examine(content: bytes, side: int, *, add_up: bool) -> _Examined | Problem:
    """What is in an image, or what is wrong with it."""
    try:
        about = header(content)
        about.check_size(side)
        pixels = storage.decode(np.frombuffer(content, np.uint8), side)
    except Problem as problem:
        return problem
    except ValueError as error:
        return Problem(str(error))
    return _Examined(about.converted, sums(pixels) if add_up else None)


def _examine_all(
    archives: list[Archive], found: Layout, side: int, folder: Path
) -> Iterator[tuple[str, Image, bytes, _Examined | Problem]]:
    """(where, image, content, what is found in it), each split in the order of its names, by as many threads as OpenCV may
    use. folder: for what has to wait on disk.

    They run at the same time, as OpenCV lets go of Python's lock; what waits is bounded, and so is the memory.
    """

    def examine(group: list[tuple[str, Image, bytes]]) -> list[tuple[str, Image, bytes, _Examined | Problem]]:
        return [(*item, _examine(item[2], side, add_up=item[1].split == "train")) for item in group]

    members = _read(archives, found, folder)
    groups = iter(lambda: list(itertools.islice(members, GROUP)), [])
    threads = cv2.getNumThreads()
    if threads <= 1:  # another would only wait for this one
        yield from itertools.chain.from_iterable(map(examine, groups))
        return
    waiting: deque[Future[list[tuple[str, Image, bytes, _Examined | Problem]]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for group in groups:
            waiting.append(pool.submit(examine, group))
            if len(waiting) > AHEAD * threads:
                yield from waiting.popleft().result()
        for future in waiting:
            yield from future.result()


def _read(archives: list[Archive], found: Layout, folder: Path) -> Iterator[tuple[str, Image, bytes]]:
    """(where, image, content), each split in the order of its names."""
    for archive, images in zip(archives, found.images, strict=True):
        for name, content in archive.ordered(sorted(images, key=images.__getitem__), folder):
            yield f"{archive.path}: {name}", images[name], content


def _first_side(archives: list[Archive], found: Layout, rejected: Rejected) -> int:
    """The shorter side of the first good training image, by name, whatever the archives' order."""
    for archive, images in zip(archives, found.images, strict=True):
        training = sorted((image.name, member) for member, image in images.items() if image.split == "train")
        most = 1  # at a time, and then more: an archive may be a stream, which is read from its start every time
        while training:
            sides = {}
            for member, content in archive.members({member for _, member in training[:most]}):
                try:
                    about = header(content)
                    examined = _examine(content, min(about.width, about.height), add_up=False)
                    if isinstance(examined, Problem):
                        raise examined
                    sides[images[member].name] = min(about.width, about.height)
                except Problem as problem:
                    rejected.check(f"{archive.path}: {member}", str(problem))
            if sides:
                return sides[min(sides)]
            training, most = training[most:], 8 * most
    raise InputError(f"{archives[0].path.parent}: there is no good training image")


def _check_enough(archives: list[Archive], found: Layout, written: Mapping[str, "_Writer"]) -> None:
    """Raises InputError for what training and evaluation cannot do without."""
    trained = {image.label for image in written["train"].images} if "train" in written else set()
    missing = [identity for label, identity in enumerate(found.classes) if label not in trained]
    if missing:
        others = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise InputError(f"{archives[0].path.parent}: there is no good training image of {missing[0]}{others}")
    for split in ("dev", "known", "unknown_dev") if found.known else ("dev",):
        if split not in written:
            raise InputError(f"{archives[0].path.parent}: there is no good image for the {split} split")


class _Writer:
    """The arrays of one split. Its images are written as they come, and what the layout holds of them anyway at the end."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.images: list[Image] = []
        self._folder = folder
        self._contents = stack.enter_context(Ragged(folder / "images", (), np.uint8))

    def append(self, image: Image, content: bytes) -> None:
        self.images.append(image)
        self._contents.append(np.frombuffer(content, np.uint8))

    def finish(self) -> None:
        """Write the labels and the names."""
        with (
            Rows(self._folder / "labels.npy", (), np.int64) as labels,
            Ragged(self._folder / "names", (), np.uint8) as names,
        ):
            labels.append(np.array([image.label for image in self.images]))
            for image in self.images:
                names.append(text_row(image.name))
