"""What a layout's module makes of the archives: the utterances, and what has to be known to submit the test split."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from stages.tasks.speech.raw.item import Item


@dataclass(frozen=True)
class Form:
    """What the data are, in words, and how a submission is written.

    header: where there is no sample submission. characters: whose, a key of ALPHABETS.
    """

    layout: str
    header: tuple[str, str]
    characters: str


@dataclass(frozen=True)
class Source:
    """items: every utterance, in the order of the archives. form: by the number of features, which may tell the term.

    order: the place of each test utterance; None if it is that of their names. sample: the competition's sample submission.
    """

    items: Iterator[Item]
    form: Callable[[int], Form]
    order: Mapping[str, int] | None = None
    sample: bytes | None = None
