"""Detect truncated recordings by their containers' headers. libsndfile reads them silently, except FLAC."""

import re
from typing import Literal, NamedTuple

from stages.tasks.speech.raw.item import Problem

UNKNOWN_LENGTH = 2**63 - 1  # libsndfile's number of frames for a FLAC written to a pipe
# The lengths that programs put into RIFF when they write to a pipe: the sound ends with the file.
UNTIL_THE_END = (0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF)
IN_DS64 = 0xFFFFFFFF  # in RF64: the length is in the first chunk
_ORDERS: dict[bytes, Literal["little", "big"]] = {b"RIFX": "big"}
NIST_NUMBER = re.compile(rb"^(sample_count|channel_count|sample_n_bytes) -i (\d{1,18})\s", re.MULTILINE)


def check_whole(content: bytes, kind: str) -> None:
    """Raises Problem for a truncated file or an unsupported container. kind: libsndfile's name of the container."""
    match kind:
        case "WAV" | "WAVEX" | "RF64":
            end = _end_of_riff(content)
        case "W64":
            end = _end_of_w64(content)
        case "NIST":
            end = _end_of_nist(content)
        case "FLAC":
            end = 0  # libsndfile checks it when decoding
        case _:
            raise Problem(f"is neither wav, flac nor NIST SPHERE, but {kind}; convert it")
    if end > len(content):
        raise Problem("is cut short")


def with_length(content: bytes) -> bytes:
    """Fix the header of a wav that was not closed, whose length is 0; other files stay unchanged."""
    data = _data_of_riff(content) if content[:4] == b"RIFF" else None
    if data is None or data.size != 0:
        return content
    length = min(len(content) - data.begin, 0xFFFFFFFE)
    return content[: data.begin - 4] + length.to_bytes(4, "little") + content[data.begin :]


class _Data(NamedTuple):
    """The start of a chunk's content, and its size in bytes by the header."""

    begin: int
    size: int


def _data_of_riff(content: bytes) -> _Data | None:
    """Find the sound of a RIFF, RIFX or RF64 file; None if there is none."""
    order, offset, long = _ORDERS.get(content[:4], "little"), 12, 0
    while offset + 8 <= len(content):
        name, begin = content[offset : offset + 4], offset + 8
        size = int.from_bytes(content[offset + 4 : begin], order)
        if name == b"ds64":
            long = int.from_bytes(content[begin + 8 : begin + 16], order)
        if name == b"data":
            return _Data(begin, long if content[:4] == b"RF64" and size == IN_DS64 else size)
        offset = begin + size + size % 2
    return None


def _end_of_riff(content: bytes) -> int:
    """Return the end of the sound, or 0 if it is the end of the file."""
    data = _data_of_riff(content)
    if data is None:
        raise Problem("is cut short")
    return 0 if data.size in UNTIL_THE_END and content[:4] != b"RF64" else data.begin + data.size


def _end_of_w64(content: bytes) -> int:
    """Return the end of the sound. A chunk's size includes its header, and chunks begin at multiples of 8 bytes."""
    offset = 40
    while offset + 24 <= len(content):
        size = int.from_bytes(content[offset + 16 : offset + 24], "little")
        if content[offset : offset + 4] == b"data":
            return offset + size
        offset += max(size + -size % 8, 24)
    raise Problem("is cut short")


def _end_of_nist(content: bytes) -> int:
    """Return the end of the sound. A SPHERE header is text: its own size, then a line for each number."""
    size = re.match(rb"NIST_1A\n\s*(\d{1,18})\n", content)
    header = content[: int(size[1])] if size else b""
    numbers = {name: int(value) for name, value in NIST_NUMBER.findall(header.partition(b"end_head")[0])}
    if b"sample_count" not in numbers:
        raise Problem("has no number of samples (sample_count) in its header")
    frame = numbers.get(b"channel_count", 1) * numbers.get(b"sample_n_bytes", 2)
    return len(header) + numbers[b"sample_count"] * frame
