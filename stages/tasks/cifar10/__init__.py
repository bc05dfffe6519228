"""CIFAR-10: 60,000 images of 32x32 pixels in ten classes (Krizhevsky 2009)."""

from dataclasses import dataclass
from typing import Annotated, Literal

from stages.engine.check import BelowOne, InsideUnit, PositiveInt
from stages.engine.schema import Crop, Cutout, Flip, ShiftScaleRotate, TaskSettings

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32


# What everybody can download: the address of each archive and its checksum.
PUBLIC = {
    "cifar-10-python": (
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "md5:c58f30108f718f92721af3b95e74349a",
    ),
}


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
