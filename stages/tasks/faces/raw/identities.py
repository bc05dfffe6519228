"""A folder for each identity: its name is the class."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from stages.core.errors import InputError
from stages.tasks.faces.raw.layout import Item
from stages.tasks.faces.raw.listing import SUFFIXES, File, Listing

# What holds images without being anybody: such a folder in an identity's place means that the layout is another one.
NOBODY = {"images", "train", "dev", "val", "valid", "test"}


class Identified(NamedTuple):
    """classes: identities whose index is a label. train, dev: images with their labels. problems: (where, what)."""

    classes: list[str]
    train: list[Item]
    dev: list[Item]
    problems: list[tuple[str, str]]


def identity(name: str) -> str:
    """The folder that an image's name begins with."""
    return name.partition("/")[0]


def identify(
    listing: Listing, train: Mapping[str, File], dev: Mapping[str, File], key: Callable[[str], object] | None = None
) -> Identified:
    """Label <identity>/<file> of both splits. key: sorts the identities, as `sorted` does.

    Raises InputError: a folder is nobody's, or dev has no identity of train.
    """
    for name, file in (*train.items(), *dev.items()):
        if "/" not in name:
            raise InputError(f"{listing.where(file)}: lies in no identity's folder; see docs/DATA.md for the layouts")
    found = {identity(name) for name in train}
    classes: list[str] = sorted(found, key=key)  # type: ignore[arg-type]
    check_identities(listing, classes, next(iter(train.values())))
    labels = {name: label for label, name in enumerate(classes)}
    if found.isdisjoint(map(identity, dev)):
        raise InputError(
            f"{listing.source}: train and dev have no identity in common (train has {classes[0]}, dev has "
            f"{identity(next(iter(dev)))}); dev must show other images of the people of train"
        )
    problems = [
        (listing.where(file), f"train has no images of {identity(name)}")
        for name, file in dev.items()
        if identity(name) not in labels
    ]
    in_train, in_dev = (
        [Item(file, name, labels[identity(name)]) for name, file in files.items() if identity(name) in labels]
        for files in (train, dev)
    )
    return Identified(classes, in_train, in_dev, problems)


def check_identities(listing: Listing, classes: list[str], example: File) -> None:
    """Raises InputError for a folder in an identity's place that is nobody's. example: one of the images."""
    if wrong := sorted(NOBODY.intersection(classes)):
        raise InputError(
            f"{listing.where(example)}: a folder {wrong[0]} is in an identity's place, so the layout was not understood; "
            "see docs/DATA.md for the layouts"
        )


def check_filled(listing: Listing, splits: Mapping[str, str], filled: set[tuple[str, str]]) -> None:
    """Raises InputError for an identity's folder that has files but no image.

    splits: by folder. filled: (split, identity) of all that have images.
    """
    for file in listing.others:
        parts = file.parts
        if len(parts) > 2 and parts[-3] in splits and (splits[parts[-3]], parts[-2]) not in filled:
            folder = listing.where(file).rpartition("/")[0]
            raise InputError(f"{folder}: holds no image ({', '.join(SUFFIXES)}); remove the folder or fill it")
