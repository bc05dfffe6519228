"""The statistics of speech."""

from dataclasses import dataclass

from stages.sequences.statistics import SequenceStats


@dataclass(frozen=True)
class Submission:
    """How to write the submission file."""

    header: list[str]  # two columns
    characters: str  # a year of ALPHABETS
    left_out: list[int]  # the rows of rejected test utterances, ascending


@dataclass(frozen=True)
class Stats(SequenceStats):
    submission: Submission
    symbols: list[str]  # by class; the blank is the first
    converted: dict[str, int]  # how many utterances, by what was converted
