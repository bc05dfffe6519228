"""metrics/<run>/ablation.csv: what `make ablate` (stages/ablate.py) found, a row for each value of each grid."""

import csv
import itertools
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from stages.core.errors import InputError


@dataclass(frozen=True)
class Row:
    """One value. What a failed experiment did not come to is None."""

    grid: str
    key: str  # of the run's block in params.yaml, such as evaluate.dev_beam
    value: str
    source: str  # of the data, as the task's block names it
    metric: str
    score: float | None  # on dev
    lr: float | None
    epochs: int | None
    seconds: float | None  # of training
    weights: str  # the first digits of their SHA-256: equal where the training was the same
    experiment: str
    command: str  # that makes this very number

    @property
    def cells(self) -> list[Any]:
        """As CSV has them: nothing for None."""
        return ["" if (value := getattr(self, name)) is None else value for name in COLUMNS]


COLUMNS = [field.name for field in fields(Row)]


def read(path: Path) -> list[Row]:
    """The rows of a table, none where there is no table. Raises InputError: it is not such a table."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    try:
        return [_row(row) for row in rows]
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: is not what `make ablate` wrote; remove it and run that again") from None


def _row(cells: dict[str, str]) -> Row:
    if None in cells or None in cells.values():  # a line longer or shorter than the header
        raise ValueError
    numbers = {name: float(cells[name]) if cells[name] else None for name in ("score", "lr", "seconds")}
    epochs = int(cells["epochs"]) if cells["epochs"] else None
    return Row(**{name: cells[name] for name in COLUMNS} | numbers | {"epochs": epochs})  # type: ignore[arg-type]


def grids(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows of each grid, in the table's order."""
    return {name: list(group) for name, group in itertools.groupby(rows, key=lambda row: row.grid)}
