"""This task's keys of params.yaml."""

from dataclasses import dataclass
from typing import Annotated

from stages.config.check import InsideUnit
from stages.config.schema import Fold
from stages.images.settings import ImageTask, Run, Sample


@dataclass(frozen=True)
class Settings(ImageTask):
    dev_fraction: Annotated[float, InsideUnit]  # held out of training if the layout has no labelled test images
    sample: Sample
    fold: Fold | None = None  # in place of dev_fraction
