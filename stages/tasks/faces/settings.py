"""The keys of params.yaml that are this task's own."""

from dataclasses import dataclass
from typing import Annotated

from stages.config.check import InsideUnit, PositiveFloat, PositiveInt
from stages.config.schema import Fold
from stages.images import settings as images


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
class Settings(images.ImageTask):
    side: PositiveInt | None  # pixels; images of another size are scaled and cropped; null takes the first training image's
    sample: Sample
    dev_fraction: Annotated[float, InsideUnit] = 0.1  # held out of each person's images where the layout has no splits
    fold: Fold | None = None  # in place of dev_fraction


@dataclass(frozen=True)
class ArcFace:
    """Additive angular margin (Deng et al. 2019, arXiv:1801.07698): cosines times `scale`, the true angle plus `margin`."""

    margin: Annotated[float, InsideUnit] = 0.5  # radians
    scale: PositiveFloat = 64.0


@dataclass(frozen=True)
class Loss(images.Loss):
    """Cross-entropy; with `arcface` on the cosines between embedding and class centres."""

    arcface: ArcFace | None = None


@dataclass(frozen=True)
class Evaluate(images.Evaluate):
    """views: the embeddings, too, are averages over them."""

    # Null, or the eps of WCCN (evaluation/whitening.py), by which verification whitens embeddings: the share of the mean
    # variance that every direction gets on top. From 0.01 on; the larger, the nearer to merely subtracting the mean.
    whiten: PositiveFloat | None = None


@dataclass(frozen=True)
class Run(images.Run):
    loss: Loss
    evaluate: Evaluate
