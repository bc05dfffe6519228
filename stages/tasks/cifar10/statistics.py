"""The statistics of CIFAR-10: those of packed images."""

from stages.images.storage import PackedStats as Stats
