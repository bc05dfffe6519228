"""The two submission files of HW2P2: id,label with the class's index, and id,label with the identity that was recognised.

Each is written where its predictions are there: a source may hold one competition's images without the other's.
"""

import json
from pathlib import Path
from typing import NamedTuple

from stages.core.errors import InputError
from stages.data.tables import write_table
from stages.results.submission_file import read_predictions, read_sample, sample_ids, validate
from stages.tasks.faces import UNKNOWN

HEADER = ["id", "label"]
SOURCES = {"classification": "test.csv", "verification": "verification_test.csv"}  # among the predictions


def write(predictions: Path, features: Path, out: Path) -> list[Path]:
    """Write `out`/classification.csv from test.csv in `predictions`, `out`/verification.csv from verification_test.csv.

    Where there is a sample submission, in its order and with its header. Raises InputError: no predictions at all; a
    predicted identity that the features do not have; a sample whose ids are not those of the test images.
    """
    kinds = [kind for kind, source in SOURCES.items() if (predictions / source).is_file()]
    if not kinds:
        absent = " nor ".join(SOURCES.values())
        raise InputError(f"{predictions}: has neither {absent}; without test images there is nothing to submit")
    expected = {out / f"{kind}.csv": _expect(kind, predictions, features) for kind in kinds}
    for path, content in expected.items():
        write_table(path, content.header, list(content.labels.items()))
    return list(expected)


def check(file: Path, features: Path, predictions: Path) -> int:
    """The number of rows of a submission file; its name says for which competition. Raises InputError naming a line."""
    if file.suffix != ".csv" or file.stem not in SOURCES:
        raise InputError(f"{file}: must be called {' or '.join(f'{kind}.csv' for kind in SOURCES)}")
    expected = _expect(file.stem, predictions, features)
    return validate(file, expected.header, list(expected.labels), expected.allowed.__contains__, expected.domain)


class _Expected(NamedTuple):
    """labels: by id, in order. allowed: the labels that there are; domain: the same in words."""

    header: list[str]
    labels: dict[str, str]
    allowed: frozenset[str]
    domain: str


def _expect(kind: str, predictions: Path, features: Path) -> _Expected:
    stats = json.loads((features / "stats.json").read_text())
    if kind == "classification":
        submitted = {identity: str(index) for index, identity in enumerate(stats["classes"])}
        domain = f"a class index from 0 to {len(submitted) - 1}"
    else:
        submitted = {identity: identity for identity in [*stats["known"], UNKNOWN]}
        domain = f"one of the known identities or {UNKNOWN}"
    found = read_predictions(predictions / SOURCES[kind], "images", submitted.get, "an identity of stats.json")
    names = sorted(found)
    ids = names if kind == "classification" else [str(row) for row in range(len(names))]
    labels = {key: found[name] for key, name in zip(ids, names, strict=True)}
    header, path = HEADER, features / f"{kind}_sample_submission.csv"
    if path.is_file():
        sample = read_sample(path)
        header, ids = sample.header, sample_ids(sample, labels, "images")
    return _Expected(header, {key: labels[key] for key in ids}, frozenset(submitted.values()), domain)
