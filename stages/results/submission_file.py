"""Submission files: an id and a label for each test item. Ids and labels depend on the task, the checks do not."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.core.errors import InputError
from stages.data.tables import Row, Table, read_rows, read_table, write_table


def read_predictions(path: Path, things: str, label: Callable[[str], str | None], domain: str) -> dict[str, str]:
    """Read the predictions and return the label to submit for each test item, by name, in the file's order.

    things: the kind of items, for messages. label: maps a prediction to its label, or to None if it is invalid. domain: the
    valid predictions, in words. Raises InputError if the file or a column is missing, for a duplicate name, and for an
    invalid prediction.
    """
    if not path.is_file():
        raise InputError(f"{path}: there are no test {things}, so there is nothing to submit")
    table = read_table(path)
    labels: dict[str, str] = {}
    for row, name, predicted in zip(table.rows, table.column("name"), table.column("predicted"), strict=True):
        if name in labels:
            raise InputError(f"{path}: line {row.line}: {name} is a duplicate")
        found = label(predicted)
        if found is None:
            raise InputError(f"{path}: line {row.line}: the prediction {predicted!r} for {name} must be {domain}")
        labels[name] = found
    return labels


def read_sample(path: Path) -> Table:
    """Read a competition's sample submission. Raises InputError unless it has two columns."""
    sample = read_table(path)
    if len(sample.header) != 2:
        raise InputError(f"{path}: line 1: must name two columns, an id and a label, but is {','.join(sample.header)!r}")
    return sample


def sample_ids(sample: Table, names: Collection[str], things: str) -> list[str]:
    """Return the sample's ids in its order. Raises InputError unless they are `names`, each once.

    things: the kind of items, for messages.
    """
    ids: dict[str, None] = {}
    for line, (name, _) in sample.rows:
        if name not in names:
            raise InputError(f"{sample.where}: line {line}: id {name!r} is none of the {len(names)} test {things}")
        if name in ids:
            raise InputError(f"{sample.where}: line {line}: id {name!r} is a duplicate")
        ids[name] = None
    missing = next((name for name in names if name not in ids), None)
    if missing is not None:
        raise InputError(f"{sample.where}: lists {len(ids)} of the {len(names)} test {things}; id {missing!r} is missing")
    return list(ids)


def validate(path: Path, header: Sequence[str], ids: Sequence[str], is_label: Callable[[str], bool], domain: str) -> int:
    """Check that a submission file has exactly this header and these ids in order, and return its number of rows.

    domain: the valid labels, in words. Raises InputError, naming the first wrong line.
    """
    if not path.is_file():
        raise InputError(f"{path}: is missing; the stage `submit` writes it")
    found = read_rows(path.read_bytes(), path)
    first = next(found, Row(1, []))
    if first.cells != list(header):
        raise InputError(f"{path}: line {first.line}: must be {','.join(header)}, but is {','.join(first.cells)!r}")
    count, line = 0, first.line
    for line, (name, label) in found:
        if count == len(ids):
            raise InputError(f"{path}: line {line}: id {name!r} is one too many; there must be {len(ids)}")
        if name != ids[count]:
            raise InputError(f"{path}: line {line}: must have the id {ids[count]!r}, but has {name!r}")
        if not is_label(label):
            raise InputError(f"{path}: line {line}: the label {label!r} of {name!r} must be {domain}")
        count += 1
    if count < len(ids):
        raise InputError(f"{path}: line {line + 1}: must have the id {ids[count]!r}, but the file ends after {count} rows")
    return count


@dataclass(frozen=True)
class ClassFile:
    """A submission of the predicted class of each test image. things: the classes, in words."""

    header: list[str]
    classes: Sequence[str]
    things: str

    def write(self, predictions: Path, features: Path, out: Path) -> list[Path]:
        """Write `out`/submission.csv from test.csv in `predictions`, in the order of the sample submission, if any.

        Raises InputError for a prediction that is not a class, and for a sample with another header or other ids.
        """
        path, labels = out / "submission.csv", self._labels(predictions)
        write_table(path, self.header, [(name, labels[name]) for name in self._ids(features, labels)])
        return [path]

    def check(self, file: Path, features: Path, predictions: Path) -> int:
        """Return the number of rows of a submission file. Raises InputError, naming the first wrong line."""
        ids = self._ids(features, self._labels(predictions))
        return validate(file, self.header, ids, self.classes.__contains__, self.things)

    def _labels(self, predictions: Path) -> dict[str, str]:
        return read_predictions(predictions / "test.csv", "images", {name: name for name in self.classes}.get, self.things)

    def _ids(self, features: Path, names: Collection[str]) -> list[str]:
        """Return the test images in the sample's order or, without one, of their numbers."""
        path = features / "sample_submission.csv"
        if not path.is_file():
            return sorted(names, key=_number)
        sample = read_sample(path)
        if sample.header != self.header:
            raise InputError(f"{path}: line 1: must be {','.join(self.header)}, but is {','.join(sample.header)!r}")
        return sample_ids(sample, names, "images")


def _number(name: str) -> tuple[int, str]:
    return (int(name), name) if name.isdecimal() else (-1, name)
