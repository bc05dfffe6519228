"""The statistics of speech. Torch-free."""

from dataclasses import dataclass

from stages.sequences.statistics import SequenceStats


@dataclass(frozen=True)
class Submission:
    """header: two columns. characters: a year of ALPHABETS. left_out: the rows of rejected test utterances, ascending."""

    header: list[str]
    characters: str
    left_out: list[int]


@dataclass(frozen=True)
class Stats(SequenceStats):
    """symbols: by class, the blank first. converted: how often each conversion was needed, by its description."""

    submission: Submission
    symbols: list[str]
    converted: dict[str, int]
