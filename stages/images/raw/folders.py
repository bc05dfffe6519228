"""Layouts with a folder per class, whether the classes are people or anything else."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

import numpy as np

from stages.config.schema import Fold
from stages.core.errors import InputError
from stages.data import folds
from stages.images.raw.listing import SUFFIXES, File, Listing

# Names of folders, in any case, that hold images but are no classes. One in the place of a class means another layout.
NO_CLASS = {"images", "train", "dev", "val", "valid", "validation", "test"}
TESTS = ("test", "unknown_test")  # splits of which a submission needs every image
# Maps the parts of an image's path to its split and the number of parts above its name there; None if it is in no split.
Locate = Callable[[tuple[str, ...]], tuple[str, int] | None]


def class_of(name: str) -> str:
    """Return the class of an image, the first folder of its name in its split."""
    return name.partition("/")[0]


def check_classes(listing: Listing, classes: Iterable[str], example: File, what: str) -> None:
    """Raises InputError if a class has a name in NO_CLASS. example: an image. what: a class, in words."""
    if wrong := sorted(name for name in classes if name.lower() in NO_CLASS):
        raise InputError(
            f"{listing.where(example)}: a folder {wrong[0]} is in the place of {what}, so the layout was not understood; "
            f"see docs/DATA.md for the layouts, or rename the folder if it is {what}"
        )


def of_test(parts: tuple[str, ...]) -> tuple[str, int] | None:
    """Locate an image anywhere below a folder test."""
    folders = [part.lower() for part in parts[:-1]]
    return ("test", folders.index("test") + 1) if "test" in folders else None


def by_class(parts: tuple[str, ...], above: tuple[str, ...] | None = None) -> tuple[str, int] | None:
    """Locate an image in test or, without splits, in its class's folder. above: the classes' folder, once it is known."""
    in_class = len(parts) > 1 and above in (None, parts[:-2])
    return of_test(parts) or (("train", len(parts) - 2) if in_class else None)


def check_filled(listing: Listing, folders: Iterable[File], locate: Locate, filled: Collection[tuple[str, str]]) -> None:
    """Raises InputError if one of `folders` is a class's and has no image. filled: the (split, class) pairs with images."""
    splits = {split for split, _ in filled}
    for folder in folders:
        parts = (*folder.parts, "")  # those of a file in it
        split, depth = locate(parts) or ("", 0)
        if split in splits and (split, parts[depth]) not in filled:
            raise InputError(
                f"{listing.where(folder)}: holds no image ({', '.join(SUFFIXES)}); remove the folder or fill it"
            )


def not_images(listing: Listing, locate: Locate) -> list[tuple[str, str]]:
    """Return (where, reason) of the other files in the place of images. Raises InputError for one in a test split."""
    problems, reason = [], f"is not an image ({', '.join(SUFFIXES)})"
    for file in listing.others:
        split, _ = locate(file.parts) or ("", 0)
        if split in TESTS:
            raise InputError(f"{listing.where(file)}: {reason}, and a submission needs every image; convert or remove it")
        if split:
            problems.append((listing.where(file), reason))
    return problems


def hold_out(names: Iterable[str], fraction: float, fold: Fold | None, seed: int) -> set[str]:
    """Draw the names <class>/<file> of dev: the fold, or the same share of each class, at least one image, never all.

    The draw of a class's share depends only on the seed and the class.
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
