"""One utterance on its way from an archive to the packed arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from stages.tasks.speech import BLANK, SYMBOLS

Split = Literal["train", "dev", "test"]

CLASSES = {symbol: index for index, symbol in enumerate(SYMBOLS) if index != BLANK}
CLASSES["SIL"] = CLASSES["[SIL]"]  # 2022's name of it


class Problem(Exception):
    """What is wrong with one utterance, in words; the others may still be good."""


@dataclass(frozen=True)
class Item:
    """split, name, where it came from (for messages), frames (T, F), classes (L,) uint8, and what is wrong with it.

    classes: None in the test split. converted: what had to be changed to use it, a word or two each, for the statistics.
    audio: the file that the frames were made from, where it is to be kept.
    """

    split: Split
    name: str
    where: str
    frames: np.ndarray | None
    classes: np.ndarray | None
    problem: str | None
    converted: tuple[str, ...] = ()
    audio: bytes | None = None


@dataclass(frozen=True)
class Transcript:
    """Where it stands, its classes (L,) uint8 or what is wrong with it, and what had to be changed."""

    where: str
    classes: np.ndarray | None
    problem: str | None
    converted: tuple[str, ...] = ()


def encode(symbols: Sequence[str]) -> np.ndarray:
    """Class indices (L,) uint8 of phoneme symbols, with or without stress digits. Raises Problem for any other symbol."""
    classes = [CLASSES.get(symbol.rstrip("012")) for symbol in symbols]
    if None in classes:
        raise Problem(f"holds {symbols[classes.index(None)]!r}, which is not one of the phonemes")
    if not classes:
        raise Problem("holds no phoneme")
    return np.array(classes, np.uint8)
