"""The keys of params.yaml that are this task's own."""

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
    """SpecAugment (arXiv:1904.08779): the widest mask over coefficients and over frames, of each utterance its own."""

    freq_mask: PositiveInt | None = None
    time_mask: PositiveInt | None = None


@dataclass(frozen=True)
class Loss:
    """CTC has nothing to set."""


@dataclass(frozen=True)
class Evaluate:
    weights: Weights
    dev_beam: PositiveInt
    test_beam: PositiveInt
    # Symbols less probable than this in a frame are not followed; from 1/41 on a frame could be left with none.
    cut: Annotated[float, Rule(f"must be at least 0 and below 1/{NUM_CLASSES}", lambda value: 0 <= value < 1 / NUM_CLASSES)]


@dataclass(frozen=True)
class Run(schema.Run):
    model: Model
    batch_size: PositiveInt | Frames
    loading: Literal["disk"]  # utterances are read as they are needed
    augment: Augment
    loss: Loss
    evaluate: Evaluate
