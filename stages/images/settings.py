"""The keys of params.yaml that tasks of image classification share. Torch-free."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from stages.config import schema
from stages.config.check import BelowOne, InsideUnit, NotNegative, PositiveFloat, PositiveInt, Share
from stages.config.schema import Depths, Network, TaskSettings, Weights

Loading = Literal["auto", "device", "workers"]


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
class Crop:
    """A random crop of the image's size after padding each side with `padding` reflected pixels."""

    padding: PositiveInt


@dataclass(frozen=True)
class Flip:
    """Flip left and right with probability `p`."""

    p: Annotated[float, Share]


@dataclass(frozen=True)
class ShiftScaleRotate:
    """With probability `p` shift by up to `shift` of the side, scale by 1 ± `scale`, rotate by ± `rotate` degrees."""

    shift: Annotated[float, Share]
    scale: Annotated[float, BelowOne]
    rotate: Annotated[float, NotNegative]
    p: Annotated[float, Share]


@dataclass(frozen=True)
class Cutout:
    """With probability `p` fill a square of side `size` pixels, fully inside the image, with the training mean."""

    size: PositiveInt
    p: Annotated[float, Share] = 1.0


@dataclass(frozen=True)
class Grayscale:
    """Remove the colours with probability `p`."""

    p: Annotated[float, Share]


@dataclass(frozen=True)
class ColorJitter:
    """Multiply brightness, contrast and saturation, in this order, by random factors from 1 ± their values."""

    brightness: Annotated[float, BelowOne]
    contrast: Annotated[float, BelowOne]
    saturation: Annotated[float, BelowOne]


@dataclass(frozen=True)
class Erasing:
    """With probability `p` fill a rectangle of any proportions and the share `area` of the image with the training mean."""

    area: Annotated[float, InsideUnit]
    p: Annotated[float, Share]


@dataclass(frozen=True)
class MixUp:
    """With probability `p` average a batch with itself in another order; the weight is drawn from Beta(alpha, alpha)."""

    name: Literal["mixup"]
    alpha: PositiveFloat
    p: Annotated[float, Share]


@dataclass(frozen=True)
class CutMix:
    """With probability `p` paste a rectangle from another image of the batch; its share is drawn from Beta(alpha, alpha)."""

    name: Literal["cutmix"]
    alpha: PositiveFloat
    p: Annotated[float, Share]


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
