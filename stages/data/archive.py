"""Read zip and tar archives member by member, without unpacking them to disk.

So no member can leave its folder, and DVC hashes one file instead of 20,000. A folder is packed once as an uncompressed zip
with fixed times, so that equal files give equal bytes.
"""

import lzma
import stat
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stages.core import paths
from stages.core.errors import InputError

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time in a zip
# The standard library's exceptions for damaged archives: RuntimeError for unknown features, ValueError, OverflowError and
# OSError for impossible numbers and offsets.
DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError),
    *(RuntimeError, ValueError, OverflowError, OSError),
)
# zipfile stops these methods at the declared size, but lets bzip2 and LZMA use any amount of memory.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Files of macOS, Windows, file managers and network drives. Like names that begin with a dot, they are ignored.
LITTER = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "@eadir"}


class TooLarge(InputError):
    """The archive unpacks to more than max_unpacked_gb."""


def pack_folder(folder: Path, out: Path, top: str = "") -> None:
    """Pack every file and empty folder below `folder`, sorted, into the uncompressed zip `out`; links are followed.

    top: the folder that holds them there. Raises InputError for a folder without files, a link to nowhere or to a folder
    above it, and a name that is not Unicode.
    """
    found = sorted(_files(folder, [folder.resolve()]))
    if all(path.is_dir() for path in found):
        raise InputError(f"{folder}: the folder holds no files")
    with paths.replacing(out) as partial, zipfile.ZipFile(partial, "w", allowZip64=True) as archive:
        for path in found:
            name = (top / path.relative_to(folder)).as_posix()
            if path.is_dir():
                write_member(archive, f"{name}/", b"")
            else:
                write_member(archive, name, path.read_bytes())


def _files(folder: Path, above: list[Path]) -> Iterator[Path]:
    """Yield the files and empty folders below `folder`. above: `folder` and its parents, resolved, to detect loops."""
    for path in folder.iterdir():
        if not is_visible(path.name):
            continue
        try:
            path.name.encode()
        except UnicodeEncodeError:
            raise InputError(f"{str(path)!a}: the file's name is not Unicode; rename it") from None
        if not path.exists():
            raise InputError(f"{path}: is a link to {path.readlink()}, which does not exist")
        if path.is_dir():
            target = path.resolve()
            if target in above:
                raise InputError(f"{path}: is a link to {target}, a folder above it; remove the link")
            yield from list(_files(path, [*above, target])) or [path]
        elif path.is_file():
            yield path


