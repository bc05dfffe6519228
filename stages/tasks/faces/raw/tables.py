"""The tables that come with the images: labels of the verification's dev split, and what a submission looks like."""

from collections.abc import Mapping

from stages.config.check import nearest
from stages.core.errors import InputError
from stages.data.archive import Archive, find
from stages.data.tables import Row, read_rows
from stages.tasks.faces import UNKNOWN

LABELS = "verification_dev.csv"
CLASSIFICATION, VERIFICATION = "classification_sample_submission.csv", "verification_sample_submission.csv"


def verification_labels(archives: list[Archive], names: list[str], known: Mapping[str, int]) -> dict[str, int]:
    """The label of each image of unknown_dev, whose sorted `names` the table's rows follow; -1 for nobody known.

    Raises InputError, naming the line: not one row an image, or a label that is not known.
    """
    found = _find(archives, LABELS)
    if found is None:
        if names:
            raise InputError(f"{archives[0].path.parent}: found images in unknown_dev but no {LABELS}, which labels them")
        return {}
    where, content = found
    rows = _rows(where, content)
    _check_ids(where, [row.cells[0] for row in rows], [str(index) for index in range(len(names))], "unknown_dev")
    labels = {}
    for name, (line, (_, identity)) in zip(names, rows, strict=True):
        if identity not in known and identity != UNKNOWN:
            hint = nearest(identity, [*known, UNKNOWN])
            raise InputError(f"{where}: line {line}: {identity!r} is neither in known nor {UNKNOWN}; {hint}")
        labels[name] = known.get(identity, -1)
    return labels


def sample_submissions(archives: list[Archive], test: list[str], num_unknown: int) -> dict[str, bytes]:
    """The sample files that are there. Raises InputError for one that does not list the images of its split."""
    samples = {}
    for name, expected, split in (
        (CLASSIFICATION, test, "test"),
        (VERIFICATION, [str(index) for index in range(num_unknown)], "unknown_test"),
    ):
        found = _find(archives, name)
        if found is not None:
            where, samples[name] = found
            ids = [row.cells[0] for row in _rows(*found)]
            _check_ids(where, sorted(ids) if split == "test" else ids, expected, split)
    return samples


def _find(archives: list[Archive], name: str) -> tuple[str, bytes] | None:
    """(where, content) of the one file of this name, or None. Raises InputError if there are two."""
    found = list(find(archives, name))
    if len(found) > 1:
        raise InputError(f"{found[1][0]}: is there a second time; the first is {found[0][0]}")
    return found[0] if found else None


def _rows(where: str, content: bytes) -> list[Row]:
    """An id and a label in each row below the header."""
    header, *rows = [*read_rows(content, where)] or [Row(1, [])]
    if header.cells != ["id", "label"]:
        raise InputError(f"{where}: its first line must be id,label, but is {','.join(header.cells)!r}")
    return rows


def _check_ids(where: str, ids: list[str], expected: list[str], split: str) -> None:
    if len(ids) != len(expected):
        raise InputError(f"{where}: has {len(ids):,} rows below its header, but {split} has {len(expected):,} images")
    for found, name in zip(ids, expected, strict=True):
        if found != name:
            raise InputError(f"{where}: has the id {found!r} in the place of {name!r}; its ids do not match {split}")
