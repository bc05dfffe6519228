"""Speech to phonemes with CTC, after CMU 11-785's HW3P2: frames at 100 a second in, a string of phonemes out."""

from dataclasses import dataclass
from typing import Annotated, Literal

from stages.engine.check import PositiveInt, Rule
from stages.engine.schema import TaskSettings

# The 41 symbols in the order of spring 2023; a symbol's index is its class, and its character stands for it in text.
# Blank is CTC's; note that the character G is the symbol NG, and g is G.
SYMBOLS = (
    "", "[SIL]", "NG", "F", "M", "AE", "R", "UW", "N", "IY", "AW", "V", "UH", "OW",
    "AA", "ER", "HH", "Z", "K", "CH", "W", "EY", "ZH", "T", "EH", "Y", "AH", "B",
    "P", "TH", "DH", "AO", "G", "L", "JH", "OY", "SH", "D", "AY", "S", "IH",
)  # fmt: skip
CHARACTERS = " -Gfm@rUniWvuoaRhzkCweZtEyAbpTDcgljOSdYsI"
# Spring 2022 wrote its submissions in other characters, in an order of its own.
SYMBOLS_2022 = (
    "", "SIL", "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY", "JH",
    "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
CHARACTERS_2022 = " .aAhowybcdDerEfgHiIjklmnNOYpRsStTuUvW?zZ"
BLANK = 0
NUM_CLASSES = len(SYMBOLS)


@dataclass(frozen=True)
class Sample:
    """How many utterances the sample source speaks."""

    train: PositiveInt
    dev: PositiveInt
    test: PositiveInt


@dataclass(frozen=True)
class Settings(TaskSettings):
    sample: Sample


@dataclass(frozen=True)
class Augment:
    """SpecAugment (arXiv:1904.08779): the widest mask over coefficients and over frames, of each utterance its own."""

    freq_mask: PositiveInt | None
    time_mask: PositiveInt | None


@dataclass(frozen=True)
class Loss:
    """CTC has nothing to set."""


@dataclass(frozen=True)
class Evaluate:
    weights: Literal["best", "last"]
    dev_beam: PositiveInt
    test_beam: PositiveInt
    # Symbols less probable than this in a frame are not followed; from 1/41 on a frame could be left with none.
    cut: Annotated[float, Rule(f"must be at least 0 and below 1/{NUM_CLASSES}", lambda value: 0 <= value < 1 / NUM_CLASSES)]
