"""Every image read in the order of its split and decoded once: by several threads, with little of it in memory."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.data.rejected import Rejected
from stages.images.raw.channel_statistics import sums
from stages.images.raw.image import Problem, decode, header
from stages.images.raw.threads import in_order
from stages.tasks.faces.raw.layout import Item, Layout


@dataclass(frozen=True)
class Examined:
    """What decoding has to convert, and the sums of the pixels, for `Moments`, if they were asked for."""

    converted: tuple[str, ...]
    sums: np.ndarray | None


def examine(content: bytes, side: int, *, add_up: bool) -> Examined | Problem:
    """What is in an image, or what is wrong with it."""
    try:
        about, pixels = decode(content, side)
    except Problem as problem:
        return problem
    return Examined(about.converted, sums(pixels) if add_up else None)


class Entry(NamedTuple):
    """An image and where it belongs: its split, and its number there. No two have the same, so entries can be sorted."""

    split: str
    place: int
    item: Item


def examine_all(
    archives: list[Archive], found: Layout, side: int, folder: Path
) -> Iterator[tuple[Entry, bytes, Examined | Problem]]:
    """(entry, content, what is found in it), each split in its order, by as many threads as OpenCV may use.

    folder: for what has to wait on disk.
    """

    def examine_entry(given: tuple[Entry, bytes]) -> tuple[Entry, bytes, Examined | Problem]:
        entry, content = given
        return entry, content, examine(content, side, add_up=entry.split == "train")

    return in_order(examine_entry, _read(archives, found, folder))


def _read(archives: list[Archive], found: Layout, folder: Path) -> Iterator[tuple[Entry, bytes]]:
    """(entry, content), each split in its order, though it may lie in several archives."""
    by_member: list[dict[str, Entry]] = [{} for _ in archives]
    for split, items in found.splits.items():
        for place, item in enumerate(items):
            by_member[item.file.archive][item.file.member] = Entry(split, place, item)

    def of_archive(index: int) -> Iterator[tuple[Entry, bytes]]:
        entries = by_member[index]
        for member, content in archives[index].ordered(sorted(entries, key=entries.__getitem__), folder):
            yield entries[member], content

    return heapq.merge(*map(of_archive, range(len(archives))), key=itemgetter(0))


def first_side(archives: list[Archive], found: Layout, rejected: Rejected) -> int:
    """The shorter side of the first good training image, by name, whatever the archives' order."""
    training = sorted(found.splits["train"], key=lambda item: item.name)
    most = 1  # at a time, and then more: an archive may be a stream, which is read from its start every time
    while training:
        sides: dict[str, int] = {}
        for index, archive in enumerate(archives):
            names = {item.file.member: item.name for item in training[:most] if item.file.archive == index}
            for member, content in archive.members(names):
                try:
                    about = header(content)
                    examined = examine(content, min(about.width, about.height), add_up=False)
                    if isinstance(examined, Problem):
                        raise examined
                    sides[names[member]] = min(about.width, about.height)
                except Problem as problem:
                    rejected.check(f"{archive.path}: {member}", str(problem))
        if sides:
            return sides[min(sides)]
        training, most = training[most:], 8 * most
    raise InputError(f"{archives[0].path.parent}: there is no good training image")
