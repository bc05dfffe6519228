"""The keys of params.yaml that are this task's own."""

from dataclasses import dataclass
from typing import Annotated, Literal

from stages.config.check import InsideUnit, PositiveInt, Share
from stages.config.schema import Network, TaskSettings
from stages.images import settings as images


@dataclass(frozen=True)
class Settings(TaskSettings):
    dev_fraction: Annotated[float, InsideUnit]  # held out of training where the layout has no labelled test images
    sample: images.Sample


@dataclass(frozen=True)
class CustomResnet(Network):
    name: Literal["custom_resnet"]
    width: PositiveInt
    dropout: Annotated[float, Share]


@dataclass(frozen=True)
class DilatedNet(Network):
    name: Literal["dilated_net"]
    width: PositiveInt


Model = CustomResnet | DilatedNet


@dataclass(frozen=True)
class Run(images.Run):
    model: Model
