"""The layouts that are understood, in one table, and which of them some archives have."""

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
    """A layout. shape: for people. marks: a pattern that the path of one of its folders or tables has in it.

    module: read(listing, settings, seed) -> Layout, which raises Missing for what is not there.
    """

    name: str
    terms: str
    shape: str
    marks: str
    module: ModuleType

    @property
    def title(self) -> str:
        """Its name with its terms."""
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
# Folders that many people make; these are looked for only where the archives have no mark of a course's term.
FOLDERS = (
    Entry("folders by split and identity", "", "{train,dev}/<identity>/*, test/**", r"(train|dev|val|valid)/", gallery),
    Entry("a folder for each person", "", "<person>/*, and LFW's pairs.txt if it is there", "", plain),
)
LAYOUTS = (*COURSE, *FOLDERS)
# Not images but archives of them, by a file's name: what it is.
FOREIGN = {r"\.(rec|idx)$": "a record file of insightface", r"\.bin$": "a pickled list of pairs of insightface"}
UNPACK = "unpack it to a folder for each person (insightface's tools/rec2image does), and give that folder"


def find(archives: list[Archive], settings: Settings, seed: int) -> Layout:
    """Read the archives' listings and tables. Raises InputError, naming a file or folder, for what does not fit together."""
    listing = Listing(archives)
    entry = _choose(listing)
    if entry.module is not plain:
        folds.refuse(settings.fold, listing.source)
    try:
        layout: Layout = entry.module.read(listing, settings, seed)
    except Missing as missing:
        given = ", ".join(archive.path.name for archive in archives)
        raise InputError(
            f"{listing.source}: this looks like {entry.title}, but {missing} (in {given}); its layout is {entry.shape}"
        ) from None
    return replace(layout, name=f"{entry.title}{layout.remark}")


def _choose(listing: Listing) -> Entry:
    """The one layout. Raises InputError if there is none, or more than one."""
    if not listing.images:
        raise InputError(f"{listing.source}: {_no_images(listing)}")
    paths = list(listing.paths())
    found = _marked(COURSE, paths) or _marked(FOLDERS, paths)[:1]
    if len(found) > 1:
        titles = " and ".join(f"{entry.title} ({path})" for entry, path in found)
        raise InputError(f"{listing.source}: holds two layouts, {titles}; give the archives of one of them")
    return found[0][0]


def _marked(entries: Sequence[Entry], paths: list[str]) -> list[tuple[Entry, str]]:
    """The layouts of which there is a mark, each with the first path that has it."""
    found = []
    for entry in entries:
        marks = re.compile(rf"(?:^|/)(?:{entry.marks})")
        path = next((path for path in paths if marks.search(path)), None)
        if path is not None:
            found.append((entry, path))
    return found


def _no_images(listing: Listing) -> str:
    for pattern, what in FOREIGN.items():
        file = next((file for file in listing.others if re.search(pattern, file.member)), None)
        if file is not None:
            return f"{file.member} is {what}, which is not understood; {UNPACK}"
    shapes = "; ".join(entry.shape for entry in LAYOUTS)
    return f"found no image ({', '.join(SUFFIXES)}); the first file is {listing.others[0].member}; the layouts are {shapes}"
