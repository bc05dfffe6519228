"""The statistics of tasks on images."""

from dataclasses import dataclass

from stages.data.statistics import Stats


@dataclass(frozen=True)
class ImageStats(Stats):
    """What networks and batches need to know of any images."""

    classes: list[str]  # by label
    side: int  # pixels; images are square
    mean: list[float]  # of red, green and blue in the training images, from 0 to 255
    std: list[float]  # likewise, at least 0.001


@dataclass(frozen=True)
class PackedStats(ImageStats):
    """The statistics of images that `raw.packing.pack` has decoded and stored as arrays."""

    per_class: dict[str, int]  # training images
