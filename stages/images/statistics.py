"""The statistics of tasks on images. Torch-free."""

from dataclasses import dataclass

from stages.data.statistics import Stats


@dataclass(frozen=True)
class ImageStats(Stats):
    """What networks and batches need to know of any images.

    classes: by label. side: of the square images, in pixels. mean, std: of the channels red, green and blue in the training
    images, from 0 to 255; std is at least 0.001.
    """

    classes: list[str]
    side: int
    mean: list[float]
    std: list[float]


@dataclass(frozen=True)
class PackedStats(ImageStats):
    """Those of `raw.packing.pack`. per_class: training images."""

    per_class: dict[str, int]
