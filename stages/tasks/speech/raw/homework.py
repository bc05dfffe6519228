"""The refusal of the course's other homeworks, which have the same folders but other transcripts."""

from collections.abc import Sequence
from pathlib import Path

from stages.core.errors import InputError
from stages.tasks.speech.raw.item import CLASSES

FIRST = 10  # utterances to check
MIN_SHARE = 0.9  # of them with a symbol per frame


def check_letters(source: Path, transcripts: Sequence[Sequence[str]]) -> None:
    """Raises InputError for HW4P2's transcripts, characters that are not all phonemes. transcripts: without marks."""
    symbols = {symbol for transcript in transcripts for symbol in transcript}
    if symbols and all(len(symbol) == 1 for symbol in symbols) and not symbols <= CLASSES.keys():
        _refuse(source, "HW4P2: its transcripts are letters")


def check_frames(source: Path, lengths: Sequence[tuple[int, int]]) -> None:
    """Raises InputError for HW1P2's utterances, which have a symbol per frame. lengths: (symbols, frames) of utterances."""
    if lengths and sum(symbols == frames for symbols, frames in lengths) >= MIN_SHARE * len(lengths):
        _refuse(source, "HW1P2: its transcripts have a symbol for every frame")


def _refuse(source: Path, what: str) -> None:
    raise InputError(f"{source}: looks like {what}, but those of HW3P2 are phonemes; use HW3P2's archive")
