"""Read the images in the order of their splits and decode each once, with several threads and in little memory."""

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
    """What decoding converts, and, if requested, the sums of the pixels for `Moments`."""

    converted: tuple[str, ...]
    sums: np.ndarray | None


def examine(content: bytes, side: int, *, add_up: bool) -> Examined | Problem:
    """Examine an image, or return what is wrong with it."""
    try:
        found, pixels = decode(content, side)
    except Problem as problem:
        return problem
    return Examined(found.converted, sums(pixels) if add_up else None)


class Entry(NamedTuple):
    """An image with its split and its position there, by which entries are sorted."""

    split: str
    position: int
    item: Item


def examine_all(
    archives: list[Archive], found: Layout, side: int, folder: Path
) -> Iterator[tuple[Entry, bytes, Examined | Problem]]:
    """Yield (entry, content, result), each split in its order, with as many threads as OpenCV may use.

    folder: for temporary files.
    """

    def examine_entry(image: tuple[Entry, bytes]) -> tuple[Entry, bytes, Examined | Problem]:
        entry, content = image
        return entry, content, examine(content, side, add_up=entry.split == "train")

    return in_order(examine_entry, _read(archives, found, folder))


def _read(archives: list[Archive], found: Layout, folder: Path) -> Iterator[tuple[Entry, bytes]]:
    """Yield (entry, content), each split in its order, even if it is spread over several archives."""
    by_member: list[dict[str, Entry]] = [{} for _ in archives]
    for split, items in found.splits.items():
        for index, item in enumerate(items):
            by_member[item.file.archive][item.file.member] = Entry(split, index, item)

    def of_archive(index: int) -> Iterator[tuple[Entry, bytes]]:
        entries = by_member[index]
        for member, content in archives[index].ordered(sorted(entries, key=entries.__getitem__), folder):
            yield entries[member], content

    return heapq.merge(*map(of_archive, range(len(archives))), key=itemgetter(0))


def first_side(archives: list[Archive], found: Layout, rejected: Rejected) -> int:
    """Return the shorter side of the first good training image by name. Raises InputError if there is none."""
    training = sorted(found.splits["train"], key=lambda item: item.name)
    chunk = 1  # images to try at once; it grows, as a compressed tar is read from its start every time
    while training:
        sides: dict[str, int] = {}
        for index, archive in enumerate(archives):
            names = {item.file.member: item.name for item in training[:chunk] if item.file.archive == index}
            for member, content in archive.members(names):
                try:
                    size = header(content)
                    examined = examine(content, min(size.width, size.height), add_up=False)
                    if isinstance(examined, Problem):
                        raise examined
                    sides[names[member]] = min(size.width, size.height)
                except Problem as problem:
                    rejected.check(f"{archive.path}: {member}", str(problem))
        if sides:
            return sides[min(sides)]
        training, chunk = training[chunk:], 8 * chunk
    raise InputError(f"{archives[0].path.parent}: there is no good training image")
