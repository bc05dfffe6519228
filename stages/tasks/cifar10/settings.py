"""The keys of params.yaml that are this task's own."""

from dataclasses import dataclass
from typing import Annotated, Literal

from stages.config import schema
from stages.config.check import BelowOne, InsideUnit, PositiveInt, Share
from stages.config.schema import Crop, Cutout, Flip, Loading, Network, ShiftScaleRotate, TaskSettings


@dataclass(frozen=True)
class Sample:
    """How many images the sample source draws."""

    train: PositiveInt
    test: PositiveInt


@dataclass(frozen=True)
class Settings(TaskSettings):
    dev_fraction: Annotated[float, InsideUnit]  # held out of training where the layout has no labelled test images
    sample: Sample


@dataclass(frozen=True)
class CustomResnet(Network):
    name: Literal["custom_resnet"]
    width: PositiveInt
    dropout: Annotated[float, Share]


@dataclass(frozen=True)
class DilatedNet(Network):
    name: Literal["dilated_net"]


Model = CustomResnet | DilatedNet


@dataclass(frozen=True)
class Augment:
    """Applied in this order; null, the default, leaves one out."""

    crop: Crop | None = None
    flip: Flip | None = None
    shift_scale_rotate: ShiftScaleRotate | None = None
    cutout: Cutout | None = None


@dataclass(frozen=True)
class Loss:
    """Cross-entropy."""

    label_smoothing: Annotated[float, BelowOne] = 0.0


@dataclass(frozen=True)
class Evaluate:
    weights: Literal["best", "last"]
    flip_average: bool  # average the class probabilities of each image and its mirror image


@dataclass(frozen=True)
class Run(schema.Run):
    model: Model
    batch_size: PositiveInt
    loading: Loading
    augment: Augment
    loss: Loss
    evaluate: Evaluate
