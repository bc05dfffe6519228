"""What every layout is read into: the utterances, and how to write the submission."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from stages.tasks.speech.raw.item import Item


@dataclass(frozen=True)
class Form:
    """layout: a description of the data. header: of a submission without a sample. characters: a key of ALPHABETS."""

    layout: str
    header: tuple[str, str]
    characters: str


@dataclass(frozen=True)
class Source:
    """items: all utterances, in the archives' order. form: returns the Form for a number of features.

    order: the row of each test utterance in the submission; None: sorted by name. sample: the sample submission.
    """

    items: Iterator[Item]
    form: Callable[[int], Form]
    order: Mapping[str, int] | None = None
    sample: bytes | None = None
