"""Check encoded images by their headers before they are decoded.

OpenCV's decoders accept many formats, allocate as many pixels as a header claims, and some versions fill missing data with
grey. Here a file must be a complete JPEG or PNG of reasonable size.
"""

import re
import struct
from dataclasses import dataclass

import numpy as np

from stages.images import storage

MAX_PIXELS = 64 * 2**20
MAX_SCANS = 100  # a progressive JPEG has about ten; a scan of 30 bytes makes the decoder visit every pixel
PNG = b"\x89PNG\r\n\x1a\n"
MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")  # without stuffed bytes, restarts and padding, which scans contain
START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
SEQUENTIAL = {0xC0, 0xC1}
HUFFMAN_TABLES, START_OF_SCAN, END_OF_IMAGE = 0xC4, 0xDA, 0xD9
END_OF_BLOCK = 0
GREY = bytes([128, 128, 128])  # decoders fill missing JPEG data with this
PADDING = b"\x55" * 64  # data that decode to another colour
ZEROS = bytes(32)  # in place of data, after a disk lost a block


class Problem(Exception):
    """What is wrong with an image."""


@dataclass(frozen=True)
class Header:
    """The size in pixels, and the conversions that decoding to three channels of 8 bits needs."""

    width: int
    height: int
    converted: tuple[str, ...]

    def check_size(self, side: int) -> None:
        """Raises Problem if the image has more than MAX_PIXELS, before or after scaling its shorter side to `side`."""
        short, long = sorted((self.width, self.height))
        if max(short * long, side * side * long // short) > MAX_PIXELS:
            limit = f"{MAX_PIXELS:,}, or would have when scaled to a side of {side}"
            raise Problem(f"has {self.width:,} x {self.height:,} pixels, more than {limit}")


def header(content: bytes) -> Header:
    """Read the header. Raises Problem for another format, a truncated file, no size, too many scans or zeros for data."""
    found = _png(content) if content.startswith(PNG) else _jpeg(content) if content.startswith(b"\xff\xd8") else None
    if found is None or not found.width or not found.height:
        raise Problem("is not a readable image")
    return found


def decode(content: bytes, side: int) -> tuple[Header, np.ndarray]:
    """Return the header and the middle square as RGB (side, side, 3) uint8. Raises Problem."""
    found = header(content)
    found.check_size(side)
    try:
        pixels = storage.decode(np.frombuffer(content, np.uint8), side)
    except ValueError as error:
        raise Problem(str(error)) from None
    check_whole(content, pixels)
    return found, pixels


def check_whole(content: bytes, pixels: np.ndarray) -> None:
    """Raises Problem if a JPEG's data end before its last pixels, although its end marker is there.

    pixels: the output of `storage.decode`. A decoder only warns, on stderr, and fills the rest with grey. If a corner is
    that grey, padding is inserted before the end marker: it changes the pixels only if they had no data.
    """
    side = len(pixels)
    corners = (pixels[y, x].tobytes() for y in (-1, 0) for x in (-1, 0))
    if content.startswith(b"\xff\xd8") and GREY in corners and (end := content.rfind(b"\xff\xd9")) > 0:
        padded = np.frombuffer(content[:end].rstrip(b"\xff") + PADDING + content[end:], np.uint8)
        if not np.array_equal(storage.decode(padded, side), pixels):
            raise Problem("is damaged: its data end before its last pixels")


def _jpeg(content: bytes) -> Header | None:
    """Read a JPEG segment by segment, as an embedded thumbnail has its own end marker. ITU T.81, annex B."""
    found, offset, scans, channels_in_sequence, tables = None, 2, 0, None, list[int]()
    while match := MARKER.search(content, offset):
        marker, offset = match[1][0], match.end()
        if marker == END_OF_IMAGE:
            return found
        if marker == START_OF_SCAN:
            scans += 1
            # In a sequential JPEG, a first scan of all channels is the only scan and has most of the bytes.
            is_whole = scans == 1 and content[offset + 2 : offset + 3] == channels_in_sequence
            if (
                is_whole
                and ZEROS in content[offset : content.find(b"\xff\xd9", offset)]
                and not _ends_blocks(content, tables)
            ):
                raise Problem("is damaged: it has zeros in place of data")
            if is_whole and content.endswith(b"\xff\xd9"):
                return found
        if marker == HUFFMAN_TABLES:
            tables.append(offset)
        if scans > MAX_SCANS:
            raise Problem(f"has more than {MAX_SCANS} scans")
        if marker in START_OF_FRAME and found is None and offset + 8 <= len(content):
            height, width, channels = struct.unpack_from(">HHB", content, offset + 3)
            found = Header(width, height, {1: ("grayscale",), 4: ("cmyk",)}.get(channels, ()))
            if marker in SEQUENTIAL:
                channels_in_sequence = bytes([channels])
        offset += int.from_bytes(content[offset : offset + 2], "big")
    raise Problem("is cut short")


def _ends_blocks(content: bytes, tables: list[int]) -> bool:
    """Whether zeros are valid data: they code the end of a block in the luma AC table. tables: the tables' offsets.

    Tables optimised for flat pictures are like that. With other tables, zeros would be blocks of 63 equal coefficients,
    which no picture has.
    """
    for table in tables:
        offset, end = table + 2, min(table + int.from_bytes(content[table : table + 2], "big"), len(content))
        while offset + 17 < end:
            if content[offset] == 0x10:  # the first AC table, whose shortest code is all zeros
                return content[offset + 17] == END_OF_BLOCK
            offset += 17 + sum(content[offset + 1 : offset + 17])
    return True


def _png(content: bytes) -> Header | None:
    """Read a PNG chunk by chunk, to the last."""
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
