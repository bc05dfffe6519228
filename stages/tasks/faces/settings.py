"""This task's keys of params.yaml."""

from dataclasses import dataclass
from typing import Annotated

from stages.config.check import InsideUnit, PositiveFloat, PositiveInt
from stages.config.schema import Fold
from stages.images import settings as images


@dataclass(frozen=True)
class Sample:
    """How many faces the sample source draws. The identities of the verification are not in training."""

    identities: PositiveInt
    train: PositiveInt  # images per identity
    dev: PositiveInt
    test: PositiveInt
    known: PositiveInt  # known identities of the verification, one image each
    unknown: PositiveInt  # images to verify, in dev and in test; one in six matches nobody


@dataclass(frozen=True)
class Settings(images.ImageTask):
    side: PositiveInt | None  # pixels to which images are scaled and cropped; null: the first training image's side
    sample: Sample
    dev_fraction: Annotated[float, InsideUnit] = 0.1  # held out of each person's images if the layout has no splits
    fold: Fold | None = None  # in place of dev_fraction


@dataclass(frozen=True)
class ArcFace:
    """Additive angular margin (Deng et al. 2019, arXiv:1801.07698): scale * cos(angle), for the true class + margin."""

    margin: Annotated[float, InsideUnit] = 0.5  # radians
    scale: PositiveFloat = 64.0


@dataclass(frozen=True)
class Loss(images.Loss):
    """Cross-entropy; with `arcface`, of the cosines between embedding and class centres."""

    arcface: ArcFace | None = None


@dataclass(frozen=True)
class Evaluate(images.Evaluate):
    """views: embeddings are averaged over them, too."""

    # Null, or the eps of WCCN (evaluation/whitening.py), which whitens the embeddings for verification: the share of the
    # mean variance that is added in every direction. From 0.01; a large eps only subtracts the mean.
    whiten: PositiveFloat | None = None


@dataclass(frozen=True)
class Run(images.Run):
    loss: Loss
    evaluate: Evaluate
