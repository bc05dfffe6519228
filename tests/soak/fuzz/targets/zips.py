"""Zip archives, as every stage reads them: listed, each member read, never more than the limit, names honest."""

import re
import struct
import zipfile
from pathlib import Path
from random import Random

from stages.data.archive import Archive
from tests.data.test_archive import MEMBERS, zip_bytes
from tests.soak.fuzz.mutate import EDGES

MAX_BYTES = 10**6
# Of the directory's end, a directory's entry, a local header, the 64-bit end: the numbers' places and widths.
FIELDS = {
    b"PK\5\6": [(4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)],
    b"PK\1\2": [(4, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (34, 2), (38, 4), (42, 4)],
    b"PK\3\4": [(6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)],
    b"PK\6\6": [(4, 8), (16, 4), (24, 8), (32, 8), (40, 8), (48, 8)],
}


def seeds() -> list[bytes]:
    return [zip_bytes(MEMBERS, method) for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)]


def hostile() -> list[bytes]:
    sizes_of_64_bits = struct.pack("<HHQQ", 1, 16, 600, 600)
    end = struct.pack("<4sQ2HIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 60, 30) + struct.pack("<4sIQI", b"PK\6\7", 0, 90, 1)
    plain = zip_bytes({"a": b"1"})
    place = plain.index(b"PK\5\6")
    return [zip_bytes({"zeros": bytes(900_000)}), zip_bytes({"a": sizes_of_64_bits}), plain[:place] + end + plain[place:]]


def mutate(random: Random, content: bytes) -> bytes:
    """One to three numbers of the directory, the headers or the end, and names."""
    changed = bytearray(content)
    for _ in range(random.randint(1, 3)):
        mark = random.choice([*FIELDS, b"PK\1\2"])
        places = [match.start() for match in re.finditer(re.escape(mark), changed)]
        if not places:
            continue
        (offset, width), start = random.choice(FIELDS[mark]), random.choice(places)
        old = int.from_bytes(changed[start + offset : start + offset + width], "little")
        value = random.choice([*EDGES, old + random.randint(-9, 9), old ^ 1 << random.randrange(8 * width)])
        changed[start + offset : start + offset + width] = (value % 2 ** (8 * width)).to_bytes(width, "little")
    return bytes(changed)


def attempt(content: bytes, folder: Path) -> None:
    path = folder / "a"
    path.write_bytes(content)
    archive = Archive(path, MAX_BYTES)
    assert all(name and not name.startswith("/") and ".." not in name.split("/") for name in archive.names)
    total = sum(len(content) for _, content in archive.members(set(archive.names)))
    assert total <= archive.size <= MAX_BYTES
    for name in archive.names[:3]:
        archive.read(name)
