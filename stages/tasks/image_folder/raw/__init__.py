"""A folder for each class -> data/features/<task>/: images.npy (N, side, side, 3) uint8, labels.npy, names; stats.json.

Each image is decoded and scaled once, as users' images are often a hundred times as large as a network's inputs.
"""

from collections.abc import Iterator
from pathlib import Path

from stages.data.archive import Archive
from stages.images.raw import packing
from stages.images.raw.image import Problem, decode
from stages.images.raw.listing import Listing
from stages.images.raw.packing import Item
from stages.images.raw.threads import in_order
from stages.tasks.image_folder import HEADER
from stages.tasks.image_folder.raw import layout
from stages.tasks.image_folder.raw.layout import Layout, Place
from stages.tasks.image_folder.settings import Settings
from stages.tasks.image_folder.statistics import Stats


def pack(archives: list[Archive], out: Path, settings: Settings, seed: int) -> Stats:
    """Decode and check every image, write the splits below `out`, and return their statistics (see `packing.pack`).

    Raises InputError for an unknown layout, and like `packing.pack`.
    """
    listing = Listing(archives)
    found = layout.read(listing, settings, seed)
    items = _items(listing, found, settings.side)
    return packing.pack(
        items, archives, out, settings, layout=found.name, classes=found.classes, side=settings.side, header=HEADER
    )


def _items(listing: Listing, found: Layout, side: int) -> Iterator[Item]:
    """Yield the files that do not fit the layout, then every image in the archives' order."""
    for where, reason in found.problems:
        yield Item("train", "", where, None, None, reason)

    def members() -> Iterator[tuple[str, Place, bytes]]:
        for index, archive in enumerate(listing.archives):
            places = {file.member: place for file, place in found.places.items() if file.archive == index}
            for member, content in archive.members(places):
                yield f"{archive.path}: {member}", places[member], content

    def item(member: tuple[str, Place, bytes]) -> Item:
        where, (split, name, label), content = member
        try:
            header, image = decode(content, side)
            return Item(split, name, where, image, label, None, "alpha" in header.converted)
        except Problem as problem:
            return Item(split, name, where, None, label, str(problem))

    yield from in_order(item, members())