def write_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a member whose bytes in the archive depend only on `name` and `content`."""
    archive.writestr(zipfile.ZipInfo(name, EPOCH), content)


class Archive:
    """A zip or tar archive with checked members. It stays open for the life of this object.

    path: the archive's path, for messages. names: its visible files (`is_visible`), in archive order, in Unicode's NFC form.
    folders: the folders that it lists, possibly only the empty ones. unread: the files that have not been read yet. size:
    the bytes that it unpacks to, for a tar with headers and padding. max_bytes: the limit on that size, from
    max_unpacked_gb.
    Raises InputError for another format, a damaged, empty, encrypted or too large archive, and a member that is a link, has
    an absolute or parent path, or appears twice.
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
        """Yield (name, content) of the members in `wanted`, in archive order, in one pass."""
        for name in self.names:
            if name in wanted:
                yield name, self.read(name)

    def read(self, name: str) -> bytes:
        """Return a member's content; reads a compressed tar up to there. Raises KeyError."""
        size, header = self._members[name]
        with self._naming_damage(), self._stream(header) as stream:
            content: bytes = stream.read(size)
            if len(content) != size:
                raise EOFError(f"{name} is cut short")
        self.unread.pop(name, None)
        return content

    def ordered(self, names: Sequence[str], folder: Path) -> Iterator[tuple[str, bytes]]:
        """Yield (name, content) of the members `names`, in that order.

        A tar, which may be compressed, is read once, through a temporary file in `folder`.
        """
        if self._is_zip:
            for name in names:
                yield name, self.read(name)
            return
        with tempfile.TemporaryFile(dir=folder) as buffer:
            spans = {}
            for name, content in self.members(set(names)):
                spans[name] = buffer.tell(), len(content)
                buffer.write(content)
            for name in names:
                offset, size = spans[name]
                buffer.seek(offset)
                yield name, buffer.read(size)

    def _examine_zip(self, archive: zipfile.ZipFile) -> None:
        # PowerShell 5 and some old Windows programs write backslashes instead of slashes.
        slash = "/" if any("/" in info.filename for info in archive.infolist()) else "\\"
        for info in archive.infolist():
            name = info.filename
            if not info.flag_bits & 0x800:  # not marked as UTF-8; Info-ZIP on Linux writes UTF-8 all the same
                with suppress(UnicodeError):
                    name = name.encode("cp437").decode()
            name = name.replace(slash, "/")
            self._grow(self.size + info.file_size, f"{name} of {info.file_size:,} bytes")
            if name.endswith("/"):
                self._add_folder(name)
                continue
            if info.flag_bits & 1:
                raise InputError(f"{self.path}: {name} is encrypted")
            if info.compress_type not in METHODS:
                what = f"{name} is compressed by method {info.compress_type}"
                raise InputError(f"{self.path}: {what}; pack the archive again, deflated")
            self._add(name, info.file_size, info, is_special=stat.S_ISLNK(info.external_attr >> 16))

    def _examine_tar(self, archive: tarfile.TarFile) -> None:
        """Each header precedes its file, so nothing beyond the limit is unpacked."""
        for info in archive:
            if info.size < 0:
                raise tarfile.ReadError(f"{info.name} has a negative size")
            self._grow(archive.offset, f"{info.name} of {info.size:,} bytes")
            if info.isdir():
                self._add_folder(info.name)
            else:
                self._add(info.name, info.size, info, is_special=not info.isfile() or info.issparse())
        # tarfile takes a damaged header for the end, and does not read up to the compressed stream's checksum.
        file: Any = archive.fileobj
        file.seek(archive.offset)
        if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise tarfile.ReadError("its end is missing")
        while file.read(1 << 20):
            self._grow(file.tell(), "what follows its end")

    def _grow(self, size: int, what: str) -> None:
        """Record the unpacked size so far. Raises TooLarge above the limit."""
        self.size = size
        if self._max_bytes is not None and size > self._max_bytes:
            raise TooLarge(
                f"{self.path}: refused, because with {what} it unpacks to more than the {self._max_bytes / 1e9:.4g} GB "
                "that max_unpacked_gb leaves it; raise that if you trust the archive"
            )

    def _add(self, name: str, size: int, header: Any, *, is_special: bool) -> None:
        if is_special or not is_safe(name):
            raise InputError(f"{self.path}: refused, because the member {name!r} is a link or leaves its folder")
        name = unicodedata.normalize("NFC", name)  # macOS decomposes é, tables may not
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
    """Whether no part of a path begins with a dot or is in LITTER."""
    parts = name.removeprefix("./").split("/")
    return not any(part.startswith(".") or part.lower() in LITTER for part in parts)


def is_safe(name: str) -> bool:
    """Whether a member's name stays in the archive's folder."""
    return bool(name) and not name.startswith("/") and ".." not in name.split("/") and "\\" not in name


def _open(path: Path) -> zipfile.ZipFile | tarfile.TarFile:
    # Try tar first: a zip is recognised by its end, and the last member of a tar may be a zip.
    try:
        return tarfile.open(path, encoding="utf-8", errors="replace")
    except tarfile.ReadError:
        if zipfile.is_zipfile(path):
            return zipfile.ZipFile(path)
    raise InputError(f"{path}: neither a zip nor a tar archive")


def find(archives: Sequence[Archive], *names: str) -> Iterator[tuple[str, bytes]]:
    """Yield (where, content) of every member with one of these file names, in any folder; `where` is for messages."""
    for archive in archives:
        for member in archive.names:
            if member.rpartition("/")[2] in names:
                yield f"{archive.path}: {member}", archive.read(member)


def open_all(folder: Path, max_bytes: int | None = None) -> list[Archive]:
    """Open every archive in `folder`, sorted by name. max_bytes: the most that they may unpack to together.

    Raises InputError if there is none, and like Archive.
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
