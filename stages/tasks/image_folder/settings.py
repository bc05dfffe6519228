"""The keys of params.yaml that are this kind's own."""

from dataclasses import dataclass
from typing import Annotated

from stages.config.check import InsideUnit, PositiveInt
from stages.config.schema import Fold
from stages.images.settings import ImageTask, Run


@dataclass(frozen=True)
class Sample:
    """Nothing is drawn."""


@dataclass(frozen=True)
class Settings(ImageTask):
    side: PositiveInt  # pixels that the networks see: each image's middle square, scaled
    sample: Sample
    dev_fraction: Annotated[float, InsideUnit] = 0.1  # held out of each class's images where there is no folder dev
    fold: Fold | None = None  # in place of dev_fraction

    def __post_init__(self) -> None:
        if self.source == "sample":
            raise ValueError("source: nothing is drawn for this kind of task; give the path of a folder or an archive")
