"""Tar archives, plain and compressed: as for zips, with headers whose checksums are right."""

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable
from random import Random

from tests.data.test_archive import MEMBERS, tar_bytes
from tests.soak.fuzz.mutate import change
from tests.soak.fuzz.targets import zips

# Numbers and texts of a header: name, mode, size, checksum, type, link, magic, prefix.
FIELDS = [(0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155)]
NUMBERS = [
    b"77777777777\0",
    b"00000000000\0",
    b"\x80" + b"\xff" * 11,
    b"\x80" + bytes(10) + b"\1",
    b"\xff" * 12,
    b"-1         \0",
]
FORMS: dict[bytes, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    b"\x1f\x8b": (gzip.decompress, gzip.compress),
    b"BZh": (bz2.decompress, bz2.compress),
    b"\xfd7zXZ\0": (lzma.decompress, lzma.compress),
}
TYPES = b"01234567xgLKSDNVM\0"


def seeds() -> list[bytes]:
    long_names = {"n" * 90 + f"/{'m' * 80}/{number}": b"x" * number for number in (0, 511, 512, 513)}
    return [tar_bytes(MEMBERS, "w"), tar_bytes(MEMBERS, "w:gz"), tar_bytes(MEMBERS, "w:xz"), tar_bytes(long_names, "w:bz2")]


def hostile() -> list[bytes]:
    sparse = {"a": b"1" * 600, "b": b""}
    return [tar_bytes({"zeros": bytes(900_000)}, "w:gz"), tar_bytes(sparse, kinds={"a": b"S"})]


def mutate(random: Random, content: bytes) -> bytes:
    """Fields of headers, and bytes anywhere, in what the compressed stream holds; packed again."""
    unpack, pack = next((pair for mark, pair in FORMS.items() if content.startswith(mark)), (bytes, bytes))
    try:
        plain = bytearray(unpack(content)[: 1 << 20])
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
        return content
    if not random.randrange(3):
        plain = bytearray(change(random, bytes(plain), [bytes(plain)]))
    for _ in range(random.randint(1, 3)):
        blocks = [place for place in range(0, len(plain) - 511, 512) if plain[place + 257 : place + 262] == b"ustar"]
        if not blocks:
            break
        start, (offset, width) = random.choice(blocks), random.choice(FIELDS)
        if width == 12:
            value = random.choice(NUMBERS)
        elif width == 1:
            value = bytes([random.choice(TYPES)])
        else:
            value = change(random, bytes(plain[start + offset : start + offset + width]), [b"../", b"/", b"1 a=b\n", b"\0"])
        plain[start + offset : start + offset + width] = value[:width].ljust(width, b"\0")
        header = bytes(plain[start : start + 512])
        plain[start + 148 : start + 156] = b"%06o\0 " % tarfile.calc_chksums(header)[0]  # type: ignore[attr-defined]
    return random.choice((bytes, bytes, pack))(bytes(plain))


attempt = zips.attempt
