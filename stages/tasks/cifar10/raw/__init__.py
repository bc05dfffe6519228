"""Raw archives -> data/features/cifar10: per split images.npy (N, 32, 32, 3) uint8, labels.npy, names; stats.json."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.images.raw import packing
from stages.images.raw.packing import Item
from stages.tasks.cifar10 import CLASSES, SIDE
from stages.tasks.cifar10.raw import batches, kaggle
from stages.tasks.cifar10.settings import Settings


def pack(archives: list[Archive], out: Path, settings: Settings, seed: int) -> dict[str, Any]:
    """Decode and check every image once and write the splits below `out`, one image at a time.

    Returns the statistics, also in out/stats.json: counts, the training split's channel mean and standard deviation in
    units of 0 to 255, what was rejected and why.
    Raises InputError for a bad item (unless settings.on_bad is skip), an unknown layout, a class without training images.
    """
    items, source = _read(archives, settings, seed), archives[0].path.parent
    stats = packing.pack(items, out, settings, task="cifar10", classes=CLASSES, side=SIDE, source=source)
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
