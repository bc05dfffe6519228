"""The statistics of tasks on sequences. Torch-free."""

from dataclasses import dataclass

from stages.data.statistics import Stats


@dataclass(frozen=True)
class SequenceStats(Stats):
    """num_features: in a frame. frames: the `total` of a split, and those of its `longest` sequence."""

    num_features: int
    frames: dict[str, dict[str, int]]
