"""Reading zip and tar archives, member by member, without ever unpacking them.

What is never unpacked cannot escape its folder; and DVC hashes one file in a fraction of the time of 20,000.
A folder becomes a plain (stored) zip once, with fixed times, so that the same files give the same bytes.
"""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from stages.engine import paths
from stages.engine.errors import InputError

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
# What the standard library raises for an archive that is cut short, changed or of an unknown kind: RuntimeError is its
# answer to encryption and to unknown methods, ValueError and OSError to impossible numbers, names and offsets.
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError, OSError)


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
    """A zip or tar archive open for reading.

    path: its path, for messages. names: its files, in archive order, but for the notes that a Mac adds.
    Raises InputError if it is neither, is damaged or empty, or holds a member that no honest archive does:
    a link, an absolute or parent path, two of one name, an encrypted one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        path.open("rb").close()  # a file that cannot be opened is not a damaged one
        try:
            if zipfile.is_zipfile(path):
                self._zip = zipfile.ZipFile(path)
                self.names = [self._check_zip(info) for info in self._zip.infolist() if not info.is_dir()]
            elif tarfile.is_tarfile(path):
                with tarfile.open(path) as tar:
                    self.names = [self._check_tar(info) for info in tar if not info.isdir()]
                    self._check_end(tar)
            else:
                raise InputError(f"{path}: neither a zip nor a tar archive")
        except InputError:
            raise
        except DAMAGE as error:
            raise self._damaged(error) from error
        self.names = [name for name in self.names if not name.startswith("__MACOSX/")]
        if not self.names:
            raise InputError(f"{path}: the archive is empty")
        seen: set[str] = set()
        for name in self.names:
            if name in seen:
                raise InputError(f"{path}: holds {name} twice")
            seen.add(name)

    def members(self, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
        """(name, content) of the members `wanted`, streamed in archive order: one pass, whatever the format."""
        try:
            if self._zip is not None:
                for name in self.names:
                    if name in wanted:
                        yield name, self._zip.read(name)
                return
            with tarfile.open(self.path) as tar:
                for info in tar:
                    if info.isfile() and info.name in wanted:
                        content = tar.extractfile(info)
                        assert content is not None
                        yield info.name, content.read()
        except DAMAGE as error:
            raise self._damaged(error) from error

    def read(self, name: str) -> bytes:
        """The content of one member."""
        return next(content for _, content in self.members({name}))

    def _damaged(self, error: Exception) -> InputError:
        return InputError(f"{self.path}: the archive is damaged ({error}); fetch it again")

    def _check_end(self, tar: tarfile.TarFile) -> None:
        """tarfile takes a damaged header for the end, and does not read as far as a compressed stream's checksum."""
        assert tar.fileobj is not None
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            raise tarfile.ReadError("its end is missing")
        while tar.fileobj.read(1 << 20):
            pass

    def _check_zip(self, info: zipfile.ZipInfo) -> str:
        if info.flag_bits & 1:
            raise InputError(f"{self.path}: {info.filename} is encrypted")
        is_link = (info.external_attr >> 16) & 0o170000 == 0o120000
        return self._check_name(info.filename, is_link)

    def _check_tar(self, info: tarfile.TarInfo) -> str:
        return self._check_name(info.name, not info.isfile())

    def _check_name(self, name: str, is_special: bool) -> str:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InputError(f"{self.path}: the member name {name!r} is not Unicode") from None
        pure = PurePosixPath(name)
        if is_special or pure.is_absolute() or ".." in pure.parts or "\\" in name:
            raise InputError(f"{self.path}: refused, because the member {name!r} is a link or leaves its folder")
        return name


def open_all(folder: Path) -> list[Archive]:
    """Every archive in `folder`, sorted by name. Raises InputError if there is none."""
    found = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not found:
        raise InputError(f"{folder}: holds no archive; `dvc repro` downloads them")
    return [Archive(path) for path in found]
