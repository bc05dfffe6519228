"""Alignment of a true and a predicted string, symbol by symbol, and its edits."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import Levenshtein

GAP = "_"  # a gap in one of the strings; not a symbol's character


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
    """Align two strings with as few edits as possible; Levenshtein chooses among equal alignments."""
    pairs = []
    for edit, begin, end, at, to in Levenshtein.opcodes(true, predicted):
        above = true[begin:end] if edit != "insert" else GAP * (to - at)
        below = predicted[at:to] if edit != "delete" else GAP * (end - begin)
        pairs += [Pair(*pair) for pair in zip(above, below, strict=True)]
    return pairs


def edits(alignments: Iterable[Sequence[Pair]]) -> Counter[str]:
    """Count the substitutions, insertions and deletions: S, I and D."""
    return Counter(pair.edit for pairs in alignments for pair in pairs if pair.edit != " ")


def confusions(alignments: Iterable[Sequence[Pair]]) -> list[tuple[Pair, int]]:
    """Return the substitutions and their counts, the most frequent first, ties by their characters."""
    counts = Counter(pair for pairs in alignments for pair in pairs if pair.edit == "S")
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def lines(pairs: Sequence[Pair], width: int) -> list[tuple[str, str, str]]:
    """Return rows of three lines of at most `width` characters: true, predicted, edits."""
    rows = [pairs[begin : begin + width] for begin in range(0, len(pairs), width)]
    return [("".join(p.true for p in row), "".join(p.predicted for p in row), "".join(p.edit for p in row)) for row in rows]
