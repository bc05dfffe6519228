"""Tables in the archives, and the comparison of a sample submission's ids with the images."""

from collections.abc import Sequence

from stages.core.errors import InputError
from stages.data.tables import Row, Table, read_rows
from stages.images.raw.listing import File, Listing


def read_table(listing: Listing, file: File) -> Table:
    """Read a table; an empty one has an empty header."""
    where = listing.where(file)
    header, *rows = [*read_rows(listing.read(file), where)] or [Row(1, [])]
    return Table(where, header.cells, rows)


def check_sample(listing: Listing, file: File, ids: Sequence[str], things: str) -> None:
    """Raises InputError if a sample submission has other ids, in any order, or not two columns. things: ids, in words."""
    table = read_table(listing, file)
    if len(table.header) != 2:
        raise InputError(f"{table.where}: its first line must name an id and a label, but is {','.join(table.header)!r}")
    check_ids(table.where, sorted(row.cells[0] for row in table.rows), sorted(ids), things)


def check_ids(where: str, ids: Sequence[str], expected: Sequence[str], things: str) -> None:
    """Raises InputError, naming the first wrong id, unless a table has these ids in this order."""
    check_count(where, len(ids), len(expected), things)
    for found, name in zip(ids, expected, strict=True):
        if found != name:
            raise InputError(
                f"{where}: has the id {found!r} in the place of {name!r}; its ids must be those of the {things}"
            )


def check_count(where: str, rows: int, expected: int, things: str) -> None:
    """Raises InputError unless a table has `expected` rows."""
    if rows != expected:
        raise InputError(f"{where}: has {rows:,} rows below its header, but there are {expected:,} {things}")
