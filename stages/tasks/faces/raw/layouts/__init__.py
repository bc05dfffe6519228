"""The known layouts, and the choice of one for some archives."""

import re
from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType
from typing import NamedTuple

from stages.core.errors import InputError
from stages.data import folds
from stages.data.archive import Archive
from stages.images.raw.listing import SUFFIXES, Listing
from stages.tasks.faces.raw.layout import Layout, Missing
from stages.tasks.faces.raw.layouts import gallery, pairs, plain, spring2022, trials
from stages.tasks.faces.settings import Settings


class Entry(NamedTuple):
    """A layout. shape: a description. marks: a pattern in the path of one of its folders or tables.

    module: has read(listing, settings, seed) -> Layout, which raises Missing.
    """

    name: str
    terms: str
    shape: str
    marks: str
    module: ModuleType

    @property
    def title(self) -> str:
        """The name with the terms."""
        return f"{self.name}, {self.terms}" if self.terms else self.name


COURSE = (
    Entry(
        "HW2P2 with pairs of faces",
        "fall 2024 to spring 2026",
        "cls_data/{train,dev,test}/, ver_data/*, val_pairs.txt, test_pairs.txt",
        r"(cls|ver)_data/|(val|test)_pairs\.(txt|csv)$|(train|dev|val|test)/labels\.txt$",
        pairs,
    ),
    Entry(
        "HW2P2 with known faces",
        "fall 2022 to spring 2024",
        "{train,dev}/<identity>/*, test/*; known/<identity>/*, unknown_{dev,test}/*, verification_dev.csv",
        r"(known|unknown_dev|unknown_test)/|dev_identities\.csv$",
        gallery,
    ),
    Entry(
        "HW2P2",
        "spring 2022",
        "classification/…/{train,dev,test}/; verification/…/{dev,test}/*, verification_{dev,test}.csv",
        r"(classification/classification|verification/verification)/|verification_test\.csv$",
        spring2022,
    ),
    Entry(
        "HW2P2 with trials",
        "fall 2020 to fall 2021",
        "{train,val}_data/<identity>/*, test_data/*, verification_data/*, verification_pairs_{val,test}.txt",
        r"(train|val|test|verification)_data/|verification_pairs_(val|test)\.txt$",
        trials,
    ),
)
# Common folders, tried only if the archives have no mark of a course's term.
FOLDERS = (
    Entry("folders by split and identity", "", "{train,dev}/<identity>/*, test/**", r"(train|dev|val|valid)/", gallery),
    Entry("a folder for each person", "", "<person>/*, and optionally LFW's pairs.txt", "", plain),
)
LAYOUTS = (*COURSE, *FOLDERS)
# Other containers of images: a file name's pattern, and what it is.
FOREIGN = {r"\.(rec|idx)$": "a record file of insightface", r"\.bin$": "a pickled list of pairs of insightface"}
UNPACK = "unpack it to a folder for each person (insightface's tools/rec2image does), and give that folder"


def find(archives: list[Archive], settings: Settings, seed: int) -> Layout:
    """Read the archives' layout. Raises InputError, naming a file or folder, if something is missing or does not fit."""
    listing = Listing(archives)
    entry = _choose(listing)
    if entry.module is not plain:
        folds.refuse(settings.fold, listing.source)
    try:
        layout: Layout = entry.module.read(listing, settings, seed)
    except Missing as missing:
        names = ", ".join(archive.path.name for archive in archives)
        raise InputError(
            f"{listing.source}: this looks like {entry.title}, but {missing} (in {names}); its layout is {entry.shape}"
        ) from None
    return replace(layout, name=f"{entry.title}{layout.remark}")


def _choose(listing: Listing) -> Entry:
    """Return the archives' layout. Raises InputError if there is none or more than one."""
    if not listing.images:
        raise InputError(f"{listing.source}: {_no_images(listing)}")
    paths = list(listing.paths())
    found = _marked(COURSE, paths) or _marked(FOLDERS, paths)[:1]
    if len(found) > 1:
        titles = " and ".join(f"{entry.title} ({path})" for entry, path in found)
        raise InputError(f"{listing.source}: holds two layouts, {titles}; give the archives of one of them")
    return found[0][0]


def _marked(entries: Sequence[Entry], paths: list[str]) -> list[tuple[Entry, str]]:
    """Return the layouts whose marks are in a path, each with the first such path."""
    found = []
    for entry in entries:
        marks = re.compile(rf"(?:^|/)(?:{entry.marks})", re.IGNORECASE)
        path = next((path for path in paths if marks.search(path)), None)
        if path is not None:
            found.append((entry, path))
    return found


def _no_images(listing: Listing) -> str:
    for pattern, what in FOREIGN.items():
        file = next((file for file in listing.others if re.search(pattern, file.member)), None)
        if file is not None:
            return f"{file.member} is {what}, which is not supported; {UNPACK}"
    shapes = "; ".join(entry.shape for entry in LAYOUTS)
    return f"found no image ({', '.join(SUFFIXES)}); the first file is {listing.others[0].member}; the layouts are {shapes}"
