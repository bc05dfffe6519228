"""What was said beside what was heard: two strings aligned symbol by symbol, and the edits that this shows."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import Levenshtein

GAP = "_"  # stands where one of the two strings has nothing; it is no symbol's character


class Pair(NamedTuple):
    """A true and a predicted character; GAP for an inserted or a deleted one."""

    true: str
    predicted: str

    @property
    def edit(self) -> str:
        """S, I or D for a substitution, an insertion or a deletion; a space where both agree."""
        if self.true == self.predicted:
            return " "
        return "I" if self.true == GAP else "D" if self.predicted == GAP else "S"


def align(true: str, predicted: str) -> list[Pair]:
    """The two strings side by side with as few edits as can be; where several alignments are, Levenshtein's choice."""
    pairs = []
    for edit, begin, end, at, to in Levenshtein.opcodes(true, predicted):
        above = true[begin:end] if edit != "insert" else GAP * (to - at)
        below = predicted[at:to] if edit != "delete" else GAP * (end - begin)
        pairs += [Pair(*pair) for pair in zip(above, below, strict=True)]
    return pairs


def edits(alignments: Iterable[Sequence[Pair]]) -> Counter[str]:
    """How many S, I and D there are."""
    return Counter(pair.edit for pairs in alignments for pair in pairs if pair.edit != " ")


def confusions(alignments: Iterable[Sequence[Pair]]) -> list[tuple[Pair, int]]:
    """The substitutions and how often each occurs, the most frequent first; equals by their characters."""
    counts = Counter(pair for pairs in alignments for pair in pairs if pair.edit == "S")
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def lines(pairs: Sequence[Pair], width: int) -> list[tuple[str, str, str]]:
    """Text of at most `width` characters a line: true, predicted, and the edits between them."""
    parts = [pairs[begin : begin + width] for begin in range(0, len(pairs), width)]
    return [
        ("".join(p.true for p in part), "".join(p.predicted for p in part), "".join(p.edit for p in part)) for part in parts
    ]
