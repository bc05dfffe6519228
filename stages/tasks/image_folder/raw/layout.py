"""Layouts with a folder for each class, with or without folders for the splits.

<class>/*.jpg, test/**                        `dev_fraction` of each class's images, or `fold`, is dev; test/ is optional
train/<class>/*.jpg, dev/<class>/*, test/**   dev may be val, valid or validation, or be held out of train as above

Splits may be written with capitals. Folders above these are ignored. Images in test/ have no labels, even in folders.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from stages.core.errors import InputError
from stages.data import folds
from stages.data.understood import check_labels
from stages.images.raw.folders import by_class, check_classes, check_filled, class_of, hold_out, not_images, of_test
from stages.images.raw.listing import SUFFIXES, File, Listing, Splits
from stages.tasks.image_folder.settings import Settings

SPLITS = {"train": "train", "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev"}  # folder -> split


class Place(NamedTuple):
    """An image's split, its name there, and its label, which is None in test."""

    split: str
    name: str
    label: int | None


@dataclass(frozen=True)
class Layout:
    """name: in words. classes: sorted; the index is the label. problems: (where, reason) of files that do not fit."""

    name: str
    classes: list[str]
    places: Mapping[File, Place]
    problems: list[tuple[str, str]]


def read(listing: Listing, settings: Settings, seed: int) -> Layout:
    """Find the split and label of each image. Raises InputError, naming a file or folder, for an unknown layout."""
    if not listing.images:
        first = listing.others[0].member
        raise InputError(f"{listing.source}: found no image ({', '.join(SUFFIXES)}); the first file is {first}")
    by_split = any(not SPLITS.keys().isdisjoint(file.folders) for file in listing.images)
    splits, problems = _sort(listing, by_split)
    train, dev, test = splits["train"], splits["dev"], splits["test"]
    classes = sorted({class_of(name) for name in train})
    check_classes(listing, classes, next(iter(train.values())), "a class")
    check_labels(listing.source, classes, {})
    remark = ""
    if dev:
        folds.refuse(settings.fold, listing.source)
    else:
        share = f"{settings.dev_fraction:.3g} of each class's images, at least one,"
        remark = f"; {settings.fold or share} held out as dev"
        held_out = hold_out(train, settings.dev_fraction, settings.fold, seed)
        dev = {name: train.pop(name) for name in sorted(held_out)}
    if any(class_of(name) in classes for name in test if "/" in name):
        remark += "; the folders in test/ are not read as labels, as those in dev/ would be"
    labels = {name: label for label, name in enumerate(classes)}
    places = {file: Place("test", name, None) for name, file in test.items()}
    places |= {file: Place("train", name, labels[class_of(name)]) for name, file in train.items()}
    for name, file in dev.items():
        if class_of(name) in labels:
            places[file] = Place("dev", name, labels[class_of(name)])
        else:
            problems.append((listing.where(file), f"train has no images of {class_of(name)}"))
    return Layout(f"a folder for each class{', by split' if by_split else ''}{remark}", classes, places, problems)


def _sort(listing: Listing, by_split: bool) -> tuple[Splits, list[tuple[str, str]]]:
    """Return the images by split, and (where, reason) of the other files among them."""
    splits, problems, place = Splits(listing), list[tuple[str, str]](), _by_split if by_split else by_class
    for file in listing.images:
        if (found := place(file.parts)) is not None:
            splits.add(found[0], file, found[1])
        else:
            problems.append((listing.where(file), "is neither in a class's folder nor in test/"))
    if "train" not in splits:
        missing = "no image is in a class's folder; see docs/DATA.md for the layouts"
        if by_split:
            split = next(name for file in listing.images for name in file.folders if name in SPLITS)
            missing = f"{split}/ is read as a split, but train/<class>/ is missing; if {split} is a class, rename its folder"
        raise InputError(f"{listing.source}: {missing}")
    if not by_split:
        place = partial(by_class, above=splits.above("train"))
    filled = {(split, class_of(name)) for split in ("train", "dev") for name in splits[split]}
    check_filled(listing, [*listing.listed_folders(), *listing.folders_of_others()], place, filled)
    return splits, problems + not_images(listing, place)


def _by_split(parts: tuple[str, ...]) -> tuple[str, int] | None:
    if len(parts) > 2 and (split := SPLITS.get(parts[-3].lower())):
        return split, len(parts) - 2
    return of_test(parts)
