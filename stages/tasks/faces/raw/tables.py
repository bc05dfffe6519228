"""The tables that come with the images: labels of the verification's dev split, and what a submission looks like."""

from collections.abc import Mapping, Sequence

from stages.config.check import nearest
from stages.core.errors import InputError
from stages.data.tables import Row, Table, read_rows
from stages.images.raw.listing import File, Listing
from stages.tasks.faces import UNKNOWN
from stages.tasks.faces.raw.layout import Missing

LABELS, IDENTITIES = "verification_dev.csv", "dev_identities.csv"  # the latter in fall 2022
CLASSIFICATION, VERIFICATION = "classification_sample_submission.csv", "verification_sample_submission.csv"
Expected = tuple[str, Sequence[str]]  # what the ids of a submission are, in words, and the ids


def verification_labels(listing: Listing, names: Sequence[str], known: Mapping[str, int]) -> dict[str, int]:
    """The label of each image of unknown_dev, whose sorted `names` the table's rows follow; -1 for nobody known.

    Raises Missing; InputError, naming the line: not one row an image, or a label that is not known.
    """
    file = listing.table(f"{LABELS}|{IDENTITIES}")
    if file is None:
        if names:
            raise Missing(f"{LABELS}, which labels the images of unknown_dev, is missing")
        return {}
    table = _read(listing, file)
    if file.member.endswith(LABELS):
        if table.header != ["id", "label"]:
            raise InputError(f"{table.where}: its first line must be id,label, but is {','.join(table.header)!r}")
        _check_ids(table.where, table.column("id"), row_ids(len(names)), "images of unknown_dev")
    _check_count(table.where, len(table.rows), len(names), "images of unknown_dev")
    labels = {}
    for name, row, identity in zip(names, table.rows, table.column("label"), strict=True):
        if identity not in known and identity != UNKNOWN:
            hint = nearest(identity, [*known, UNKNOWN])
            raise InputError(f"{table.where}: line {row.line}: {identity!r} is neither in known nor {UNKNOWN}; {hint}")
        labels[name] = known.get(identity, -1)
    return labels


def sample_submissions(
    listing: Listing, *, classification: Expected | None = None, verification: Expected | None = None
) -> dict[str, bytes]:
    """The sample files that are there, by the name that they get, of the submissions that there are.

    Raises InputError for a sample of other ids, in whatever order, or of other than two columns.
    """
    samples = {}
    only = VERIFICATION if classification is not None else rf"{VERIFICATION}|sample_submission\.csv"  # there is no other
    for name, pattern, expected in ((CLASSIFICATION, CLASSIFICATION, classification), (VERIFICATION, only, verification)):
        file = listing.table(pattern)
        if file is not None and expected is not None:
            table, (things, ids) = _read(listing, file), expected
            if len(table.header) != 2:
                first = ",".join(table.header)
                raise InputError(f"{table.where}: its first line must name an id and a label, but is {first!r}")
            _check_ids(table.where, sorted(row.cells[0] for row in table.rows), sorted(ids), things)
            samples[name] = listing.read(file)
    return samples


def row_ids(num: int) -> list[str]:
    """The numbers of rows, from 0."""
    return [str(index) for index in range(num)]


def _read(listing: Listing, file: File) -> Table:
    """A table of the archives; an empty one has an empty header."""
    where = listing.where(file)
    header, *rows = [*read_rows(listing.read(file), where)] or [Row(1, [])]
    return Table(where, header.cells, rows)


def _check_count(where: str, rows: int, expected: int, things: str) -> None:
    if rows != expected:
        raise InputError(f"{where}: has {rows:,} rows below its header, but there are {expected:,} {things}")


def _check_ids(where: str, ids: Sequence[str], expected: Sequence[str], things: str) -> None:
    _check_count(where, len(ids), len(expected), things)
    for found, name in zip(ids, expected, strict=True):
        if found != name:
            raise InputError(f"{where}: has the id {found!r} in the place of {name!r}; it is not of the {things}")
