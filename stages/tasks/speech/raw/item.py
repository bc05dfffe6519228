"""Utterances and transcripts read from an archive."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stages.tasks.speech import BLANK, SYMBOLS

Split = Literal["train", "dev", "test"]

CLASSES = {symbol: index for index, symbol in enumerate(SYMBOLS) if index != BLANK}
CLASSES["SIL"] = CLASSES["[SIL]"]  # the name in 2022


class Problem(Exception):
    """What is wrong with an utterance."""


@dataclass(frozen=True)
class Item:
    """An utterance. converted: what was changed to use it, in a word or two. audio: the recording, if it is to be kept."""

    split: Split
    name: str
    where: str  # for messages
    frames: np.ndarray | None  # (T, F)
    classes: np.ndarray | None  # (L,) uint8; None in the test split
    problem: str | None
    converted: tuple[str, ...] = ()
    audio: bytes | None = None


@dataclass(frozen=True)
class Transcript:
    """A transcript: its classes or what is wrong with it, and what was changed."""

    where: str  # for messages
    classes: np.ndarray | None  # (L,) uint8
    problem: str | None
    converted: tuple[str, ...] = ()


def encode(symbols: Sequence[str]) -> np.ndarray:
    """Return the classes (L,) uint8 of phoneme symbols, with or without stress digits. Raises Problem for other symbols."""
    classes = [CLASSES.get(symbol.rstrip("012")) for symbol in symbols]
    if None in classes:
        raise Problem(f"holds {symbols[classes.index(None)]!r}, which is not one of the phonemes")
    if not classes:
        raise Problem("holds no phoneme")
    return np.array(classes, np.uint8)
