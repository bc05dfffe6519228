"""What a folder for each class has in common, whatever the classes are: people, or anything else."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

import numpy as np

from stages.config.schema import Fold
from stages.core.errors import InputError
from stages.data import folds
from stages.images.raw.listing import SUFFIXES, File, Listing

# What holds images without being a class: such a folder in the place of one means that the layout is another.
NO_CLASS = {"images", "train", "dev", "val", "valid", "validation", "test"}
# Of the parts of an image's path: its split, and how many of them lie above its name there; None if it has no place.
Placing = Callable[[tuple[str, ...]], tuple[str, int] | None]


def class_of(name: str) -> str:
    """The folder that an image's name in its split begins with: its class."""
    return name.partition("/")[0]


def check_classes(listing: Listing, classes: Iterable[str], example: File, what: str) -> None:
    """Raises InputError for a folder in the place of a class that is none. example: an image. what: a class, in words."""
    if wrong := sorted(NO_CLASS.intersection(classes)):
        raise InputError(
            f"{listing.where(example)}: a folder {wrong[0]} is in the place of {what}, so the layout was not understood; "
            "see docs/DATA.md for the layouts"
        )


def check_filled(listing: Listing, folders: Iterable[File], place: Placing, filled: Collection[tuple[str, str]]) -> None:
    """Raises InputError for a class's folder, of `folders`, without an image. filled: (split, class) of those with one."""
    of_classes = {split for split, _ in filled}
    for folder in folders:
        parts = (*folder.parts, "")  # as of a file in it
        split, depth = place(parts) or ("", 0)
        if split in of_classes and (split, parts[depth]) not in filled:
            raise InputError(
                f"{listing.where(folder)}: holds no image ({', '.join(SUFFIXES)}); remove the folder or fill it"
            )


def hold_out(names: Iterable[str], fraction: float, fold: Fold | None, seed: int) -> set[str]:
    """The names <class>/<file> of dev: the fold, or of each class the same share, at least one, but never all.

    The share is drawn by the seed and the class alone: a class more or less does not change what is drawn of the others.
    """
    if fold is not None:
        return folds.stratified({name: class_of(name) for name in names}, fold, seed)
    by_class: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        by_class[class_of(name)].append(name)
    held_out: set[str] = set()
    for label, images in by_class.items():
        num = min(max(1, round(fraction * len(images))), len(images) - 1)
        random = np.random.default_rng([seed, *label.encode()])
        held_out.update(images[index] for index in random.permutation(len(images))[:num])
    return held_out
