"""Reading zip and tar archives member by member, by the standard library, without unpacking them to disk.

What is never unpacked cannot leave its folder, and DVC hashes one file much faster than 20,000. A folder becomes a plain
(stored) zip once, with fixed times, so that the same files give the same bytes.
"""

import lzma
import stat
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.core import paths
from stages.core.errors import InputError

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
# What the standard library raises for an archive that is cut short or changed: RuntimeError for features that it does not
# know, ValueError, OverflowError and OSError for impossible numbers and offsets.
DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError),
    *(RuntimeError, ValueError, OverflowError, OSError),
)
# The methods that zipfile stops at the declared size; it gives bzip2 and LZMA as much memory as their input asks for.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What macOS, Windows, file managers and network drives leave in a folder; with what begins with a dot, no task's data.
LITTER = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "@eadir"}


class TooLarge(InputError):
    """The archive unpacks to more than max_unpacked_gb."""


def pack_folder(folder: Path, out: Path) -> None:
    """Write every file and empty folder below `folder`, sorted, to the stored zip `out`; links as what they lead to.

    Raises InputError: there is no file; a link leads nowhere or to a folder that it lies in; a name is no Unicode.
    """
    found = sorted(_files(folder, [folder.resolve()]))
    if all(path.is_dir() for path in found):
        raise InputError(f"{folder}: the folder holds no files")
    with paths.replacing(out) as partial, zipfile.ZipFile(partial, "w", allowZip64=True) as archive:
        for path in found:
            name = path.relative_to(folder).as_posix()
            if path.is_dir():
                write_member(archive, f"{name}/", b"")
            else:
                write_member(archive, name, path.read_bytes())


def _files(folder: Path, above: list[Path]) -> Iterator[Path]:
    """The files and empty folders below a folder.

    above: that folder and those it lies in, with links resolved: a loop comes back to one.
    """
    for path in folder.iterdir():
        if not is_visible(path.name):
            continue
        try:
            path.name.encode()
        except UnicodeEncodeError:
            raise InputError(f"{str(path)!a}: the file's name is not Unicode; rename it") from None
        if not path.exists():
            raise InputError(f"{path}: is a link to {path.readlink()}, which is not there")
        if path.is_dir():
            target = path.resolve()
            if target in above:
                raise InputError(f"{path}: is a link to {target}, which it lies in; remove the link")
            yield from list(_files(path, [*above, target])) or [path]
        elif path.is_file():
            yield path


