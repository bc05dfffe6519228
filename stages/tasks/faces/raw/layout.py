"""What every layout is read into: the images of each split, the pairs to compare, and the submission files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from stages.images.raw.listing import File
from stages.tasks.faces.statistics import Submission

NOTHING = re.compile(r"$^")


class Item(NamedTuple):
    """An image: its file, its name in its split, its label or -1. is_needed: it cannot be left out."""

    file: File
    name: str
    label: int = -1
    is_needed: bool = False


class Pair(NamedTuple):
    """Two names in the split `verification`, and whether they are the same person, which is None in test."""

    name: str
    other: str
    same: bool | None


@dataclass(frozen=True)
class Layout:
    """classes, known: identities, sorted; the index is the label. splits: the images of each, in order.

    submissions: by file stem, if there are test items. problems: (where, reason) of files that do not fit. pairs: of dev and
    test, in table order. samples: sample submissions to copy. ignored: a pattern for the members that the task does not
    need. remark: follows the layout's name.
    """

    classes: list[str]
    splits: Mapping[str, list[Item]]
    submissions: Mapping[str, Submission]
    problems: list[tuple[str, str]]
    known: list[str] = field(default_factory=list)
    pairs: Mapping[str, list[Pair]] = field(default_factory=dict)
    samples: Mapping[str, bytes] = field(default_factory=dict)
    ignored: re.Pattern[str] = NOTHING
    name: str = ""
    remark: str = ""


class Missing(Exception):
    """A required part of a layout is missing; `layouts.find` adds the layout's name."""
