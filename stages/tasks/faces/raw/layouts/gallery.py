"""Folders by split and identity, and, from fall 2022 to spring 2024, a verification with known faces.

    {train,dev}/<identity>/*, test/**                  classification; dev may be val or valid
    known/<identity>/*, unknown_dev/*, unknown_test/*  verification, optional, with verification_dev.csv
                                                       or, in fall 2022, dev_identities.csv

Folders above these, and other files there, are ignored.
"""

import re

from stages.core.errors import InputError
from stages.images.raw.folders import check_filled, class_of, not_images, of_test
from stages.images.raw.listing import File, Listing, Splits
from stages.tasks.faces.raw import tables
from stages.tasks.faces.raw.identities import identify
from stages.tasks.faces.raw.layout import Item, Layout, Missing, Submission
from stages.tasks.faces.settings import Settings

BY_IDENTITY = {"train": "train", "dev": "dev", "val": "dev", "valid": "dev", "known": "known"}  # folder -> split
FLAT = ("unknown_dev", "unknown_test")
IGNORED = re.compile(r"(.*/)?train_subset/.*")  # copies of images in train
HEADER = ["id", "label"]


def read(listing: Listing, settings: Settings, seed: int) -> Layout:
    """Read the layout. Raises Missing, and InputError, naming a file or folder, if something does not fit."""
    splits, problems = sort(listing, listing.images)
    check_complete(listing, splits)
    people = identify(listing, splits["train"], splits["dev"])
    known = sorted({class_of(name) for name in splits["known"]})
    known_labels = {name: label for label, name in enumerate(known)}
    unknown_dev = tables.verification_labels(listing, list(splits["unknown_dev"]), known_labels)
    items = {
        "train": people.train,
        "dev": people.dev,
        "test": [Item(file, name, is_needed=True) for name, file in splits["test"].items()],
        "known": [Item(file, name, known_labels[class_of(name)]) for name, file in splits["known"].items()],
        "unknown_dev": [Item(file, name, unknown_dev[name]) for name, file in splits["unknown_dev"].items()],
        "unknown_test": [Item(file, name, is_needed=True) for name, file in splits["unknown_test"].items()],
    }
    submissions = {}
    if items["test"]:
        submissions["classification"] = Submission(HEADER, "name", "index")
    if items["unknown_test"]:
        submissions["verification"] = Submission(HEADER, "row", "identity")
    samples = tables.sample_submissions(
        listing,
        classification=("test images", list(splits["test"])),
        verification=("images of unknown_test", tables.row_ids(len(items["unknown_test"]))),
    )
    return Layout(people.classes, items, submissions, problems + people.problems, known, samples=samples, ignored=IGNORED)


def sort(listing: Listing, images: list[File]) -> tuple[Splits, list[tuple[str, str]]]:
    """Return the images by split, and (where, reason) of the files that are in a split but do not fit there."""
    splits, problems = Splits(listing), []
    for file in images:
        if (found := _locate(file.parts)) is not None:
            split, depth = found
            splits.add(split, file, depth)
        elif {*BY_IDENTITY, *FLAT} & set(file.folders):
            reason = "is not in <split>/<identity>/, test/, unknown_dev/ or unknown_test/"
            problems.append((listing.where(file), reason))
    filled = {(split, class_of(name)) for split in ("train", "dev", "known") for name in splits[split]}
    check_filled(listing, listing.folders_of_others(), _locate, filled)
    return splits, problems + not_images(listing, _locate)


def _locate(parts: tuple[str, ...]) -> tuple[str, int] | None:
    """Return the split, and the number of parts above the image's name in it."""
    if len(parts) > 2 and (split := BY_IDENTITY.get(parts[-3].lower())):
        return split, len(parts) - 2
    if len(parts) > 1 and (folder := parts[-2].lower()) in FLAT:
        return folder, len(parts) - 1
    return of_test(parts)


def check_complete(listing: Listing, splits: Splits) -> None:
    """Raises Missing if a required split is missing, and InputError for the original VGGFace2."""
    if "train" not in splits:
        raise Missing("train/<identity>/*.jpg is missing, and no person's folder may be called train, dev, val or valid")
    if "dev" not in splits:
        test = splits["test"]
        is_by_identity = test and all("/" in name for name in test)
        if is_by_identity and {*map(class_of, test)}.isdisjoint(map(class_of, splits["train"])):
            raise InputError(
                f"{listing.source}: this looks like VGGFace2, whose train/ and test/ have different people and no dev; "
                "give only the folder train, and a share of each person's images is held out as dev"
            )
        raise Missing("dev/<identity>/*.jpg (or val, valid) is missing; without one, give the folder train as the source")
    missing = [split for split in ("known", "unknown_dev") if split not in splits]
    present = [split for split in ("known", *FLAT) if split in splits]
    if missing and present:
        raise Missing(f"{missing[0]}/ is missing, although there are images in {present[0]}/")
