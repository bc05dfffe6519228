"""The statistics of a folder of images: those of packed images."""

from stages.images.storage import PackedStats as Stats
