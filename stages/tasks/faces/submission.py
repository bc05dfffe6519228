"""The submission files of HW2P2. `submissions` in stats.json lists the files, with their headers, ids and labels.

An id is an image's name, the row's number, or both names of a pair; a label is a class's index, an identity, or the cosine
similarity of a pair.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from stages.core.errors import InputError
from stages.data.tables import read_table, write_table
from stages.results.submission_file import read_predictions, read_sample, sample_ids, validate
from stages.tasks.faces import UNKNOWN
from stages.tasks.faces.statistics import Stats

SOURCES = {"classification": "test.csv", "verification": "verification_test.csv"}  # among the predictions


def write(predictions: Path, features: Path, out: Path) -> list[Path]:
    """Write `out`/classification.csv from test.csv in `predictions`, `out`/verification.csv from verification_test.csv.

    A sample submission decides order and header. Raises InputError if there is nothing to submit, for an unknown identity
    in the predictions, and for a sample whose ids are not those of the test images.
    """
    stats = Stats.read(features)
    if not stats.submissions:
        raise InputError(f"{features}: the source has no test images of a competition, so there is nothing to submit")
    expected = {out / f"{kind}.csv": _expect(kind, predictions, features, stats) for kind in stats.submissions}
    for path, content in expected.items():
        write_table(path, content.header, content.rows)
    return list(expected)


def check(file: Path, features: Path, predictions: Path) -> int:
    """Return the number of rows of a submission file. Raises InputError, naming the first wrong line."""
    stats = Stats.read(features)
    if file.suffix != ".csv" or file.stem not in SOURCES:
        raise InputError(f"{file}: must be called {' or '.join(f'{kind}.csv' for kind in SOURCES)}")
    if file.stem not in stats.submissions:
        raise InputError(f"{file}: the source has no test images for the {file.stem}")
    expected = _expect(file.stem, predictions, features, stats)
    return validate(file, expected.header, [name for name, _ in expected.rows], expected.is_label, expected.domain)


class _Expected(NamedTuple):
    """rows: id and label, in order. is_label, domain: the valid labels, in code and in words."""

    header: list[str]
    rows: list[tuple[str, str]]
    is_label: Callable[[str], bool]
    domain: str


def _expect(kind: str, predictions: Path, features: Path, stats: Stats) -> _Expected:
    submission, path = stats.submissions[kind], predictions / SOURCES[kind]
    is_label: Callable[[str], bool]
    if submission.labels == "score":
        found, is_label, domain = _scores(path), _is_score, "a number from -1 to 1"
    else:
        identities = stats.classes if kind == "classification" else [*stats.known, UNKNOWN]
        if submission.labels == "index":
            submitted = {identity: str(index) for index, identity in enumerate(identities)}
            domain = f"a class index from 0 to {len(submitted) - 1}"
        else:
            submitted = {identity: identity for identity in identities}
            domain = "one of the identities" if kind == "classification" else f"one of the known identities or {UNKNOWN}"
        labels = read_predictions(path, "images", submitted.get, "an identity of stats.json")
        found, is_label = list(labels.items()), frozenset(submitted.values()).__contains__
    if submission.ids == "row":
        found = [(str(row), label) for row, (_, label) in enumerate(found)]
    sample_file = features / f"{kind}_sample_submission.csv"
    if sample_file.is_file():
        sample, by_id = read_sample(sample_file), dict(found)
        return _Expected(
            sample.header, [(name, by_id[name]) for name in sample_ids(sample, by_id, "images")], is_label, domain
        )
    return _Expected(submission.header, found, is_label, domain)


def _scores(path: Path) -> list[tuple[str, str]]:
    """Read both names and the score of each pair. Raises InputError, naming a line, for a wrong score."""
    if not path.is_file():
        raise InputError(f"{path}: the source has no test pairs, so there is nothing to submit")
    table = read_table(path)
    columns = zip(table.rows, table.column("name"), table.column("other"), table.column("score"), strict=True)
    found = []
    for row, name, other, score in columns:
        if not _is_score(score):
            raise InputError(f"{path}: line {row.line}: the score {score!r} must be a number from -1 to 1")
        found.append((f"{name} {other}", score))
    return found


def _is_score(text: str) -> bool:
    try:
        return math.isfinite(value := float(text)) and abs(value) <= 1
    except ValueError:
        return False
