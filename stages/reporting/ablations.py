"""metrics/<run>/ablation.csv, the table that `make ablate` (stages/ablate.py) writes: a row for each value of each grid."""

import csv
import itertools
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from stages.core.errors import InputError


@dataclass(frozen=True)
class Row:
    """A value of a grid and its results, which are None for a failed experiment."""

    grid: str
    key: str  # in the run's block in params.yaml, such as evaluate.beam
    value: str
    source: str  # of the task's data
    metric: str
    score: float | None  # on dev
    lr: float | None
    epochs: int | None
    seconds: float | None  # of training
    weights: str  # the first digits of their SHA-256; equal for equal trainings
    experiment: str
    command: str  # that reproduces the score

    @property
    def cells(self) -> list[Any]:
        """The cells of the CSV row; None becomes an empty cell."""
        return ["" if (value := getattr(self, name)) is None else value for name in COLUMNS]


COLUMNS = [field.name for field in fields(Row)]


def read(path: Path) -> list[Row]:
    """Read a table; no rows if there is no file. Raises InputError if it is not such a table."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    try:
        return [_row(row) for row in rows]
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: is not a table of `make ablate`; remove it and run the command again") from None


def _row(cells: dict[str, str]) -> Row:
    if None in cells or None in cells.values():  # a line longer or shorter than the header
        raise ValueError
    numbers = {name: float(cells[name]) if cells[name] else None for name in ("score", "lr", "seconds")}
    epochs = int(cells["epochs"]) if cells["epochs"] else None
    return Row(**{name: cells[name] for name in COLUMNS} | numbers | {"epochs": epochs})  # type: ignore[arg-type]


def grids(rows: list[Row]) -> dict[str, list[Row]]:
    """Group the rows by grid, in the table's order."""
    return {name: list(group) for name, group in itertools.groupby(rows, key=lambda row: row.grid)}
