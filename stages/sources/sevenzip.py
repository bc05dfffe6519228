"""Archives that Kaggle packed twice, such as cifar-10.zip with train.7z and test.7z in it: each 7z becomes a stored zip.

py7zr (LGPL-2.1-or-later) lists the members; their contents are read here, by the standard library's LZMA. For its own
reading takes up to a megabyte of input into memory for each member, needed or not, until the whole 7z is there; and some
of its decoders unpack all that the input says, which from a megabyte of Zstandard may be gigabytes.
"""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

from stages.core import paths
from stages.core.errors import InputError
from stages.data.archive import DAMAGE, Archive, is_zip, write_member

STORED, LZMA, LZMA2, AES = b"\0", b"\3\1\1", b"\x21", b"\6\xf1\7\1"  # as 7-Zip's DOC/Methods.txt numbers them
CHUNK = 1 << 16  # bytes of input at a time
LONGEST_NAME = 0xFFFF  # bytes, in a zip


class Block(NamedTuple):
    """Members packed as one: where, how many bytes there, how many unpacked, by which method."""

    offset: int
    stored: int
    size: int
    method: bytes
    properties: bytes


class Member(NamedTuple):
    """A file. block: the number of the block that it is in, None if it is empty; crc: None if the 7z does not tell."""

    name: str
    size: int
    crc: int | None
    block: int | None


def repack(archive: Path, out: Path, *, max_bytes: int | None) -> list[Path]:
    """For each <stem>.7z in the zip `archive`, a stored zip out/<stem>.zip of the same members in the same order.

    One that lies unpacked beside itself, as a folder <stem>, is left alone; so are all in a tar. The same 7z gives the same
    bytes. max_bytes: what `archive` and the new zips may unpack to, all together. Returns the new zips.
    Raises InputError, naming `archive` and the 7z: it is damaged, encrypted, packed by another method than LZMA, LZMA2 and
    none, above the limit, or holds a member that no honest archive does (as for Archive); or the zip's name is taken.
    """
    if not is_zip(archive):
        return []
    opened = Archive(archive, max_bytes)
    left = None if max_bytes is None else max_bytes - opened.size
    made: list[Path] = []
    for name in opened.names:
        path, where = PurePosixPath(name), f"{archive}: {name}"
        if path.suffix.lower() != ".7z" or any(other.startswith(f"{path.with_suffix('')}/") for other in opened.names):
            continue
        final, copy = out / f"{path.stem}.zip", out / f".{path.name}.partial"
        if final.exists():
            raise InputError(f"{where}: its members would go to {final.name}, which is there already; rename one of them")
        out.mkdir(parents=True, exist_ok=True)
        try:
            # py7zr needs a file that it can seek in.
            with copy.open("wb") as packed:
                packed.writelines(_chunks(archive, name, where))
            with copy.open("rb") as packed:
                size = _convert(packed, final, where, left)
        finally:
            copy.unlink(missing_ok=True)
        left = None if left is None else left - size
        made.append(final)
    return made


def _convert(file: BinaryIO, final: Path, where: str, max_bytes: int | None) -> int:
    """Write the zip `final` and return the bytes that its members have."""
    blocks, members = _list(file, where)
    size = 0
    names: set[str] = set()
    for member in members:
        size += member.size
        if max_bytes is not None and size > max_bytes:
            raise InputError(
                f"{where}: refused, because with {member.name} of {member.size:,} bytes it unpacks to more than the "
                f"{max_bytes / 1e9:.4g} GB that max_unpacked_gb leaves it; raise that if you trust the archive"
            )
        if member.name in names:
            raise InputError(f"{where}: holds {member.name} twice")
        names.add(member.name)
    print(f"{final.name}: {len(members):,} files of {size / 1e6:,.1f} MB, out of {where}", flush=True)
    with paths.replacing(final) as partial, zipfile.ZipFile(partial, "w", allowZip64=True) as new:
        for name, content in _read(file, blocks, members, where):
            write_member(new, name, content)
    return size


