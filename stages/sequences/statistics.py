"""The statistics of tasks on sequences."""

from dataclasses import dataclass

from stages.data.statistics import Stats


@dataclass(frozen=True)
class SequenceStats(Stats):
    num_features: int  # in a frame
    frames: dict[str, dict[str, int]]  # by split: the total, and those of the longest sequence
