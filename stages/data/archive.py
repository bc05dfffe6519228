"""Reading zip and tar archives, member by member, without ever unpacking them.

What is never unpacked cannot escape its folder; and DVC hashes one file in a fraction of the time of 20,000.
A folder becomes a plain (stored) zip once, with fixed times, so that the same files give the same bytes.

An archive is hostile until its opening has proven otherwise. The standard library lists its members; their contents are
read here, from the places and of the sizes that were checked, and never more than that.
"""

import bz2
import gzip
import lzma
import struct
import tarfile
import tempfile
import zipfile
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedIOBase
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, cast

from stages.core import paths
from stages.core.errors import InputError

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
# What the standard library raises for an archive that is cut short, changed or of an unknown kind: RuntimeError is its
# answer to encryption and to unknown methods; ValueError, OverflowError and OSError to impossible numbers, names, offsets.
DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(RuntimeError, ValueError, OverflowError, OSError),
)
Opener = Callable[[Path], BufferedIOBase]
COMPRESSED_TARS: dict[bytes, Opener] = {b"\x1f\x8b": gzip.GzipFile, b"BZh": bz2.BZ2File, b"\xfd7zXZ\0": lzma.LZMAFile}
# LZMA is left out: only zipfile can read it, which cannot be told where to stop.
DECOMPRESSORS: dict[int, Callable[[], Any]] = {
    zipfile.ZIP_DEFLATED: lambda: zlib.decompressobj(-zlib.MAX_WBITS),
    zipfile.ZIP_BZIP2: bz2.BZ2Decompressor,
}
LOCAL_HEADER = struct.Struct(
    "<4s2xH18xHH"
)  # signature, flags, lengths of name and extra field; the directory knows the rest
UTF_8 = 0x800  # the flag of a name that is not in code page 437
ENTRY = struct.Struct("<QQQIIB")  # of a member: offset, stored size, size; and of a zip's: CRC-32, its name's, method
TAR_HEADERS = 1 << 18  # bytes that the headers of one tar member may take, with attributes and a long name


def is_zip(path: Path) -> bool:
    """Whether the file ends as a zip does, be it a damaged one."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # of several files, it says
        return True


def pack_folder(folder: Path, out: Path) -> None:
    """Every file below `folder`, sorted, as a stored zip `out`. Raises InputError if there is none."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise InputError(f"{folder}: the folder holds no files")
    with paths.replacing(out) as partial, zipfile.ZipFile(partial, "w", allowZip64=True) as archive:
        for path in files:
            write_member(archive, path.relative_to(folder).as_posix(), path.read_bytes())


