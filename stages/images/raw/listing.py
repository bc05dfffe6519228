"""What is in the archives: the files of images and the others; and which of the images lie in which split.

The parts of a split may lie in several archives, as Google Drive packs a large folder, if the path above them is the same.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from stages.core.errors import InputError
from stages.data.archive import Archive

SUFFIXES = (".jpg", ".jpeg", ".png")


class File(NamedTuple):
    """A member of an archive, which is given by its place among them; or a folder in it."""

    archive: int
    member: str

    @property
    def parts(self) -> tuple[str, ...]:
        """Of its path, without empty ones and dots."""
        parts = self.member.split("/")
        return (
            tuple(parts) if "" not in parts and "." not in parts else tuple(part for part in parts if part not in ("", "."))
        )


class Listing:
    """images: the files that are named as such. others: all other files."""

    def __init__(self, archives: list[Archive]) -> None:
        self.archives = archives
        self.images: list[File] = []
        self.others: list[File] = []
        for index, archive in enumerate(archives):
            for member in archive.names:
                (self.images if member.lower().endswith(SUFFIXES) else self.others).append(File(index, member))

    @property
    def source(self) -> Path:
        """The archives' folder, for messages."""
        return self.archives[0].path.parent

    def where(self, file: File) -> str:
        """Names a file in messages."""
        return f"{self.archives[file.archive].path}: {file.member}"

    def read(self, file: File) -> bytes:
        """The content of a file."""
        return self.archives[file.archive].read(file.member)

    def table(self, pattern: str) -> File | None:
        """The one file beside the images whose name is this. Raises InputError if there are two."""
        found = list(self.tables(pattern))
        if len(found) > 1:
            raise InputError(f"{self.where(found[1])}: is there a second time; the first is {self.where(found[0])}")
        return found[0] if found else None

    def tables(self, pattern: str) -> Iterator[File]:
        """The files beside the images whose names match."""
        return (file for file in self.others if re.fullmatch(pattern, file.member.rpartition("/")[2]))

    def listed_folders(self) -> Iterator[File]:
        """Every folder that the archives list, as they do the empty ones."""
        return (File(index, name) for index, archive in enumerate(self.archives) for name in archive.folders)

    def folders_of_others(self) -> Iterator[File]:
        """Every folder that holds a file beside the images, once."""
        yield from dict.fromkeys(file._replace(member=file.member.rpartition("/")[0]) for file in self.others)

    def paths(self) -> Iterator[str]:
        """Every folder of images once, with a slash at its end, and the path of every other file."""
        yield from dict.fromkeys(file.member.rpartition("/")[0] + "/" for file in self.images)
        yield from (file.member for file in self.others)


class Splits:
    """The images of each split by name: the path below the split's folder."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._files: defaultdict[str, dict[str, File]] = defaultdict(dict)
        self._first: dict[str, tuple[tuple[str, ...], File]] = {}

    def add(self, split: str, file: File, depth: int) -> None:
        """Note an image. depth: how many parts of its path lie above its name.

        Raises InputError: the split lies below two paths, or holds two files of this name.
        """
        parts = file.parts
        above, name = parts[:depth], "/".join(parts[depth:])
        first_above, first = self._first.setdefault(split, (above, file))
        if first_above != above:
            one, other = self._folder(file, above), self._folder(first, first_above)
            raise InputError(f"{one} and {other} both hold the {split} images; give one of them")
        if name in self._files[split]:
            raise InputError(f"{self._listing.where(file)}: is there a second time; remove one")
        self._files[split][name] = file

    def _folder(self, file: File, parts: tuple[str, ...]) -> str:
        return f"{self._listing.archives[file.archive].path}: {'/'.join(parts)}"

    def above(self, split: str) -> tuple[str, ...]:
        """The path above the names of a split that has images."""
        return self._first[split][0]

    def __getitem__(self, split: str) -> dict[str, File]:
        """The files of a split by name, sorted; perhaps none."""
        return dict(sorted(self._files.get(split, {}).items()))

    def __contains__(self, split: str) -> bool:
        return split in self._files
