"""This kind's keys of params.yaml."""

from dataclasses import dataclass
from typing import Annotated

from stages.config.check import InsideUnit, PositiveInt
from stages.config.schema import Fold
from stages.images.settings import ImageTask, Run


@dataclass(frozen=True)
class Sample:
    """There is no sample."""


@dataclass(frozen=True)
class Settings(ImageTask):
    side: PositiveInt  # pixels to which each image's middle square is scaled
    sample: Sample
    dev_fraction: Annotated[float, InsideUnit] = 0.1  # held out of each class's images if there is no folder dev
    fold: Fold | None = None  # in place of dev_fraction

    def __post_init__(self) -> None:
        if self.source == "sample":
            raise ValueError("source: this kind of task has no sample; give the path of a folder or an archive")
