"""The keys of params.yaml that are this task's own."""

from dataclasses import dataclass
from typing import Annotated

from stages.config.check import InsideUnit
from stages.config.schema import Fold
from stages.images.settings import ImageTask, Run, Sample


@dataclass(frozen=True)
class Settings(ImageTask):
    dev_fraction: Annotated[float, InsideUnit]  # held out of training where the layout has no labelled test images
    sample: Sample
    fold: Fold | None = None  # in place of dev_fraction
