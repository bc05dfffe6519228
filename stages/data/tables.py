"""CSV tables: read as people and spreadsheets save them, written in one form. Error messages name the line."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from stages.core import paths
from stages.core.errors import InputError


class Row(NamedTuple):
    """line: the row's first line in the file, from 1; a quoted cell may span several lines."""

    line: int
    cells: list[str]


class Table(NamedTuple):
    """where: the file, for messages. header and every row have the same number of cells."""

    where: str
    header: list[str]
    rows: list[Row]

    def column(self, name: str) -> list[str]:
        """Return the cells of column `name`. Raises InputError if there is no such column."""
        if name not in self.header:
            raise InputError(f"{self.where}: has no column {name!r} (its columns are {', '.join(self.header)})")
        index = self.header.index(name)
        return [row.cells[index] for row in self.rows]


def read_rows(content: bytes, where: object) -> Iterator[Row]:
    """Yield the rows of a CSV file, including the header: UTF-8 with or without BOM, any line ends, no empty lines.

    where: the file's name in messages. Raises InputError if the content is not UTF-8, and at a row with more or fewer cells
    than the first or with unmatched quotes.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{where}: line {line}: is not UTF-8 text; save the table as CSV in UTF-8") from None
    # Without `strict`, an unclosed quote would swallow all rows after it.
    reader, width = csv.reader(io.StringIO(text, newline=""), strict=True), 0
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(f"{where}: line {line}: is not CSV ({error})") from None
        if cells is None:
            return
        if not cells:
            continue
        width = width or len(cells)
        if len(cells) != width:
            raise InputError(f"{where}: line {line}: has {len(cells)} columns, but the first line has {width}")
        yield Row(line, cells)


def read_table(path: Path) -> Table:
    """Read a whole table. Raises InputError like `read_rows`, and for an empty file."""
    found = list(read_rows(path.read_bytes(), path))
    if not found:
        raise InputError(f"{path}: is empty; its first line must name the columns")
    return Table(str(path), found[0].cells, found[1:])


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Replace `path` by a table in UTF-8 with a line feed after every row."""
    with paths.replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        file.write(row(header))
        for cells in rows:
            assert len(cells) == len(header), (header, cells)
            file.write(row(cells))


def row(cells: Iterable[object]) -> str:
    """Format cells as a line of CSV, with a line feed.

    With lineterminator="\\n", csv does not quote carriage returns in cells (until Python 3.11.9 and 3.12.3:
    python/cpython#67044), which a reader takes for line ends.
    """
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"
