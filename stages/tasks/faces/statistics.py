"""The statistics of faces. Torch-free."""

from dataclasses import dataclass
from typing import Any, Literal

from stages.images.statistics import ImageStats


@dataclass(frozen=True)
class Submission:
    """A submission file.

    ids: an image's name, the row's number from 0, or a pair's two names, separated by a space.
    labels: a class's index, an identity's name, or a cosine similarity.
    """

    header: list[str]
    ids: Literal["name", "row", "pair"]
    labels: Literal["index", "identity", "score"]


@dataclass(frozen=True)
class Stats(ImageStats):
    """known: the identities of verification, by label. submissions: by file stem; none without test items.

    verification: its `kind`, `gallery`, `pairs` or None, and the number of pairs per split.
    converted: how often each conversion was needed to decode the images.
    """

    known: list[str]
    verification: dict[str, Any]
    submissions: dict[str, Submission]
    converted: dict[str, int]
