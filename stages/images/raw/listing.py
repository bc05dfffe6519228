"""The files in the archives, and the images of each split.

A split may be spread over several archives, as Google Drive packs a large folder, if the path above it is the same.
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
    """A file or folder in an archive, which is given by its index."""

    archive: int
    member: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the path, without empty ones and dots."""
        return tuple(part for part in self.member.split("/") if part not in ("", "."))

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders above it in lower case, as Train/ is the same split as train/."""
        return tuple(part.lower() for part in self.parts[:-1])


class Listing:
    """The files of all archives. images: those with an image's suffix. others: the rest."""

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
        """Return a file's name for messages."""
        return f"{self.archives[file.archive].path}: {file.member}"

    def read(self, file: File) -> bytes:
        """Read a file."""
        return self.archives[file.archive].read(file.member)

    def table(self, pattern: str) -> File | None:
        """Return the other file whose name matches `pattern`, or None. Raises InputError if there are two."""
        found = list(self.tables(pattern))
        if len(found) > 1:
            raise InputError(f"{self.where(found[1])}: is a duplicate of {self.where(found[0])}; remove one")
        return found[0] if found else None

    def tables(self, pattern: str) -> Iterator[File]:
        """Yield the other files whose names match `pattern`."""
        return (file for file in self.others if re.fullmatch(pattern, file.member.rpartition("/")[2]))

    def listed_folders(self) -> Iterator[File]:
        """Yield the folders that the archives list, possibly only the empty ones."""
        return (File(index, name) for index, archive in enumerate(self.archives) for name in archive.folders)

    def folders_of_others(self) -> Iterator[File]:
        """Yield the folders that hold other files."""
        yield from dict.fromkeys(file._replace(member=file.member.rpartition("/")[0]) for file in self.others)

    def paths(self) -> Iterator[str]:
        """Yield the folders of images, with a slash at the end, and the paths of the other files."""
        yield from dict.fromkeys(file.member.rpartition("/")[0] + "/" for file in self.images)
        yield from (file.member for file in self.others)


class Splits:
    """The images of each split by name, the path below the split's folder."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._files: defaultdict[str, dict[str, File]] = defaultdict(dict)
        self._first: dict[str, tuple[tuple[str, ...], File]] = {}

    def add(self, split: str, file: File, depth: int) -> None:
        """Add an image. depth: the number of parts of its path above its name.

        Raises InputError if the split lies below two paths, or has two images of this name.
        """
        parts = file.parts
        above, name = parts[:depth], "/".join(parts[depth:])
        first_above, first = self._first.setdefault(split, (above, file))
        if first_above != above:
            one, other = self._folder(file, above), self._folder(first, first_above)
            raise InputError(f"{one} and {other} both hold the {split} images; give one of them")
        if name in self._files[split]:
            raise InputError(f"{self._listing.where(file)}: is a duplicate; remove one")
        self._files[split][name] = file

    def _folder(self, file: File, parts: tuple[str, ...]) -> str:
        return f"{self._listing.archives[file.archive].path}: {'/'.join(parts)}"

    def above(self, split: str) -> tuple[str, ...]:
        """Return the path above the images of a split."""
        return self._first[split][0]

    def __getitem__(self, split: str) -> dict[str, File]:
        """Return the files of a split by name, sorted."""
        return dict(sorted(self._files.get(split, {}).items()))

    def __contains__(self, split: str) -> bool:
        return split in self._files
