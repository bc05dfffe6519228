"""The keys of params.yaml that tasks of image classification share. Torch-free."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from stages.config import schema
from stages.config.check import BelowOne, PositiveInt, Share
from stages.config.schema import (
    ColorJitter,
    Crop,
    CutMix,
    Cutout,
    Depths,
    Erasing,
    Flip,
    Grayscale,
    Loading,
    MixUp,
    Network,
    ShiftScaleRotate,
    TaskSettings,
    Weights,
)


@dataclass(frozen=True)
class ImageTask(TaskSettings):
    inputs: Literal["images"]


@dataclass(frozen=True)
class Sample:
    """How many images the sample source draws."""

    train: PositiveInt
    test: PositiveInt


@dataclass(frozen=True)
class ImageNetwork(Network):
    smallest: ClassVar[int] = 1  # the side, in pixels, of the smallest image that the network accepts


@dataclass(frozen=True)
class CustomResnet(ImageNetwork):
    name: Literal["custom_resnet"]
    width: PositiveInt
    dropout: Annotated[float, Share]
    smallest = 8


@dataclass(frozen=True)
class DilatedNet(ImageNetwork):
    name: Literal["dilated_net"]
    width: PositiveInt


@dataclass(frozen=True)
class ResNet50(ImageNetwork):
    name: Literal["resnet50"]
    width: PositiveInt
    depths: Depths = (3, 4, 6, 3)
    small_stem: bool = False


@dataclass(frozen=True)
class ConvNeXt(ImageNetwork):
    name: Literal["convnext"]
    width: PositiveInt
    path_dropout: Annotated[float, Share]
    depths: Depths = (3, 3, 9, 3)
    smallest = 32


Model = CustomResnet | DilatedNet | ResNet50 | ConvNeXt


@dataclass(frozen=True)
class Augment:
    """Augmentations, applied in this order; null, the default, skips one."""

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
class Shift:
    """The image moved by `shift` pixels left, right, up and down: four views, reflected at the edges."""

    shift: PositiveInt


View = Literal["plain", "flip"] | Shift  # flip: the mirror image


@dataclass(frozen=True)
class Evaluate:
    """views: each image's class probabilities are averaged over them."""

    weights: Weights
    views: list[View] = field(default_factory=lambda: ["plain"])

    def __post_init__(self) -> None:
        if self.views[:1] != ["plain"]:
            raise ValueError("views: must begin with plain, the unchanged image")
        if any(view in self.views[:number] for number, view in enumerate(self.views)):
            raise ValueError("views: repeats a view")


@dataclass(frozen=True)
class Run(schema.Run):
    model: Model
    batch_size: PositiveInt
    loading: Loading
    augment: Augment
    loss: Loss
    evaluate: Evaluate