def write_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a member whose bytes in the archive depend on nothing but `name` and `content`."""
    archive.writestr(zipfile.ZipInfo(name, EPOCH), content)


class Archive:
    """A zip or tar archive that has passed its examination.

    path: its path, for messages. names: its files, in archive order, but for the notes that a Mac adds. size: the bytes
    that it unpacks to; of a tar, with headers and padding. max_bytes: a limit on that size, from max_unpacked_gb.
    Raises InputError if it is neither, is damaged or empty, unpacks to more than the limit, or holds a member that no honest
    archive does: a link, an absolute or parent path, two of one name or in one place, an encrypted or a sparse one.

    A member takes 140 bytes, its name among them, where zipfile keeps 640.
    """

    def __init__(self, path: Path, max_bytes: int | None = None) -> None:
        self.path, self.size, self._max_bytes = path, 0, max_bytes
        self._open_tar = self._find_format()
        names, entries = bytearray(), bytearray()
        with self._naming_damage():
            for name, *entry in self._walk_zip() if self._open_tar is None else self._walk_tar():
                if not name.startswith("__MACOSX/"):
                    names += name.encode() + b"\0"
                    entries += ENTRY.pack(*entry)
        if not names:
            raise InputError(f"{path}: the archive is empty")
        self._entries = bytes(entries)
        # Strings made anew: among those that zipfile made, all that it has freed would stay with this process.
        self.names = names[:-1].decode().split("\0")
        self._order = array("I", sorted(range(len(self.names)), key=self.names.__getitem__))
        for first, second in pairwise(self._order):
            if self.names[first] == self.names[second]:
                raise InputError(f"{path}: holds {self.names[first]} twice")

    def members(self, wanted: Container[str]) -> Iterator[tuple[str, bytes]]:
        """(name, content) of the members `wanted`, streamed in archive order: one pass, whatever the format."""
        with self._naming_damage(), self._open() as file:
            for index, name in enumerate(self.names):
                if name in wanted:
                    yield name, self._read(file, index)

    def read(self, name: str) -> bytes:
        """The content of one member: at once from a zip or a plain tar, while a compressed tar is read up to there."""
        with self._naming_damage(), self._open() as file:
            return self._read(file, self._index(name))

    def ordered(self, names: Sequence[str], folder: Path) -> Iterator[tuple[str, bytes]]:
        """(name, content) of the members `names`, in that order.

        A compressed tar can only be read forwards: its members wait in `folder`, in a file without a name.
        """
        if self._open_tar not in COMPRESSED_TARS.values():
            with self._naming_damage(), self._open() as file:
                for name in names:
                    yield name, self._read(file, self._index(name))
            return
        with tempfile.TemporaryFile(dir=folder) as waiting:
            places = {}
            for name, content in self.members(set(names)):
                places[name] = waiting.tell(), len(content)
                waiting.write(content)
            for name in names:
                place, size = places[name]
                waiting.seek(place)
                yield name, waiting.read(size)

    def _index(self, name: str) -> int:
        """Of a member in the archive's order. Raises KeyError."""
        place = bisect_left(self._order, name, key=self.names.__getitem__)
        if place == len(self._order) or self.names[self._order[place]] != name:
            raise KeyError(name)
        return self._order[place]

    def _find_format(self) -> Opener | None:
        """What opens the tar that the file holds, or None for a zip."""
        with self.path.open("rb") as file:
            start = file.read(tarfile.BLOCKSIZE)
        for mark, opener in COMPRESSED_TARS.items():
            if start.startswith(mark):
                return opener
        # The tar first, since a zip is known by its end, and the last member of a tar may be a zip.
        if start != tarfile.NUL * tarfile.BLOCKSIZE:  # an empty tar begins with its end
            try:
                tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
            except tarfile.HeaderError:
                if is_zip(self.path):
                    return None
                raise InputError(f"{self.path}: neither a zip nor a tar archive") from None
        return lambda path: path.open("rb")

    def _open(self) -> BufferedIOBase:
        return self.path.open("rb") if self._open_tar is None else self._open_tar(self.path)

    def _read(self, file: BufferedIOBase, index: int) -> bytes:
        name, (offset, stored, size, *zipped) = self.names[index], ENTRY.unpack_from(self._entries, index * ENTRY.size)
        file.seek(offset)
        content = self._read_zipped(file, name, stored, size, *zipped) if self._open_tar is None else file.read(size)
        if len(content) != size:
            raise EOFError(f"{name} is cut short")
        return content

    def _read_zipped(
        self, file: BufferedIOBase, name: str, stored: int, size: int, crc: int, name_crc: int, method: int
    ) -> bytes:
        signature, flags, name_length, extra_length = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
        local_name = file.read(name_length).decode("utf-8" if flags & UTF_8 else "cp437")
        if signature != b"PK\x03\x04" or zlib.crc32(local_name.encode()) != name_crc:
            raise zipfile.BadZipFile(f"{name} is not where the directory says")
        file.seek(extra_length, 1)
        content = file.read(stored)
        if method != zipfile.ZIP_STORED:
            content = DECOMPRESSORS[method]().decompress(content, size + 1)
        if len(content) > size:
            raise InputError(
                f"{self.path}: refused, because {name} unpacks to more than the {size:,} bytes that it declares"
            )
        if zlib.crc32(content) != crc:
            raise zipfile.BadZipFile(f"the checksum of {name} is wrong")
        return content

    def _walk_zip(self) -> Iterator[tuple[Any, ...]]:
        """Name and entry of each file, checked."""
        with zipfile.ZipFile(self.path) as archive:
            infos = archive.infolist()
        self._check_places(infos)
        for info in infos:
            self._grow(self.size + info.file_size, info.filename, info.file_size)
            if info.filename.endswith("/"):
                continue
            if info.flag_bits & 0x41:
                raise InputError(f"{self.path}: {info.filename} is encrypted")
            method = info.compress_type
            if method != zipfile.ZIP_STORED and method not in DECOMPRESSORS:
                raise InputError(
                    f"{self.path}: {info.filename} is compressed by method {method}; pack the archive anew, deflated"
                )
            self._check_name(info.orig_filename, is_special=(info.external_attr >> 16) & 0o170000 == 0o120000)
            self._check_name(info.filename)
            name_crc = zlib.crc32(info.orig_filename.encode())
            yield info.filename, info.header_offset, info.compress_size, info.file_size, info.CRC, name_crc, method

    def _check_places(self, infos: list[zipfile.ZipInfo]) -> None:
        """Members that share bytes are how a zip of 10 MB unpacks to 281 TB (D. Fifield, "A better zip bomb", 2019)."""
        infos = sorted(infos, key=lambda info: info.header_offset)
        ends = [info.header_offset for info in infos[1:]] + [self.path.stat().st_size]
        for info, end in zip(infos, ends, strict=False):
            if info.header_offset + LOCAL_HEADER.size + info.compress_size > end:
                raise InputError(f"{self.path}: refused, because {info.filename} lies over another member or beyond the end")

    def _walk_tar(self) -> Iterator[tuple[Any, ...]]:
        """The same of a tar, whose headers stand before each file and are followed to the very end."""
        with self._open() as file:
            headers = _Headers(file)
            try:
                tar = tarfile.TarFile(fileobj=cast(BinaryIO, headers))
            except tarfile.ReadError:
                raise InputError(f"{self.path}: neither a zip nor a tar archive") from None
            while (info := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # it would keep them all
                headers.left = TAR_HEADERS
                self._grow(tar.offset, info.name, info.size)
                if info.isdir():
                    continue
                if info.issparse():
                    raise InputError(f"{self.path}: refused, because {info.name} is a sparse file, of any size it says")
                self._check_name(info.name, is_special=not info.isfile())
                yield info.name, info.offset_data, info.size, info.size, 0, 0, 0
            # tarfile takes a damaged header for the end, and does not read as far as a compressed stream's checksum.
            if headers.last != tarfile.NUL * tarfile.BLOCKSIZE:
                raise tarfile.ReadError("its end is missing")
            while padding := file.read(1 << 20):
                self._grow(file.tell(), "padding", len(padding))

    def _grow(self, size: int, name: str, by: int) -> None:
        """Note that up to here, with the member `name` of `by` bytes, the archive unpacks to `size`."""
        self.size = size
        if self._max_bytes is not None and size > self._max_bytes:
            raise InputError(
                f"{self.path}: refused, because with {name} of {by:,} bytes it unpacks to more than the "
                f"{self._max_bytes / 1e9:.4g} GB that max_unpacked_gb leaves it; raise that if you trust the archive"
            )

    def _check_name(self, name: str, is_special: bool = False) -> None:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InputError(f"{self.path}: the member name {name!r} is not Unicode") from None
        if is_special or name.startswith("/") or ".." in name.split("/") or "\\" in name:
            raise InputError(f"{self.path}: refused, because the member {name!r} is a link or leaves its folder")
        if not name or "\0" in name:
            raise InputError(f"{self.path}: refused, because {name!r} is no name for a member")

    @contextmanager
    def _naming_damage(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except DAMAGE as error:
            raise InputError(f"{self.path}: the archive is damaged ({error}); fetch it again") from error


class _Headers:
    """An unpacked tar as tarfile may see it: forwards only, and little at a time.

    tarfile believes a header that says that its name is a gigabyte long, or that the next header lies before it.
    """

    def __init__(self, file: BufferedIOBase) -> None:
        self._file, self.left, self.last = file, TAR_HEADERS, b""

    def read(self, size: int) -> bytes:
        self.left -= size
        if size < 0 or self.left < 0:
            raise tarfile.TarError("the headers of a member do not end")
        self.last = self._file.read(size)
        return self.last

    def seek(self, offset: int) -> None:
        if offset < self._file.tell():
            raise tarfile.TarError("a header points backwards")
        self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()


def find(archives: Sequence[Archive], *names: str) -> Iterator[tuple[str, bytes]]:
    """(where, content) of every member whose file, whatever its folder, has one of these names; where is for messages."""
    for archive in archives:
        for member in archive.names:
            if member.rpartition("/")[2] in names:
                yield f"{archive.path}: {member}", archive.read(member)


def open_all(folder: Path, max_bytes: int | None = None) -> list[Archive]:
    """Every archive in `folder`, sorted by name. max_bytes: what they may unpack to, all together.

    Raises InputError if there is none, and where Archive does.
    """
    found = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not found:
        raise InputError(f"{folder}: holds no archive; `dvc repro` downloads them")
    archives = []
    for path in found:
        archives.append(Archive(path, max_bytes))
        if max_bytes is not None:
            max_bytes -= archives[-1].size
    return archives
