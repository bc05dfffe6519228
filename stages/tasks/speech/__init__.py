"""Speech to phonemes with CTC, after CMU 11-785's HW3P2: frames at 100 a second in, a string of phonemes out."""

from dataclasses import dataclass
from typing import Annotated, Literal

from stages.engine.check import PositiveInt, Rule
from stages.engine.schema import Frames, TaskSettings

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


# What everybody can download: the parts of LibriSpeech at OpenSLR, the address of each archive and its checksum.
PUBLIC = {
    name: (f"https://www.openslr.org/resources/12/{name}.tar.gz", f"sha256:{digest}")
    for name, digest in {
        "dev-clean": "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
        "dev-other": "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365",
        "test-clean": "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
        "test-other": "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29",
        "train-clean-100": "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
        "train-clean-360": "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf",
        "train-other-500": "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2",
    }.items()
}


@dataclass(frozen=True)
class Sample:
    """How many utterances the sample source speaks."""

    train: PositiveInt
    dev: PositiveInt
    test: PositiveInt


@dataclass(frozen=True)
class Settings(TaskSettings):
    sample: Sample


BatchSize = PositiveInt | Frames


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
