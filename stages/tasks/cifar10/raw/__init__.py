"""Raw archives -> data/features/cifar10: per split images.npy (N, 32, 32, 3) uint8, labels.npy, names; stats.json."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.data.packed import Ragged, Rows, text_row
from stages.images.raw.channel_statistics import Moments, sums
from stages.tasks.cifar10 import CLASSES, SIDE
from stages.tasks.cifar10.raw import batches, kaggle
from stages.tasks.cifar10.raw.item import Item
from stages.tasks.cifar10.settings import Settings


def pack(archives: list[Archive], out: Path, settings: Settings, seed: int) -> dict[str, Any]:
    """Decode and check every image once and write the splits below `out`, one image at a time.

    Returns the statistics, also in out/stats.json: counts, the training split's channel mean and standard deviation in
    units of 0 to 255, what was rejected and why.
    Raises InputError for a bad item (unless settings.on_bad is skip), an unknown layout, a class without training images.
    """
    stats: dict[str, Any] = {"task": "cifar10", "classes": list(CLASSES), "rejected": []}
    moments = Moments()
    counts = {split: Counter[int]() for split in ("train", "dev", "test")}
    with ExitStack() as stack:
        writers = {split: _Writer(stack, out / split) for split in counts}
        for item in _read(archives, settings, seed):
            if item.problem is not None:
                if settings.on_bad == "error":
                    raise InputError(f"{item.where}: {item.problem}; `on_bad: skip` leaves such items out")
                stats["rejected"].append({"item": item.where, "reason": item.problem})
                continue
            assert item.image is not None
            label = -1 if item.label is None else item.label
            counts[item.split][label] += 1
            writers[item.split].append(item.image, label, item.name)
            if item.split == "train":
                moments.add(SIDE * SIDE, sums(item.image))
    missing = [name for label, name in enumerate(CLASSES) if not counts["train"][label]]
    if missing:
        raise InputError(f"{archives[0].path.parent}: no training image of the class {', '.join(missing)}")
    if not counts["dev"].total():
        raise InputError(f"{archives[0].path.parent}: no image for the dev split; a larger tasks.cifar10.dev_fraction helps")
    stats["num"] = {split: count.total() for split, count in counts.items()}
    stats["per_class"] = {name: counts["train"][label] for label, name in enumerate(CLASSES)}
    stats["mean"], stats["std"] = moments.mean_and_std()
    (out / "stats.json").write_text(json.dumps(stats, indent=2) + "\n")
    sample = kaggle.sample_submission(archives)
    if sample is not None:
        (out / "sample_submission.csv").write_bytes(sample)
    return stats


def _read(archives: list[Archive], settings: Settings, seed: int) -> Iterator[Item]:
    if batches.holds(archives):
        return batches.read(archives)
    if kaggle.holds(archives):
        return kaggle.read(archives, dev_fraction=settings.dev_fraction, seed=seed)
    raise InputError(
        f"{archives[0].path.parent}: found neither the python batches (data_batch_1…) nor Kaggle's {kaggle.LABELS} in "
        + ", ".join(archive.path.name for archive in archives)
    )


class _Writer:
    """The three arrays of one split, closed by `stack`."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.images = stack.enter_context(Rows(folder / "images.npy", (SIDE, SIDE, 3), np.uint8))
        self.labels = stack.enter_context(Rows(folder / "labels.npy", (), np.int64))
        self.names = stack.enter_context(Ragged(folder / "names", (), np.uint8))

    def append(self, image: np.ndarray, label: int, name: str) -> None:
        self.images.append(image[None])
        self.labels.append(np.array([label]))
        self.names.append(text_row(name))
