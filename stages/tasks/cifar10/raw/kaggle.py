"""The layout of Kaggle's competition `cifar-10`: train/1.png…, trainLabels.csv, test/1.png…, sampleSubmission.csv."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from stages.config.check import nearest
from stages.config.schema import Fold
from stages.core.errors import InputError
from stages.data import folds
from stages.data.archive import Archive
from stages.images.raw.listing import Listing
from stages.images.raw.packing import Item
from stages.images.raw.tables import read_table
from stages.tasks.cifar10 import CLASSES
from stages.tasks.cifar10.raw.png import decode

LABELS, SAMPLE = "trainLabels.csv", "sampleSubmission.csv"
NAME = "Kaggle's competition cifar-10"
IGNORED = rf".*\.7z|(.*/)?{SAMPLE}"  # `download` has made a zip of each 7z; `pack` checks the sample


def holds(names: list[str]) -> bool:
    """Whether these files are of this layout."""
    return any(PurePosixPath(name).name == LABELS for name in names)


def read(archives: list[Archive], *, dev_fraction: float, fold: Fold | None, seed: int) -> Iterator[Item]:
    """Yield every image. The dev split is `fold`, or `dev_fraction` of each class's training images, drawn by `seed`.

    Raises InputError if the labels are missing or wrong, or images are still in a 7z.
    """
    _check_unpacked(archives)
    labels = _read_labels(archives)
    dev = folds.stratified(labels, fold, seed) if fold else _hold_out(labels, dev_fraction, seed)
    seen: set[str] = set()
    seen_test: set[str] = set()
    for archive in archives:
        images = {name for name in archive.names if name.lower().endswith(".png")}
        for member, content in archive.members(images):
            path = PurePosixPath(member)
            split, where, (image, problem) = path.parent.name.lower(), f"{archive.path}: {member}", decode(content)
            if split == "test":
                if path.stem in seen_test:
                    problem = "is a duplicate"
                seen_test.add(path.stem)
                yield Item("test", path.stem, where, image, None, problem)
            elif split == "train":
                if path.stem not in labels:
                    problem = f"has no line in {LABELS}"
                elif path.stem in seen:
                    problem = "is a duplicate"
                seen.add(path.stem)
                yield Item("dev" if path.stem in dev else "train", path.stem, where, image, labels.get(path.stem), problem)
    for name in sorted(labels.keys() - seen):
        where = f"{archives[0].path.parent}: train/{name}.png"
        yield Item("train", name, where, None, labels[name], f"is listed in {LABELS} but missing")


def _check_unpacked(archives: list[Archive]) -> None:
    """Raises InputError for a 7z that `download` has not made a zip of, such as Kaggle's train.7z in a tar."""
    folders = {PurePosixPath(name).parent.name for archive in archives for name in archive.names}
    for archive in archives:
        for name in archive.names:
            path = PurePosixPath(name)
            if path.suffix.lower() == ".7z" and path.stem not in folders:
                raise InputError(
                    f"{archive.path}: {name} is another archive, and no archive holds its folder {path.stem}/; "
                    "unpack it and give the folder as the source"
                )


def _read_labels(archives: list[Archive]) -> dict[str, int]:
    listing = Listing(archives)
    file = listing.table(re.escape(LABELS))
    assert file is not None  # `holds` has found it
    where, header, rows = read_table(listing, file)
    if header != ["id", "label"]:
        raise InputError(f"{where}: its first line must be id,label")
    labels: dict[str, int] = {}
    for line, (name, label) in rows:
        if name in labels:
            raise InputError(f"{where}: line {line}: id {name!r} is a duplicate")
        if label not in CLASSES:
            raise InputError(f"{where}: line {line}: {label!r} is not a class; {nearest(label, CLASSES)}")
        labels[name] = CLASSES.index(label)
    return labels


def _hold_out(labels: dict[str, int], fraction: float, seed: int) -> set[str]:
    """Draw the names of the dev split: the same share of each class."""
    by_class: dict[int, list[str]] = defaultdict(list)
    for name, label in labels.items():
        by_class[label].append(name)
    random = np.random.default_rng(seed)
    held_out: set[str] = set()
    for label in sorted(by_class):
        names = sorted(by_class[label])
        held_out.update(names[index] for index in random.permutation(len(names))[: round(fraction * len(names))])
    return held_out
