"""This task's keys of params.yaml."""

from dataclasses import dataclass
from typing import Annotated, Literal

from stages.config import schema
from stages.config.check import PositiveInt, Rule
from stages.config.schema import Fold, Frames, TaskSettings, Weights
from stages.sequences.settings import Model
from stages.tasks.speech import NUM_CLASSES


@dataclass(frozen=True)
class Sample:
    """How many utterances the sample source speaks."""

    train: PositiveInt
    dev: PositiveInt
    test: PositiveInt


@dataclass(frozen=True)
class Settings(TaskSettings):
    inputs: Literal["sequences"]
    sample: Sample
    fold: Fold | None = None  # of the speakers, where no folder is dev


@dataclass(frozen=True)
class Augment:
    """SpecAugment (arXiv:1904.08779): the widest masks over coefficients and frames, drawn for each utterance."""

    freq_mask: PositiveInt | None = None
    time_mask: PositiveInt | None = None


@dataclass(frozen=True)
class Loss:
    """CTC has no settings."""


@dataclass(frozen=True)
class Evaluate:
    weights: Weights
    beam: PositiveInt  # prefixes that beam search keeps; docs/RESULTS.md compares widths
    # Beam search ignores symbols below this probability in a frame; from 1/41 a frame could be left with none.
    cut: Annotated[float, Rule(f"must be at least 0 and below 1/{NUM_CLASSES}", lambda value: 0 <= value < 1 / NUM_CLASSES)]


@dataclass(frozen=True)
class Run(schema.Run):
    model: Model
    batch_size: PositiveInt | Frames
    loading: Literal["disk"]  # utterances are read when needed
    augment: Augment
    loss: Loss
    evaluate: Evaluate
