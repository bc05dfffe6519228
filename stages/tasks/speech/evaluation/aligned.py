"""The worst and the median utterances, true above predicted, as text and as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from stages.results.plots import save
from stages.sequences.evaluation.alignment import GAP, Pair, edits, lines
from stages.tasks.speech import NAMES

NUM = 5
WIDTH = 110  # characters a line
MAX_ROWS = 3  # of an utterance in the picture; the text has all
COLOURS = {"S": "#bd1f01", "I": "#832db6", "D": "#1f6fb8"}
EDITS = {"S": "substituted", "I": "inserted", "D": "deleted"}


class Utterance(NamedTuple):
    name: str
    pairs: Sequence[Pair]

    @property
    def distance(self) -> int:
        return edits([self.pairs]).total()

    @property
    def num_symbols(self) -> int:
        return sum(pair.true != GAP for pair in self.pairs)

    @property
    def title(self) -> str:
        counts = edits([self.pairs])
        kinds = ", ".join(f"{counts[edit]} {word}" for edit, word in EDITS.items())
        return f"{self.name}: distance {self.distance} for {self.num_symbols} symbols ({kinds})"


def worst_and_median(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    """Return the NUM utterances of the highest distance per true symbol, and NUM others around the median."""
    order = sorted(utterances, key=lambda each: (-each.distance / max(each.num_symbols, 1), -each.distance, each.name))
    return {"worst": order[:NUM], "median": order[max(NUM, (len(order) - NUM) // 2) :][:NUM]}


def write(path: Path, run: str, chosen: dict[str, list[Utterance]]) -> None:
    """Write the utterances as text, with a legend of the characters."""
    with path.open("w", encoding="utf-8") as file:
        print(f"{run} on dev: {GAP} marks a gap, and S, I and D a symbol substituted, inserted or deleted", file=file)
        print(*_legend(), sep="\n", file=file)
        for kind, utterances in chosen.items():
            for rank, utterance in enumerate(utterances, start=1):
                print(f"\n{kind} {rank}: {utterance.title}", file=file)
                for true, predicted, marks in lines(utterance.pairs, WIDTH):
                    print(f"  true  {true}\n  pred  {predicted}\n        {marks}".rstrip(), file=file)


def draw(path: Path, run: str, chosen: dict[str, list[Utterance]]) -> None:
    """Draw the utterances, with errors in colour."""
    page = _Page()
    page.line(f"{run} on dev: true above predicted", weight="bold")
    for column, (edit, word) in zip((60, 76, 90), EDITS.items(), strict=True):
        page.overlay(f"{edit} {word}", column=column, color=COLOURS[edit], weight="bold")
    for line in _legend():
        page.line(line, color="#606060")
    for kind, utterances in chosen.items():
        for rank, utterance in enumerate(utterances, start=1):
            page.skip()
            page.line(f"{kind} {rank}: {utterance.title}", weight="bold")
            rows = lines(utterance.pairs, WIDTH)
            for true, predicted, marks in rows[:MAX_ROWS]:
                page.coloured(true, marks)
                page.coloured(predicted, marks)
                page.coloured(marks, marks)
            if len(rows) > MAX_ROWS:
                page.line("… the rest is in aligned.txt", color="#606060")
    page.save(path)


def _legend() -> list[str]:
    entries = [f"{character}={name}".ljust(6) for character, name in NAMES.items()]
    return ["".join(f"{entry} " for entry in entries[start : start + 15]).rstrip() for start in range(0, len(entries), 15)]


class _Page:
    """Lines of monospaced text. Text of another colour is drawn over a line, with spaces in between."""

    SIZE = 10  # points
    ADVANCE = 0.602 * SIZE / 72  # inches; a character of DejaVu Sans Mono is 0.602 em wide
    LEADING, MARGIN = 1.4 * SIZE / 72, 0.25  # inches

    def __init__(self) -> None:
        self._texts: list[tuple[float, float, str, dict[str, Any]]] = []
        self._y = self.MARGIN

    def line(self, text: str, **style: Any) -> None:
        self._y += self.LEADING
        self.overlay(text, column=0, **style)

    def overlay(self, text: str, *, column: int, **style: Any) -> None:
        """Add text to the last line."""
        self._texts.append((self.MARGIN + column * self.ADVANCE, self._y, text, style))

    def coloured(self, text: str, marks: str) -> None:
        """Add a line whose characters have the colours of the marks below them."""
        self.line("".join(c if mark == " " else " " for c, mark in zip(text, marks, strict=True)))
        for edit, color in COLOURS.items():
            only = "".join(c if mark == edit else " " for c, mark in zip(text, marks, strict=True))
            if only.strip():
                self.overlay(only, column=0, color=color, weight="bold")

    def skip(self) -> None:
        self._y += self.LEADING / 2

    def save(self, path: Path) -> None:
        width, height = 2 * self.MARGIN + WIDTH * self.ADVANCE, self._y + self.MARGIN
        figure = Figure(figsize=(width, height))
        for x, y, text, style in self._texts:
            figure.text(
                x / width, 1 - y / height, text, family="DejaVu Sans Mono", size=self.SIZE, parse_math=False, **style
            )
        save(figure, path)
