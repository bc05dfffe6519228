"""The statistics of a folder of images: those of packed images."""

from stages.images.statistics import PackedStats as Stats
