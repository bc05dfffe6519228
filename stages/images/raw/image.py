"""What an encoded image says about itself, read before anything of its size is made.

The decoders behind OpenCV know many formats, fill what is cut short with grey in some versions, and make room for as many
pixels as a header claims. Here a file is a JPEG or a PNG, is there to its end, and is of a reasonable size.
"""

import re
import struct
from dataclasses import dataclass

import numpy as np

from stages.images import storage

MAX_PIXELS = 64 * 2**20
MAX_SCANS = 100  # of a progressive JPEG, which has about ten; each goes over every pixel, and may take no more than 30 bytes
PNG = b"\x89PNG\r\n\x1a\n"
MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")  # but for stuffed bytes, restarts and padding, which scans may hold
START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
SEQUENTIAL = {0xC0, 0xC1}
HUFFMAN_TABLES, START_OF_SCAN, END_OF_IMAGE = 0xC4, 0xDA, 0xD9
END_OF_BLOCK = 0
GREY = bytes([128, 128, 128])  # what decoders put where the data of a JPEG have ended early
PADDING = b"\x55" * 64  # data that decode to something else
ZEROS = bytes(32)  # in place of data, as a disk has them that lost a block


class Problem(Exception):
    """What is wrong with one image, in words; the others may still be good."""


@dataclass(frozen=True)
class Header:
    """Size in pixels, and what decoding has to convert to make three channels of 8 bits of it."""

    width: int
    height: int
    converted: tuple[str, ...]

    def check_size(self, side: int) -> None:
        """Raises Problem if it, or what scaling its shorter side to `side` makes of it, has more than MAX_PIXELS."""
        short, long = sorted((self.width, self.height))
        if max(short * long, side * side * long // short) > MAX_PIXELS:
            limit = f"{MAX_PIXELS:,}, or would have when scaled to a side of {side}"
            raise Problem(f"has {self.width:,} x {self.height:,} pixels, more than {limit}")


def header(content: bytes) -> Header:
    """Raises Problem: neither JPEG nor PNG, cut short, without a size, of too many scans, zeros for data."""
    found = _png(content) if content.startswith(PNG) else _jpeg(content) if content.startswith(b"\xff\xd8") else None
    if found is None or not found.width or not found.height:
        raise Problem("is not a readable image")
    return found


def decode(content: bytes, side: int) -> tuple[Header, np.ndarray]:
    """What a file says about itself, and its middle square as RGB (side, side, 3) uint8. Raises Problem."""
    about = header(content)
    about.check_size(side)
    try:
        pixels = storage.decode(np.frombuffer(content, np.uint8), side)
    except ValueError as error:
        raise Problem(str(error)) from None
    check_whole(content, pixels)
    return about, pixels


def check_whole(content: bytes, pixels: np.ndarray) -> None:
    """Raises Problem if a JPEG's data end before its last pixels, though its end is marked, as where a disk has zeros.

    pixels: what `storage.decode` makes of it. A decoder only warns, on stderr, and fills the rest with grey. Where a corner
    is such a grey, it is told from a picture's own: what is put before the mark then shows in pixels that had no data.
    """
    side = len(pixels)
    corners = (pixels[y, x].tobytes() for y in (-1, 0) for x in (-1, 0))
    if content.startswith(b"\xff\xd8") and GREY in corners and (end := content.rfind(b"\xff\xd9")) > 0:
        padded = np.frombuffer(content[:end].rstrip(b"\xff") + PADDING + content[end:], np.uint8)
        if not np.array_equal(storage.decode(padded, side), pixels):
            raise Problem("is damaged: its data end before its last pixels")


def _jpeg(content: bytes) -> Header | None:
    """Segment by segment, as a thumbnail in one has an end of its own. ITU T.81, annex B."""
    found, offset, scans, channels_in_sequence, tables = None, 2, 0, None, list[int]()
    while match := MARKER.search(content, offset):
        marker, offset = match[1][0], match.end()
        if marker == END_OF_IMAGE:
            return found
        if marker == START_OF_SCAN:
            scans += 1
            # A first scan of all channels is the only one, unless they come progressively, and holds most of the bytes.
            is_whole = scans == 1 and content[offset + 2 : offset + 3] == channels_in_sequence
            if (
                is_whole
                and ZEROS in content[offset : content.find(b"\xff\xd9", offset)]
                and not _ends_blocks(content, tables)
            ):
                raise Problem("is damaged: there are zeros in the place of its data")
            if is_whole and content.endswith(b"\xff\xd9"):
                return found
        if marker == HUFFMAN_TABLES:
            tables.append(offset)
        if scans > MAX_SCANS:
            raise Problem(f"has more than {MAX_SCANS} scans")
        if marker in START_OF_FRAME and found is None and offset + 8 <= len(content):
            height, width, channels = struct.unpack_from(">HHB", content, offset + 3)
            kind = {1: ("grayscale",), 4: ("cmyk",)}.get(channels, ())
            found = Header(width, height, kind)
            if marker in SEQUENTIAL:
                channels_in_sequence = bytes([channels])
        offset += int.from_bytes(content[offset : offset + 2], "big")
    raise Problem("is cut short")


def _ends_blocks(content: bytes, tables: list[int]) -> bool:
    """Whether nothing but zeros means the end of a block among the coefficients of brightness. tables: where they begin.

    So it does in tables made for flat pictures, and zeros are data. Otherwise a block of them would have 63 times the same
    coefficient, which no picture has.
    """
    for table in tables:
        place, end = table + 2, min(table + int.from_bytes(content[table : table + 2], "big"), len(content))
        while place + 17 < end:
            if content[place] == 0x10:  # the first table of coefficients but the mean; its shortest code is all zeros
                return content[place + 17] == END_OF_BLOCK
            place += 17 + sum(content[place + 1 : place + 17])
    return True


def _png(content: bytes) -> Header | None:
    """Chunk by chunk, to the last."""
    offset, kind = len(PNG), b""
    while kind != b"IEND":
        if offset + 12 > len(content):
            raise Problem("is cut short")
        size, kind = struct.unpack_from(">I4s", content, offset)
        offset += 12 + size
    if offset > len(content):
        raise Problem("is cut short")
    if content[12:16] != b"IHDR" or len(content) < 26:
        return None
    width, height, depth, colour = struct.unpack_from(">IIBB", content, 16)
    kinds = {"grayscale": colour in (0, 4), "palette": colour == 3, "alpha": colour in (4, 6), "16 bit": depth == 16}
    return Header(width, height, tuple(kind for kind, applies in kinds.items() if applies))
