"""Changes that formats of bytes are sensitive to: bits, lengths, cuts, pieces of other inputs, numbers at an edge."""

import struct
from collections.abc import Sequence
from random import Random

EDGES = [0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 2**24, 2**31 - 1, 2**31, 2**32 - 1]
EDGES += [2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1]
WIDTHS = {1: "B", 2: "H", 4: "I", 8: "Q"}
LARGEST = 1 << 20  # bytes; what is longer is cut


def change(random: Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """One to eight random changes, few more often than many. others: what pieces are taken from."""
    changed = bytearray(content)
    for _ in range(min(8, 1 + int(random.expovariate(0.7)))):
        random.choice((_flip, _flip, _set, _edge, _edge, _near, _cut, _delete, _repeat, _splice))(random, changed, others)
    return bytes(changed[:LARGEST])


def _place(random: Random, content: bytearray) -> int:
    """Anywhere, but in a third of the cases near one of the ends, where headers are."""
    size = len(content)
    near = random.randrange(6)
    if near > 1 or size < 128:
        return random.randrange(size) if size else 0
    return random.randrange(64) if near else size - 1 - random.randrange(64)


def _flip(random: Random, content: bytearray, others: Sequence[bytes]) -> None:
    if content:
        content[_place(random, content)] ^= 1 << random.randrange(8)


def _set(random: Random, content: bytearray, others: Sequence[bytes]) -> None:
    if content:
        content[_place(random, content)] = random.randrange(256)


def _edge(random: Random, content: bytearray, others: Sequence[bytes]) -> None:
    width, place = random.choice([*WIDTHS]), _place(random, content)
    value = random.choice(EDGES) % 2 ** (8 * width)
    content[place : place + width] = struct.pack(random.choice("<>") + WIDTHS[width], value)


def _near(random: Random, content: bytearray, others: Sequence[bytes]) -> None:
    """A number that is there, a little changed: lengths that are one too many or too few."""
    width, place = random.choice([*WIDTHS]), _place(random, content)
    form = random.choice("<>") + WIDTHS[width]
    if place + width <= len(content):
        (value,) = struct.unpack_from(form, content, place)
        struct.pack_into(form, content, place, (value + random.randint(-4, 4)) % 2 ** (8 * width))


def _cut(random: Random, content: bytearray, others: Sequence[bytes]) -> None:
    if not random.randrange(3):
        del content[_place(random, content) :]


def _delete(random: Random, content: bytearray, others: Sequence[bytes]) -> None:
    place = _place(random, content)
    del content[place : place + random.choice((1, 2, 4, 8, 16, 512, random.randrange(1, 4096)))]


def _repeat(random: Random, content: bytearray, others: Sequence[bytes]) -> None:
    place = _place(random, content)
    piece = bytes(content[place : place + random.choice((1, 4, 16, 64, 512))])
    content[place:place] = piece * random.choice((1, 1, 2, 50))


def _splice(random: Random, content: bytearray, others: Sequence[bytes]) -> None:
    other = random.choice(others)
    begin = random.randrange(len(other) + 1)
    piece = other[begin : begin + random.choice((1, 2, 4, 16, 64, 512, len(other)))]
    place = _place(random, content)
    content[place : place + random.choice((0, len(piece)))] = piece
