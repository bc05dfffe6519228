"""The keys of params.yaml that are this task's own."""

from dataclasses import dataclass
from typing import Annotated, Literal

from stages.config.check import BelowOne, InsideUnit, PositiveInt
from stages.config.schema import Crop, Cutout, Flip, ShiftScaleRotate, TaskSettings


@dataclass(frozen=True)
class Sample:
    """How many images the sample source draws."""

    train: PositiveInt
    test: PositiveInt


@dataclass(frozen=True)
class Settings(TaskSettings):
    dev_fraction: Annotated[float, InsideUnit]  # held out of training where the layout has no labelled test images
    sample: Sample


BatchSize = PositiveInt


@dataclass(frozen=True)
class Augment:
    """Applied in this order; null leaves one out."""

    crop: Crop | None
    flip: Flip | None
    shift_scale_rotate: ShiftScaleRotate | None
    cutout: Cutout | None


@dataclass(frozen=True)
class Loss:
    """Cross-entropy."""

    label_smoothing: Annotated[float, BelowOne]


@dataclass(frozen=True)
class Evaluate:
    weights: Literal["best", "last"]
    flip_average: bool  # average the class probabilities of each image and its mirror image
