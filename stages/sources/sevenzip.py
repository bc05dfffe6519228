"""7z archives in a zip, such as train.7z and test.7z in Kaggle's cifar-10.zip: each becomes an uncompressed zip.

py7zr (LGPL-2.1-or-later) writes the members straight into the zip, so no member's name reaches the disk. It keeps the packed
7z in memory, and about 2 kB per member: some 1.2 GB for Kaggle's CIFAR-10.
"""

import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from stages.core import paths
from stages.core.errors import InputError
from stages.data.archive import TooLarge, is_safe, is_visible, write_member

METHODS = {"LZMA", "LZMA2", "COPY", "BCJ"}  # py7zr ignores a member's size with some of the others


def repack(archive: Path, out: Path, *, max_bytes: int) -> list[Path]:
    """For each <stem>.7z in the zip `archive`, write an uncompressed zip out/<stem>.zip. Return the new zips.

    A 7z beside a folder <stem> with its members is skipped, and so is every 7z in a tar. Equal 7z files give equal bytes.
    max_bytes: the most that `archive` and the new zips may unpack to together. Raises InputError if a 7z is damaged,
    encrypted, too large, packed by a method that is not in METHODS, or has a link, an absolute or parent path or two members
    of one name, and if the zip exists.
    """
    if not zipfile.is_zipfile(archive):
        return []
    new: list[Path] = []
    with zipfile.ZipFile(archive) as outer:
        names, left = outer.namelist(), max_bytes - sum(info.file_size for info in outer.infolist())
        for name in names:
            path, where = PurePosixPath(name), f"{archive}: {name}"
            if path.suffix.lower() != ".7z" or any(other.startswith(f"{path.with_suffix('')}/") for other in names):
                continue
            final = out / f"{path.stem}.zip"
            if final.exists():
                raise InputError(f"{where}: its members would go to {final.name}, which exists already; rename one of them")
            out.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=out) as packed:  # py7zr needs a seekable file
                try:
                    with outer.open(name) as member:
                        shutil.copyfileobj(member, packed)
                except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                    raise InputError(f"{where}: the archive is damaged ({error}); fetch it again") from error
                packed.seek(0)
                left -= _convert(packed, final, where, left)
            new.append(final)
    return new


class _Member:
    """A `Py7zIO` to which py7zr writes a member; the member goes into the zip when it is complete."""

    def __init__(self, new: zipfile.ZipFile, name: str) -> None:
        self._new, self._name, self._content = new, name, bytearray()

    def write(self, data: bytes) -> int:
        self._content += data
        return len(data)

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        """py7zr calls this after it has checked the member's checksum."""
        if is_visible(self._name):
            write_member(self._new, self._name, bytes(self._content))


class _Members(NamedTuple):
    """The factory of `_Member`s for py7zr."""

    new: zipfile.ZipFile

    def create(self, name: str) -> _Member:
        return _Member(self.new, name)


def _convert(file: BinaryIO, final: Path, where: str, max_bytes: int) -> int:
    """Write the zip `final` and return the total size of its members in bytes."""
    import py7zr  # slow, so only when there is a 7z

    try:
        with py7zr.SevenZipFile(file, max_extract_size=max_bytes) as archive:
            if archive.needs_password():
                raise InputError(f"{where}: the archive is encrypted")
            if unknown := set(archive.archiveinfo().method_names) - METHODS:
                methods = " and ".join(sorted(unknown))
                raise InputError(f"{where}: its members are compressed by {methods}; pack the archive again, by LZMA2")
            sizes: dict[str, int] = {}
            for member in archive.list():
                if member.is_directory:
                    continue
                if not member.is_file or not is_safe(member.filename):
                    raise InputError(
                        f"{where}: refused, because the member {member.filename!r} is a link or leaves its folder"
                    )
                if member.filename in sizes:
                    raise InputError(f"{where}: holds {member.filename} twice")
                sizes[member.filename] = member.uncompressed
            if not sizes:
                raise InputError(f"{where}: the archive is empty")
            if (size := sum(sizes.values())) > max_bytes:
                raise TooLarge(
                    f"{where}: refused, because its {size:,} bytes are more than the {max_bytes / 1e9:.4g} GB that "
                    "max_unpacked_gb leaves it; raise that if you trust the archive"
                )
            print(f"{final.name}: {len(sizes):,} files of {size / 1e6:,.1f} MB, from {where}", flush=True)
            with paths.replacing(final) as partial, zipfile.ZipFile(partial, "w", allowZip64=True) as new:
                archive.extractall(factory=_Members(new))
            return size
    except (InputError, OSError):  # OSError: the disk is full
        raise
    except py7zr.PasswordRequired:
        raise InputError(f"{where}: the archive is encrypted") from None
    except Exception as error:  # py7zr raises nearly anything on damage
        reason = str(error) or type(error).__name__
        raise InputError(f"{where}: the archive is damaged ({reason}); fetch it again") from error