def _list(file: BinaryIO, where: str) -> tuple[list[Block], list[Member]]:
    """What the 7z holds, checked, in much less memory than py7zr takes for it."""
    # Here, so that a stage that meets no 7z does not wait for it.
    import py7zr

    try:
        with py7zr.SevenZipFile(file) as archive:
            streams: Any = archive.header.main_streams
            folders = [] if streams is None else streams.unpackinfo.folders
            blocks = []
            for index, folder in enumerate(folders):
                offset = archive.afterheader + streams.packinfo.packpos + streams.packinfo.packpositions[index]
                coder = _only_coder(folder.coders, where)
                size, stored = folder.unpacksizes[0], streams.packinfo.packsizes[index]
                blocks.append(Block(offset, stored, size, coder["method"], coder["properties"] or b""))
            numbers = {id(folder): index for index, folder in enumerate(folders)}
            members = []
            for info in archive.files:
                if info.emptystream and (info.is_directory or info.filename.endswith("/")):
                    continue
                _check_name(info.filename, where, is_special=not info.is_file)
                if info.uncompressed < 0:
                    raise ValueError(f"{info.filename} has a negative size")
                block = None if info.emptystream else numbers[id(info.folder)]
                members.append(Member(info.filename, info.uncompressed, info.crc32, block))
            if not members:
                raise InputError(f"{where}: the archive is empty")
            return blocks, members
    except InputError:
        raise
    except py7zr.PasswordRequired:
        raise InputError(f"{where}: the archive is encrypted") from None
    except (
        Exception
    ) as error:  # among py7zr's answers to damage are TypeError, IndexError, AttributeError and AssertionError
        reason = str(error) or type(error).__name__
        raise InputError(f"{where}: the archive is damaged ({reason}); fetch it again") from error


def _only_coder(coders: list[dict[str, Any]], where: str) -> dict[str, Any]:
    if any(coder["method"] == AES for coder in coders):
        raise InputError(f"{where}: the archive is encrypted")
    if len(coders) != 1 or coders[0]["method"] not in (STORED, LZMA, LZMA2):
        methods = " and ".join(coder["method"].hex() for coder in coders)
        raise InputError(f"{where}: its members are compressed by method {methods}; pack the archive anew, by LZMA2")
    return coders[0]


def _check_name(name: str, where: str, *, is_special: bool) -> None:
    if is_special or name.startswith("/") or ".." in name.split("/") or "\\" in name:
        raise InputError(f"{where}: refused, because the member {name!r} is a link or leaves its folder")
    if not name or name.endswith("/") or len(name.encode()) > LONGEST_NAME:
        raise InputError(f"{where}: refused, because {name[:80]!r} is no name for a member")


def _read(file: BinaryIO, blocks: list[Block], members: list[Member], where: str) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every member: one pass, of which one member is in memory at a time."""
    with _naming_damage(where):
        current, stream = None, None
        for name, size, crc, block in members:
            if block != current and block is not None:
                current, stream = block, _Stream(file, blocks[block])
            content = stream.read(size) if stream is not None and block is not None else b""
            if crc is not None and block is not None and zlib.crc32(content) != crc:
                raise ValueError(f"the checksum of {name} is wrong")
            yield name, content


class _Stream:
    """An unpacked block, of which no more is unpacked than is asked for."""

    def __init__(self, file: BinaryIO, block: Block) -> None:
        file.seek(block.offset)
        self._file, self._left = file, block.stored
        self._decoder = None
        if block.method != STORED:
            self._decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[_lzma_filter(block)])

    def read(self, size: int) -> bytes:
        """The next `size` bytes. Raises EOFError if there are not so many."""
        parts = []
        while size:
            data = b""
            if self._decoder is None or self._decoder.needs_input:
                data = self._file.read(min(size if self._decoder is None else CHUNK, self._left))
                self._left -= len(data)
                if not data:
                    raise EOFError("a block is cut short")
            part = data if self._decoder is None else self._decoder.decompress(data, size)
            if not (data or part or self._decoder is None or self._decoder.needs_input):
                raise EOFError("a block neither goes on nor ends")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _lzma_filter(block: Block) -> dict[str, int]:
    """The decoder's settings, from 7-Zip's DOC/lzma.txt; the dictionary never larger than what there is to look back to."""
    if block.method == LZMA2:
        (bits,) = struct.unpack("<B", block.properties)
        dictionary = (2 | bits & 1) << bits // 2 + 11
        settings = {"id": lzma.FILTER_LZMA2}
    else:
        packed, dictionary = struct.unpack("<BI", block.properties)
        settings = {"id": lzma.FILTER_LZMA1, "lc": packed % 9, "lp": packed // 9 % 5, "pb": packed // 45}
    return settings | {"dict_size": max(4096, min(dictionary, block.size, 0xFFFFFFFF))}


def _chunks(archive: Path, name: str, where: str) -> Iterator[bytes]:
    """A zip's member, little at a time; its checks are the standard library's."""
    with _naming_damage(where), zipfile.ZipFile(archive) as outer, outer.open(name) as member:
        while chunk := member.read(CHUNK):
            yield chunk


@contextmanager
def _naming_damage(where: str) -> Iterator[None]:
    """Around generators alone, so that a full disk where their items are written is not taken for damage."""
    try:
        yield
    except (*DAMAGE, LookupError, MemoryError) as error:
        raise InputError(f"{where}: the archive is damaged ({error}); fetch it again") from error
