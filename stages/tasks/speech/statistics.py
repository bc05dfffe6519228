"""The statistics of speech."""

from dataclasses import dataclass

from stages.data import statistics


@dataclass(frozen=True)
class Submission:
    """How to write the submission file."""

    header: list[str]  # two columns
    characters: str  # a year of ALPHABETS
    left_out: list[int]  # the rows of rejected test utterances, ascending


@dataclass(frozen=True)
class Stats(statistics.Stats):
    submission: Submission
    symbols: list[str]  # by class; the blank is the first
    num_features: int  # in a frame
    frames: dict[str, dict[str, int]]  # by split: the total, and those of the longest utterance
    converted: dict[str, int]  # how many utterances, by what was converted
