"""Whether a recording is whole: what its container's header promises against the bytes that there are.

libsndfile reads what there is of a file without a word, except of FLAC.
"""

import re
from typing import Literal, NamedTuple

from stages.tasks.speech.raw.item import Problem

UNKNOWN_LENGTH = 2**63 - 1  # frames, as libsndfile gives them: of a FLAC that came through a pipe
# What programs that write into a pipe put into RIFF for the length of the sound: it goes on to the end of the file.
UNTIL_THE_END = (0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF)
IN_DS64 = 0xFFFFFFFF  # RF64's sign that the length stands in its first chunk
_ORDERS: dict[bytes, Literal["little", "big"]] = {b"RIFX": "big"}
NIST_NUMBER = re.compile(rb"^(sample_count|channel_count|sample_n_bytes) -i (\d{1,18})\s", re.MULTILINE)


def check_whole(content: bytes, kind: str) -> None:
    """Raises Problem if the file ends before its sound does, or is of no kind that says where that is.

    kind: libsndfile's name of the container.
    """
    match kind:
        case "WAV" | "WAVEX" | "RF64":
            end = _end_of_riff(content)
        case "W64":
            end = _end_of_w64(content)
        case "NIST":
            end = _end_of_nist(content)
        case "FLAC":
            end = 0  # libsndfile finds out as it decodes
        case _:
            raise Problem(f"is neither wav, flac nor NIST's SPHERE, but {kind}; convert it")
    if end > len(content):
        raise Problem("is cut short")


def with_length(content: bytes) -> bytes:
    """A wav whose header says that its sound has no bytes, because it was still open: with those that follow."""
    data = _data_of_riff(content) if content[:4] == b"RIFF" else None
    if data is None or data.size != 0:
        return content
    length = min(len(content) - data.begin, 0xFFFFFFFE)
    return content[: data.begin - 4] + length.to_bytes(4, "little") + content[data.begin :]


class _Data(NamedTuple):
    """Where a chunk's content begins, and the bytes that it should have."""

    begin: int
    size: int


def _data_of_riff(content: bytes) -> _Data | None:
    """The sound of a RIFF, RIFX or RF64 file; None if it is not there."""
    order, place, long = _ORDERS.get(content[:4], "little"), 12, 0
    while place + 8 <= len(content):
        name, begin = content[place : place + 4], place + 8
        size = int.from_bytes(content[place + 4 : begin], order)
        if name == b"ds64":
            long = int.from_bytes(content[begin + 8 : begin + 16], order)
        if name == b"data":
            return _Data(begin, long if content[:4] == b"RF64" and size == IN_DS64 else size)
        place = begin + size + size % 2
    return None


def _end_of_riff(content: bytes) -> int:
    """Where the sound ends; 0 if that is where the file does."""
    data = _data_of_riff(content)
    if data is None:
        raise Problem("is cut short")
    return 0 if data.size in UNTIL_THE_END and content[:4] != b"RF64" else data.begin + data.size


def _end_of_w64(content: bytes) -> int:
    """Where the sound of a W64 file ends. A chunk's size counts its header, and chunks begin at multiples of 8 bytes."""
    place = 40
    while place + 24 <= len(content):
        size = int.from_bytes(content[place + 16 : place + 24], "little")
        if content[place : place + 4] == b"data":
            return place + size
        place += max(size + -size % 8, 24)
    raise Problem("is cut short")


def _end_of_nist(content: bytes) -> int:
    """Where the sound of a SPHERE file ends. Its header is text: its own size, then a line for each number."""
    size = re.match(rb"NIST_1A\n\s*(\d{1,18})\n", content)
    header = content[: int(size[1])] if size else b""
    numbers = {name: int(value) for name, value in NIST_NUMBER.findall(header.partition(b"end_head")[0])}
    if b"sample_count" not in numbers:
        raise Problem("does not say in its header how many samples it has (sample_count)")
    frame = numbers.get(b"channel_count", 1) * numbers.get(b"sample_n_bytes", 2)
    return len(header) + numbers[b"sample_count"] * frame
