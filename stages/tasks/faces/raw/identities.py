"""Layouts with a folder for each identity."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from stages.core.errors import InputError
from stages.images.raw.folders import check_classes, class_of
from stages.images.raw.listing import File, Listing
from stages.tasks.faces.raw.layout import Item


class Identified(NamedTuple):
    """classes: identities; the index is the label. train, dev: labelled images. problems: (where, reason)."""

    classes: list[str]
    train: list[Item]
    dev: list[Item]
    problems: list[tuple[str, str]]


def identify(
    listing: Listing, train: Mapping[str, File], dev: Mapping[str, File], key: Callable[[str], object] | None = None
) -> Identified:
    """Label the images <identity>/<file> of both splits. key: the identities' sort key.

    Raises InputError if an image or folder belongs to no identity, or dev has no identity of train.
    """
    for name, file in (*train.items(), *dev.items()):
        if "/" not in name:
            raise InputError(f"{listing.where(file)}: is not in an identity's folder; see docs/DATA.md for the layouts")
    found = {class_of(name) for name in train}
    classes: list[str] = sorted(found, key=key)  # type: ignore[arg-type]
    check_classes(listing, classes, next(iter(train.values())), "an identity")
    labels = {name: label for label, name in enumerate(classes)}
    if found.isdisjoint(map(class_of, dev)):
        raise InputError(
            f"{listing.source}: train and dev have no identity in common (train has {classes[0]}, dev has "
            f"{class_of(next(iter(dev)))}); dev must show other images of the people of train"
        )
    problems = [
        (listing.where(file), f"train has no images of {class_of(name)}")
        for name, file in dev.items()
        if class_of(name) not in labels
    ]
    in_train, in_dev = (
        [Item(file, name, labels[class_of(name)]) for name, file in files.items() if class_of(name) in labels]
        for files in (train, dev)
    )
    return Identified(classes, in_train, in_dev, problems)
