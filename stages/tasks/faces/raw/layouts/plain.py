"""A folder for each person, without splits: a user's photographs, LFW, CASIA-WebFace.

<person>/*, test/**   `dev_fraction` of each person's images, or `fold`, is dev: at least one image, but none if there
                      is only one; test/ is optional
pairs.txt             LFW's pairs for verification, optional; images in pairs are in neither train nor dev
"""

import math
from collections.abc import Mapping
from functools import partial

from stages.core.errors import InputError
from stages.images.raw.folders import by_class, check_classes, check_filled, class_of, hold_out, not_images
from stages.images.raw.listing import SUFFIXES, File, Listing, Splits
from stages.tasks.faces.raw.layout import Item, Layout, Pair, Submission
from stages.tasks.faces.raw.layouts.gallery import HEADER
from stages.tasks.faces.raw.pair_lists import is_number, named_in, text_lines
from stages.tasks.faces.settings import Settings

PAIRS = "pairs.txt"


def read(listing: Listing, settings: Settings, seed: int) -> Layout:
    """Read the layout. Raises InputError, naming a file or folder, if something does not fit."""
    splits, problems = _sort(listing)
    persons = splits["train"]
    check_classes(listing, {class_of(name) for name in persons}, next(iter(persons.values())), "an identity")
    pairs = _lfw_pairs(listing, persons)
    if pairs and len({pair.same for pair in pairs}) < 2:
        raise InputError(
            f"{listing.source}: {PAIRS} has only one kind of pairs; there must be pairs of one person and of two"
        )
    named = named_in(pairs)
    free = {name: file for name, file in persons.items() if name not in named}
    classes = sorted({class_of(name) for name in free})
    labels, dev = (
        {name: label for label, name in enumerate(classes)},
        hold_out(free, settings.dev_fraction, settings.fold, seed),
    )
    items: dict[str, list[Item]] = {"train": [], "dev": []}
    for name, file in free.items():
        items["dev" if name in dev else "train"].append(Item(file, name, labels[class_of(name)]))
    if not items["dev"]:
        raise InputError(f"{listing.source}: nobody has two images, but one is needed for dev")
    share = f"{settings.dev_fraction:.3g} of each person's images, at least one,"
    held_out = f"; {settings.fold or share} held out as dev"
    return Layout(
        classes,
        {
            **items,
            "test": [Item(file, name, is_needed=True) for name, file in splits["test"].items()],
            "verification": [Item(persons[name], name) for name in sorted(named)],
        },
        {"classification": Submission(HEADER, "name", "index")} if "test" in splits else {},
        problems,
        pairs={"dev": pairs} if pairs else {},
        remark=held_out + (f"; the images of {PAIRS} are in neither train nor dev" if pairs else ""),
    )


def _sort(listing: Listing) -> tuple[Splits, list[tuple[str, str]]]:
    """Return the images by split, and (where, reason) of the other files among them."""
    splits = Splits(listing)
    for file in listing.images:
        if (found := by_class(file.parts)) is None:
            raise InputError(f"{listing.where(file)}: is not in a person's folder; move it into one")
        splits.add(found[0], file, found[1])
    if "train" not in splits:
        raise InputError(f"{listing.source}: there are images in test/ but none in a person's folder")
    locate = partial(by_class, above=splits.above("train"))
    filled = {("train", class_of(name)) for name in splits["train"]}
    check_filled(listing, [*listing.listed_folders(), *listing.folders_of_others()], locate, filled)
    return splits, not_images(listing, locate)


def _lfw_pairs(listing: Listing, names: Mapping[str, File]) -> list[Pair]:
    """Read the pairs of LFW's pairs.txt, if there is one. Raises InputError, naming the line."""
    table = listing.table(PAIRS.replace(".", r"\."))
    if table is None:
        return []
    where = listing.where(table)
    pairs = []
    for line, (name, other, same) in parse_lfw(listing.read(table), where):
        found = [next((file for suffix in SUFFIXES if (file := stem + suffix) in names), None) for stem in (name, other)]
        if found[0] is None or found[1] is None:
            absent = name if found[0] is None else other
            raise InputError(f"{where}: line {line}: names {absent}.jpg, which is missing; give all of LFW or no {PAIRS}")
        pairs.append(Pair(found[0], found[1], same))
    return pairs


def parse_lfw(content: bytes, where: str) -> list[tuple[int, Pair]]:
    """Parse pairs.txt into (line, pair of files without suffix). Raises InputError, naming the line.

    The first line is `10 300`, the folds and the pairs of each kind in a fold. The others are, separated by tabs,
    `name n1 n2` for one person and `name1 n1 name2 n2` for two.
    """
    lines = text_lines(content, where)
    head = lines[0][1].split() if lines else []
    if not 1 <= len(head) <= 2 or not all(map(is_number, head)):
        raise InputError(f"{where}: line 1: must be the numbers of folds and pairs, like LFW's 10 300")
    pairs = []
    for number, line in lines[1:]:
        cells = line.split("\t") if "\t" in line else line.split()
        numbers = cells[1::2] if len(cells) == 4 else cells[1:]
        if len(cells) not in (3, 4) or not all(map(is_number, numbers)):
            raise InputError(f"{where}: line {number}: must be `name n1 n2` or `name1 n1 name2 n2`, but is {line!r}")
        people = (cells[0], cells[2]) if len(cells) == 4 else (cells[0], cells[0])
        name, other = (f"{who}/{who}_{int(index):04d}" for who, index in zip(people, numbers, strict=True))
        pairs.append((number, Pair(name, other, len(cells) == 3)))
    expected = 2 * math.prod(map(int, head))
    if len(pairs) != expected:
        raise InputError(f"{where}: has {len(pairs):,} pairs, but its first line says {expected:,}; fetch it again")
    return pairs
