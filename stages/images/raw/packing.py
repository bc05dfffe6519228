"""Packing of decoded images: images.npy, labels.npy and names for each split, and stats.json."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.config.schema import TaskSettings
from stages.core.errors import InputError
from stages.core.progress import track
from stages.data.archive import Archive
from stages.data.packed import Ragged, Rows, text_row
from stages.data.rejected import Rejected
from stages.data.statistics import Understood
from stages.data.understood import check_labels
from stages.data.unread import check_all_read
from stages.images.raw.channel_statistics import Moments, sums
from stages.images.statistics import PackedStats

MAX_LISTED = 20  # classes that are all listed by name


@dataclass(frozen=True)
class Item:
    """An image of the source, or a problem with it."""

    split: str  # train, dev or test
    name: str
    where: str  # for messages
    image: np.ndarray | None  # (side, side, 3) uint8; not None without a problem
    label: int | None  # None in the test split
    problem: str | None
    has_alpha: bool = False  # which decoding drops


def pack(
    items: Iterable[Item],
    archives: Sequence[Archive],
    out: Path,
    settings: TaskSettings,
    *,
    layout: str,
    classes: Sequence[str],
    side: int,
    header: list[str],
    ignored: str = "",
) -> PackedStats:
    """Write the splits below `out`, and return and write their statistics, stats.json.

    layout: its name. header: the submission's columns. ignored: a pattern for the members of `archives` that the task does
    not need.
    Raises InputError for a bad item (unless settings.on_bad is skip), a test image that cannot be read, a class without
    training images, a split whose images are all of one class, and archives that were mostly not read.
    """
    source = archives[0].path.parent
    moments, rejected, num_alpha = Moments(), Rejected(settings.on_bad == "skip"), 0
    counts = {split: Counter[int]() for split in ("train", "dev", "test")}
    with ExitStack() as stack:
        writers = {split: _Writer(stack, out / split, side) for split in counts}
        for item in track(items, "reading images"):
            if item.problem is not None:
                # A second image of the same name leaves no row empty.
                rejected.add(item.where, item.problem, is_needed=item.split == "test" and item.image is None)
                continue
            assert item.image is not None
            label = -1 if item.label is None else item.label
            counts[item.split][label] += 1
            writers[item.split].append(item.image, label, item.name)
            num_alpha += item.has_alpha
            if item.split == "train":
                moments.add(side * side, sums(item.image))
    if num_alpha:
        print(f"alpha: dropped from {num_alpha:,} images, so that their transparent parts show the colours stored there")
    check_all_read(archives, re.compile(ignored))
    missing = [name for label, name in enumerate(classes) if not counts["train"][label]]
    if missing:
        raise InputError(f"{source}: no training image of the class {', '.join(missing)}")
    if not counts["dev"].total():
        raise InputError(f"{source}: no image for the dev split; a larger part of the training images must be held out")
    check_labels(source, classes, {split: counts[split] for split in ("train", "dev")})
    num = {split: count.total() for split, count in counts.items()}
    names = ", ".join(classes) if len(classes) <= MAX_LISTED else f"{classes[0]} to {classes[-1]}"
    submissions = {"submission": header} if num["test"] else {}
    mean, std = moments.mean_and_std()
    stats = {
        "classes": list(classes),
        "side": side,
        "num": num,
        "understood": Understood(layout, f"{len(classes):,}: {names}", num, submissions),
        "rejected": rejected.items,
        "per_class": {name: counts["train"][label] for label, name in enumerate(classes)},
        "mean": mean,
        "std": std,
    }
    return PackedStats.write(out, stats)


class _Writer:
    """Writers of a split's three arrays, closed by `stack`."""

    def __init__(self, stack: ExitStack, folder: Path, side: int) -> None:
        self.images = stack.enter_context(Rows(folder / "images.npy", (side, side, 3), np.uint8))
        self.labels = stack.enter_context(Rows(folder / "labels.npy", (), np.int64))
        self.names = stack.enter_context(Ragged(folder / "names", (), np.uint8))

    def append(self, image: np.ndarray, label: int, name: str) -> None:
        self.images.append(image[None])
        self.labels.append(np.array([label]))
        self.names.append(text_row(name))
