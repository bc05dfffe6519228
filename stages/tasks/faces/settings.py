"""The keys of params.yaml that are this task's own."""

from dataclasses import dataclass
from typing import Annotated, Literal

from stages.config import schema
from stages.config.check import BelowOne, InsideUnit, PositiveFloat, PositiveInt, Share
from stages.config.schema import (
    ColorJitter,
    Crop,
    CutMix,
    Erasing,
    Flip,
    Grayscale,
    Loading,
    MixUp,
    Network,
    ShiftScaleRotate,
    TaskSettings,
)


@dataclass(frozen=True)
class Sample:
    """What the sample source draws: the identities to learn and their images each; verification has others."""

    identities: PositiveInt
    train: PositiveInt  # images of each identity
    dev: PositiveInt
    test: PositiveInt
    known: PositiveInt  # identities of the verification, one image each
    unknown: PositiveInt  # images to verify, for dev and for test each; one in six matches nobody


@dataclass(frozen=True)
class Settings(TaskSettings):
    side: PositiveInt | None  # pixels; images of another size are scaled and cropped; null takes the first training image's
    sample: Sample


@dataclass(frozen=True)
class ResNet50(Network):
    name: Literal["resnet50"]
    width: PositiveInt
    small_stem: bool = False


@dataclass(frozen=True)
class ConvNeXt(Network):
    name: Literal["convnext"]
    width: PositiveInt
    path_dropout: Annotated[float, Share]


Model = ResNet50 | ConvNeXt


@dataclass(frozen=True)
class Augment:
    """Applied in this order; null, the default, leaves one out."""

    crop: Crop | None = None
    flip: Flip | None = None
    shift_scale_rotate: ShiftScaleRotate | None = None
    grayscale: Grayscale | None = None
    color_jitter: ColorJitter | None = None
    erasing: Erasing | None = None
    mix: MixUp | CutMix | None = None


@dataclass(frozen=True)
class ArcFace:
    """Additive angular margin (Deng et al. 2019, arXiv:1801.07698): cosines times `scale`, the true angle plus `margin`."""

    margin: Annotated[float, InsideUnit] = 0.5  # radians
    scale: PositiveFloat = 64.0


@dataclass(frozen=True)
class Loss:
    """Cross-entropy; with `arcface` on the cosines between embedding and class centres."""

    label_smoothing: Annotated[float, BelowOne] = 0.0
    arcface: ArcFace | None = None


@dataclass(frozen=True)
class Evaluate:
    weights: Literal["best", "last"]
    flip_average: bool  # average the class probabilities, and the embeddings, of each image and its mirror image
    # Null, or the eps of WCCN (evaluation/whitening.py), by which verification whitens embeddings: the share of the mean
    # variance that every direction gets on top. From 0.01 on; the larger, the nearer to merely subtracting the mean.
    whiten: PositiveFloat | None


@dataclass(frozen=True)
class Run(schema.Run):
    model: Model
    batch_size: PositiveInt
    loading: Loading
    augment: Augment
    loss: Loss
    evaluate: Evaluate
