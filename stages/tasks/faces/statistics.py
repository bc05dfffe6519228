"""The statistics of faces."""

from dataclasses import dataclass
from typing import Any, Literal

from stages.images.statistics import ImageStats


@dataclass(frozen=True)
class Submission:
    """How to write a submission file."""

    header: list[str]
    ids: Literal["name", "row", "pair"]  # an image's name, the row's number from 0, or a pair's two names and a space
    labels: Literal["index", "identity", "score"]  # a class's index, an identity's name, or a cosine similarity


@dataclass(frozen=True)
class Stats(ImageStats):
    known: list[str]  # identities of the verification, by label
    verification: dict[str, Any]  # its kind: gallery, None, or pairs, with their number by split
    submissions: dict[str, Submission]  # by file stem; none without test items
    converted: dict[str, int]  # how many images, by what decoding converts