def write_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a member whose bytes in the archive depend only on `name` and `content`."""
    archive.writestr(zipfile.ZipInfo(name, EPOCH), content)


class Archive:
    """A zip or tar archive whose members have been checked; it stays open as long as this object lives.

    path: its path, for messages. names: its files, in archive order, without hidden files and litter (`is_visible`), in
    Unicode's form NFC. folders: those that it lists, be it all or the empty ones. unread: the files that nobody has read
    yet. size: the bytes that it unpacks to; of a tar, with headers and padding. max_bytes: a limit on that size, from
    max_unpacked_gb.
    Raises InputError if it is neither format, damaged, empty, larger than the limit, encrypted, or if a member is a link,
    has an absolute or parent path, or appears twice.
    """

    def __init__(self, path: Path, max_bytes: int | None = None) -> None:
        self.path, self.size, self._max_bytes = path, 0, max_bytes
        self._members: dict[str, tuple[int, Any]] = {}  # by name: size and header
        self.folders: list[str] = []
        with self._naming_damage():
            archive = _open(path)
            self._is_zip = isinstance(archive, zipfile.ZipFile)
            if isinstance(archive, zipfile.ZipFile):
                self._stream: Callable[[Any], Any] = archive.open
                self._examine_zip(archive)
            else:
                self._stream = archive.extractfile
                self._examine_tar(archive)
        self.names = list(self._members)
        self.unread = dict.fromkeys(self.names)
        if not self.names:
            raise InputError(f"{path}: the archive is empty")

    def members(self, wanted: Container[str]) -> Iterator[tuple[str, bytes]]:
        """(name, content) of the members `wanted`, in archive order: one pass, whatever the format."""
        for name in self.names:
            if name in wanted:
                yield name, self.read(name)

    def read(self, name: str) -> bytes:
        """The content of one member; a compressed tar is read up to there. Raises KeyError."""
        size, header = self._members[name]
        with self._naming_damage(), self._stream(header) as stream:
            content: bytes = stream.read(size)
            if len(content) != size:
                raise EOFError(f"{name} is cut short")
        self.unread.pop(name, None)
        return content

    def ordered(self, names: Sequence[str], folder: Path) -> Iterator[tuple[str, bytes]]:
        """(name, content) of the members `names`, in that order.

        A tar, which may be compressed, is read forwards once: its members wait in `folder`, in a temporary file.
        """
        if self._is_zip:
            for name in names:
                yield name, self.read(name)
            return
        with tempfile.TemporaryFile(dir=folder) as waiting:
            places = {}
            for name, content in self.members(set(names)):
                places[name] = waiting.tell(), len(content)
                waiting.write(content)
            for name in names:
                offset, size = places[name]
                waiting.seek(offset)
                yield name, waiting.read(size)

    def _examine_zip(self, archive: zipfile.ZipFile) -> None:
        # PowerShell 5 and some old programs of Windows write backslashes for the slashes that the format asks for.
        slash = "/" if any("/" in info.filename for info in archive.infolist()) else "\\"
        for info in archive.infolist():
            self._grow(self.size + info.file_size, f"{info.filename} of {info.file_size:,} bytes")
            name = info.filename.replace(slash, "/")
            if name.endswith("/"):
                self._add_folder(name)
                continue
            if info.flag_bits & 1:
                raise InputError(f"{self.path}: {info.filename} is encrypted")
            if info.compress_type not in METHODS:
                what = f"{info.filename} is compressed by method {info.compress_type}"
                raise InputError(f"{self.path}: {what}; pack the archive again, deflated")
            self._add(name, info.file_size, info, is_special=stat.S_ISLNK(info.external_attr >> 16))

    def _examine_tar(self, archive: tarfile.TarFile) -> None:
        """A tar's headers stand before each file, so nothing beyond the limit is unpacked."""
        for info in archive:
            if info.size < 0:
                raise tarfile.ReadError(f"{info.name} has a negative size")
            self._grow(archive.offset, f"{info.name} of {info.size:,} bytes")
            if info.isdir():
                self._add_folder(info.name)
            else:
                self._add(info.name, info.size, info, is_special=not info.isfile() or info.issparse())
        # tarfile takes a damaged header for the end, and does not read as far as a compressed stream's checksum.
        file: Any = archive.fileobj
        file.seek(archive.offset)
        if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise tarfile.ReadError("its end is missing")
        while file.read(1 << 20):
            self._grow(file.tell(), "what follows its end")

    def _grow(self, size: int, what: str) -> None:
        """Note that the archive unpacks to `size` up to here."""
        self.size = size
        if self._max_bytes is not None and size > self._max_bytes:
            raise TooLarge(
                f"{self.path}: refused, because with {what} it unpacks to more than the {self._max_bytes / 1e9:.4g} GB "
                "that max_unpacked_gb leaves it; raise that if you trust the archive"
            )

    def _add(self, name: str, size: int, header: Any, *, is_special: bool) -> None:
        if is_special or not is_safe(name):
            raise InputError(f"{self.path}: refused, because the member {name!r} is a link or leaves its folder")
        name = unicodedata.normalize("NFC", name)  # macOS decomposes é; a table that lists the file may not
        if name in self._members:
            raise InputError(f"{self.path}: holds {name} twice")
        if is_visible(name):
            self._members[name] = size, header

    def _add_folder(self, name: str) -> None:
        if is_visible(name := unicodedata.normalize("NFC", name.rstrip("/"))):
            self.folders.append(name)

    @contextmanager
    def _naming_damage(self) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except DAMAGE as error:
            raise InputError(f"{self.path}: the archive is damaged ({error}); fetch it again") from error


def is_visible(name: str) -> bool:
    """Whether a path holds data: no part of it begins with a dot or is an operating system's litter."""
    parts = name.removeprefix("./").split("/")
    return not any(part.startswith(".") or part.lower() in LITTER for part in parts)


def is_safe(name: str) -> bool:
    """Whether a member's name stays in the archive's folder."""
    return bool(name) and not name.startswith("/") and ".." not in name.split("/") and "\\" not in name


def _open(path: Path) -> zipfile.ZipFile | tarfile.TarFile:
    # The tar first, since a zip is known by its end, and the last member of a tar may be a zip.
    try:
        return tarfile.open(path, encoding="utf-8", errors="replace")
    except tarfile.ReadError:
        if zipfile.is_zipfile(path):
            return zipfile.ZipFile(path)
    raise InputError(f"{path}: neither a zip nor a tar archive")


def find(archives: Sequence[Archive], *names: str) -> Iterator[tuple[str, bytes]]:
    """(where, content) of every member whose file, in any folder, has one of these names; where is for messages."""
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
