"""The course's other homework in the same folders, told by its transcripts: letters, or a symbol for every frame."""

from collections.abc import Sequence
from pathlib import Path

from stages.core.errors import InputError
from stages.tasks.speech.raw.item import CLASSES

FIRST = 10  # utterances that are looked at
NEARLY = 0.9  # of them


def check_letters(source: Path, transcripts: Sequence[Sequence[str]]) -> None:
    """Raises InputError for HW4P2's transcripts, without marks of start and end: characters, not all of them phonemes."""
    symbols = {symbol for transcript in transcripts for symbol in transcript}
    if symbols and all(len(symbol) == 1 for symbol in symbols) and not symbols <= CLASSES.keys():
        _refuse(source, "HW4P2: its transcripts are letters")


def check_frames(source: Path, lengths: Sequence[tuple[int, int]]) -> None:
    """Raises InputError for HW1P2's utterances, (symbols, frames): nearly all have as many of the one as of the other."""
    if lengths and sum(symbols == frames for symbols, frames in lengths) >= NEARLY * len(lengths):
        _refuse(source, "HW1P2: its transcripts have a symbol for every frame")


def _refuse(source: Path, what: str) -> None:
    raise InputError(
        f"{source}: looks like {what}, where those of HW3P2 are the phonemes that were said; take HW3P2's archive"
    )
