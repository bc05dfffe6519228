"""CSV tables: read as people and spreadsheets save them, written in one form only. A fault is named with its line."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from stages.core import paths
from stages.core.errors import InputError


class Row(NamedTuple):
    """line: where the row begins in its file, counted from 1 as editors do; a quoted cell may go on over several lines."""

    line: int
    cells: list[str]


class Table(NamedTuple):
    """where: the file, for messages. header and every row have the same number of cells."""

    where: str
    header: list[str]
    rows: list[Row]

    def column(self, name: str) -> list[str]:
        """The cells under `name`, from top to bottom. Raises InputError where there is no such column."""
        if name not in self.header:
            raise InputError(f"{self.where}: has no column {name!r} (its columns are {', '.join(self.header)})")
        place = self.header.index(name)
        return [row.cells[place] for row in self.rows]


def read_rows(content: bytes, where: object) -> Iterator[Row]:
    """The rows of a CSV file, the header first: UTF-8 with or without byte order mark, any line ends, empty lines left out.

    where: names the file in messages. Raises InputError: the content is no text; and, once the rows before have been given,
    a row with more or fewer cells than the first, or with quotes that do not match.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{where}: line {line}: is not UTF-8 text; save the table as CSV in UTF-8") from None
    # Without `strict`, a quote that nobody closes would swallow every row after it.
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
    """A whole table. Raises InputError: what `read_rows` finds, or a file without any line."""
    found = list(read_rows(path.read_bytes(), path))
    if not found:
        raise InputError(f"{path}: is empty; its first line must name the columns")
    return Table(str(path), found[0].cells, found[1:])


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table in UTF-8 with a line feed after every row; it takes its place only once it is complete."""
    with paths.replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        file.write(row(header))
        for cells in rows:
            assert len(cells) == len(header), (header, cells)
            file.write(row(cells))


def row(cells: Iterable[object]) -> str:
    """Cells as a line of CSV, with its line feed.

    Where csv itself is told to end rows so, it leaves carriage returns in cells without quotes (until Python 3.11.9 and
    3.12.3: python/cpython#67044), and a reader takes them for ends of rows.
    """
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"
