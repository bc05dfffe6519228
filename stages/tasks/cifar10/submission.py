"""Kaggle's submission file for `cifar-10`: id,label with the class's name."""

import csv
from collections.abc import Sequence
from pathlib import Path

from stages.engine import paths
from stages.engine.errors import InputError

HEADER = ["id", "label"]


def write(predictions: Path, features: Path, out: Path) -> list[Path]:
    """Write `out`/submission.csv from test.csv in `predictions`; where there is a sample submission, in its order.

    Raises InputError if the sample's header or ids are not those of the test images.
    """
    source = predictions / "test.csv"
    if not source.is_file():
        raise InputError(f"{source}: there are no test images in this source, so there is nothing to submit")
    with source.open(newline="") as file:
        labels = {row["name"]: row["predicted"] for row in csv.DictReader(file)}
    sample = features / "sample_submission.csv"
    ids = _check(sample, labels) if sample.is_file() else sorted(labels, key=_number)
    with paths.replacing(out / "submission.csv") as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows([name, labels[name]] for name in ids)
    return [out / "submission.csv"]


def _check(sample: Path, labels: dict[str, str]) -> Sequence[str]:
    """The sample's ids, in its order."""
    try:
        with sample.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{sample}: is not a CSV file ({error})") from None
    if not rows or rows[0] != HEADER:
        raise InputError(f"{sample}: its first line must be {','.join(HEADER)}")
    ids = [row[0] for row in rows[1:] if row]
    for name in ids:
        if name not in labels:
            raise InputError(f"{sample}: id {name} has no test image")
    if len(ids) != len(labels) or len(set(ids)) != len(ids):
        extra = next((name for name in labels if name not in set(ids)), "one id twice")
        raise InputError(f"{sample}: lists {len(ids)} ids for {len(labels)} test images (first difference: {extra})")
    return ids


def _number(name: str) -> tuple[int, str]:
    return (int(name), name) if name.isdecimal() else (-1, name)
