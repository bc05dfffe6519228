"""The keys of params.yaml that tasks of image classification share. Torch-free."""

from dataclasses import dataclass
from typing import Annotated, Literal

from stages.config import schema
from stages.config.check import BelowOne, PositiveInt
from stages.config.schema import (
    ColorJitter,
    Crop,
    CutMix,
    Cutout,
    Erasing,
    Flip,
    Grayscale,
    Loading,
    MixUp,
    ShiftScaleRotate,
)


@dataclass(frozen=True)
class Sample:
    """How many images the sample source draws."""

    train: PositiveInt
    test: PositiveInt


@dataclass(frozen=True)
class Augment:
    """Applied in this order; null, the default, leaves one out."""

    crop: Crop | None = None
    flip: Flip | None = None
    shift_scale_rotate: ShiftScaleRotate | None = None
    grayscale: Grayscale | None = None
    color_jitter: ColorJitter | None = None
    cutout: Cutout | None = None
    erasing: Erasing | None = None
    mix: MixUp | CutMix | None = None


@dataclass(frozen=True)
class Loss:
    """Cross-entropy."""

    label_smoothing: Annotated[float, BelowOne] = 0.0


@dataclass(frozen=True)
class Evaluate:
    weights: Literal["best", "last"]
    flip_average: bool = False  # average the class probabilities of each image and its mirror image


@dataclass(frozen=True)
class Run(schema.Run):
    """A task gives `model` its type."""

    batch_size: PositiveInt
    loading: Loading
    augment: Augment
    loss: Loss
    evaluate: Evaluate
