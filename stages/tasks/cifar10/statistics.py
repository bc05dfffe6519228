"""The statistics of CIFAR-10: those of packed images."""

from stages.images.statistics import PackedStats as Stats
