"""JPEG and PNG bytes: as faces' stage normalize and predict check and decode them, and as CIFAR-10's does."""

import struct
import zlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random

import cv2
import numpy as np

from benchmarks.features import PICTURES
from stages.images.raw.image import MARKER, PNG
from stages.tasks.cifar10.raw import png
from stages.tasks.faces import prediction
from stages.tasks.faces.raw import examining
from tests.soak.fuzz.mutate import EDGES, change
from tests.tasks.faces.test_raw import BIG, CMYK, THUMBNAIL

SIDE = 32


def seeds() -> list[bytes]:
    cv2.setNumThreads(0)
    pixels = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8), (SIDE, SIDE))
    deep = np.random.default_rng(1).integers(0, 2**16, (9, 9, 4), np.uint16)
    progressive = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    found = [cv2.imencode(".jpg", pixels)[1], cv2.imencode(".jpg", pixels, progressive)[1], cv2.imencode(".png", pixels)[1]]
    found += [cv2.imencode(".jpg", pixels[..., 0])[1], cv2.imencode(".png", deep)[1]]
    found += [cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_RST_INTERVAL, 2])[1]]
    return [array.tobytes() for array in found] + [BIG, BIG[:2] + THUMBNAIL + BIG[2:], CMYK]


def mutate(random: Random, content: bytes) -> bytes:
    """Segments of a JPEG, chunks of a PNG with checksums that fit."""
    return _png(random, content) if content.startswith(PNG) else _jpeg(random, content)


def _png(random: Random, content: bytes) -> bytes:
    chunks, place = [], len(PNG)
    while place + 12 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, place)
        chunks.append((kind, content[place + 8 : place + 8 + size]))
        place += 12 + size
    for _ in range(random.randint(1, 3)):
        if not chunks:
            break
        place = random.randrange(len(chunks))
        kind, inner = chunks[place]
        if kind == b"IDAT" and random.randrange(2):
            try:
                inner = zlib.compress(change(random, zlib.decompress(inner), [inner]))
            except zlib.error:
                inner = change(random, inner, [inner])
        elif kind == b"IHDR" and len(inner) == 13:
            edges = [value % 2**32 for value in EDGES]
            values = [
                random.choice([old, old, *new])
                for old, new in zip(struct.unpack(">IIBBBBB", inner), _ihdr(edges), strict=True)
            ]
            inner = struct.pack(">IIBBBBB", *values)
        else:
            inner = change(random, inner, [inner])
            kind = random.choice([kind, kind, b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"acTL", b"fdAT", b"zTXt"])
        chunks[place : place + random.randrange(2)] = [(kind, inner)]
    return PNG + b"".join(
        struct.pack(">I", len(inner)) + kind + inner + struct.pack(">I", zlib.crc32(kind + inner)) for kind, inner in chunks
    )


def _ihdr(edges: list[int]) -> list[list[int]]:
    return [edges, edges, [1, 2, 4, 8, 16], [0, 2, 3, 4, 6], [0], [0], [0, 1]]


def _jpeg(random: Random, content: bytes) -> bytes:
    starts = [0, *(match.start() for match in MARKER.finditer(content)), len(content)]
    parts = [content[begin:end] for begin, end in pairwise(starts)]
    for _ in range(random.randint(1, 3)):
        place = random.randrange(len(parts))
        match random.randrange(4):
            case 0:
                parts.insert(place, random.choice(parts))
            case 1:
                parts[place] = change(random, parts[place], parts)
            case 2:
                parts[place:place] = parts[place:][:2] * random.choice((1, 20))
            case 3:
                other = random.randrange(len(parts))
                parts[place], parts[other] = parts[other], parts[place]
    return b"".join(parts)[: 1 << 20]


def attempt(content: bytes, folder: Path) -> None:
    pixels, _ = png.decode(content)
    assert pixels is None or pixels.shape == (SIDE, SIDE, 3)
    examining.examine(content, SIDE, add_up=True)  # whether it is whole, too; a problem is told as it is below
    assert prediction.read(content, replace(PICTURES, side=SIDE)).shape == (SIDE, SIDE, 3)
