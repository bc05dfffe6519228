"""Raw archives -> data/features/cifar10: images.npy (N, 32, 32, 3) uint8, labels.npy and names per split, and stats.json."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from stages.core.errors import InputError
from stages.data import folds
from stages.data.archive import Archive
from stages.data.packed import read_texts
from stages.images.raw import packing
from stages.images.raw.listing import Listing
from stages.images.raw.packing import Item
from stages.images.raw.tables import check_sample
from stages.tasks.cifar10 import CLASSES, HEADER, SIDE
from stages.tasks.cifar10.raw import batches, binary, folders, kaggle
from stages.tasks.cifar10.settings import Settings
from stages.tasks.cifar10.statistics import Stats

LAYOUTS = (batches, binary, kaggle, folders)
# Unsupported formats and other data sets: a file name's pattern, and what it is.
FOREIGN = {
    r"fine_label_names\.txt|(train|test)\.bin": "the binary version of CIFAR-100, another data set",
    r"(train|test|meta)": "the python version of CIFAR-100, another data set",
    r".*\.mat": "the Matlab version",
    r".*\.np[yz]": "NumPy arrays, for which there is no common format",
    r".*\.parquet": "Hugging Face's parquet",
}
ADVICE = "use cifar-10-python.tar.gz, which `source: public` downloads"


def pack(archives: list[Archive], out: Path, settings: Settings, seed: int) -> Stats:
    """Decode and check every image, write the splits below `out`, and return their statistics (see `packing.pack`).

    Raises InputError for an unknown layout, a sample submission of other images, and like `packing.pack`.
    """
    names = [name for archive in archives for name in archive.names]
    found = [layout for layout in LAYOUTS if layout.holds(names)]
    if len(found) != 1:
        raise InputError(f"{archives[0].path.parent}: {_explain(names, [layout.NAME for layout in found])}")
    [layout] = found
    stats = packing.pack(
        _read(layout, archives, settings, seed),
        archives,
        out,
        settings,
        layout=f"{layout.NAME}; {settings.fold} held out as dev" if settings.fold else layout.NAME,
        classes=CLASSES,
        side=SIDE,
        header=HEADER,
        ignored=layout.IGNORED,
    )
    listing = Listing(archives)
    sample = listing.table(re.escape(kaggle.SAMPLE))
    if sample is not None:
        if stats.num["test"]:
            check_sample(listing, sample, read_texts(out / "test" / "names"), "test images")
        (out / "sample_submission.csv").write_bytes(listing.read(sample))
    return stats


def _read(layout: Any, archives: list[Archive], settings: Settings, seed: int) -> Iterator[Item]:
    if layout is kaggle:
        return kaggle.read(archives, dev_fraction=settings.dev_fraction, fold=settings.fold, seed=seed)
    folds.refuse(settings.fold, archives[0].path.parent)
    items: Iterator[Item] = layout.read(archives)
    return items


def _explain(names: list[str], found: list[str]) -> str:
    """Explain why there is not exactly one layout. found: the names of those that match."""
    if found:
        return f"holds two layouts, {' and '.join(found)}; give one of them"
    for pattern, what in FOREIGN.items():
        member = next((name for name in names if re.fullmatch(pattern, PurePosixPath(name).name)), None)
        if member is not None:
            return f"{member} looks like {what}; {ADVICE}"
    forms = "data_batch_1… (python or binary), trainLabels.csv with train/*.png (Kaggle), train/<class>/*.png (fast.ai)"
    return f"found none of the layouts of CIFAR-10: {forms}; the first file is {names[0]}"
