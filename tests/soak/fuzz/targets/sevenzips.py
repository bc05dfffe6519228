"""A 7z in a zip, which the stage download makes a zip of: listed by py7zr, unpacked by us."""

import struct
import zipfile
from pathlib import Path
from random import Random

import py7zr

from stages.data.archive import Archive
from stages.sources.sevenzip import repack
from tests.soak.fuzz.mutate import change
from tests.sources.test_sevenzip import LZMA1, MEMBERS, resealed, sevenzip

MAX_BYTES = 10**7


def seeds() -> list[bytes]:
    small = {"train/1.png": b"one", "train/2.png": b"two" * 1000, "train/empty": b""}
    stored = [{"id": py7zr.FILTER_COPY}]
    return [
        sevenzip(MEMBERS, num_blocks=2),
        sevenzip(small, num_blocks=2),
        sevenzip(small, filters=LZMA1),
        sevenzip(small, filters=stored, num_blocks=2),
    ]


def hostile() -> list[bytes]:
    return [sevenzip({"zeros": bytes(900_000)}), sevenzip({})]


def mutate(random: Random, content: bytes) -> bytes:
    """Bytes of the header, whose checksums then fit."""
    if len(content) < 33:
        return content
    start = 32 + struct.unpack_from("<Q", content, 12)[0]
    if start >= len(content):
        return content
    header = change(random, content[start:], [content[start:]])
    changed = bytearray(content[:start] + header)
    struct.pack_into("<Q", changed, 20, len(header))
    return resealed(bytes(changed))


def attempt(content: bytes, folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w") as outer:
        outer.writestr("train.7z", content)
    [made] = repack(folder / "a.zip", folder / "out", max_bytes=MAX_BYTES)
    archive = Archive(made)
    assert all(not name.startswith("/") and ".." not in name.split("/") for name in archive.names)
    assert sum(len(content) for _, content in archive.members(set(archive.names))) <= MAX_BYTES
    assert sorted(path.name for path in folder.rglob("*")) == ["a.zip", "out", "train.zip"]
