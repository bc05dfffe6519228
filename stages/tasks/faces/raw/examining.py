"""Every image read in the order of its split and decoded once: by several threads, with little of it in memory."""

import heapq
import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.data.rejected import Rejected
from stages.images import storage
from stages.images.raw.channel_statistics import sums
from stages.tasks.faces.raw.image import Problem, check_whole, header
from stages.tasks.faces.raw.layout import Item, Layout

AHEAD = 2  # groups of images in work for each thread, so that none of them waits
GROUP = 8  # images that change threads together: one by one, the changing takes a tenth of the time


@dataclass(frozen=True)
class Examined:
    """What decoding has to convert, and the sums of the pixels, for `Moments`, if they were asked for."""

    converted: tuple[str, ...]
    sums: np.ndarray | None


def examine(content: bytes, side: int, *, add_up: bool) -> Examined | Problem:
    """What is in an image, or what is wrong with it."""
    try:
        about = header(content)
        about.check_size(side)
        pixels = storage.decode(np.frombuffer(content, np.uint8), side)
        check_whole(content, pixels)
    except Problem as problem:
        return problem
    except ValueError as error:
        return Problem(str(error))
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

    folder: for what has to wait on disk. They run at the same time, as OpenCV lets go of Python's lock; what waits is
    bounded, and so is the memory.
    """

    def examine_group(group: list[tuple[Entry, bytes]]) -> list[tuple[Entry, bytes, Examined | Problem]]:
        return [(entry, content, examine(content, side, add_up=entry.split == "train")) for entry, content in group]

    members = _read(archives, found, folder)
    groups = iter(lambda: list(itertools.islice(members, GROUP)), [])
    threads = cv2.getNumThreads()
    if threads <= 1:  # another would only wait for this one
        yield from itertools.chain.from_iterable(map(examine_group, groups))
        return
    waiting: deque[Future[list[tuple[Entry, bytes, Examined | Problem]]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for group in groups:
            waiting.append(pool.submit(examine_group, group))
            if len(waiting) > AHEAD * threads:
                yield from waiting.popleft().result()
        for future in waiting:
            yield from future.result()


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
