"""The submission file of HW3P2: a string of one-character phonemes for each test utterance, in the term's order.

That order is the one of test.csv in the predictions: `normalize` sorts the test split by name, or by 2022's test_order.csv.
"""

import csv
import json
from pathlib import Path

from stages.engine import paths
from stages.engine.errors import InputError
from stages.tasks.speech import CHARACTERS, CHARACTERS_2022, SYMBOLS, SYMBOLS_2022

HEADERS = {"2022": ["id", "predictions"], "2023": ["id", "label"], "audio": ["id", "label"]}


def write(predictions: Path, features: Path, out: Path) -> list[Path]:
    """Write `out`/submission.csv from test.csv in `predictions`: the sample submission with its last column replaced.

    Without a sample, rows are numbered from 0. Raises InputError if the sample has not as many rows as there are test
    utterances.
    """
    source = predictions / "test.csv"
    if not source.is_file():
        raise InputError(f"{source}: there are no test utterances in this source, so there is nothing to submit")
    term = json.loads((features / "stats.json").read_text())["term"]
    columns, *rows = _read(source)
    if "predicted" not in columns:
        raise InputError(f"{source}: has no column 'predicted'")
    place, letters = columns.index("predicted"), _letters(term)
    texts = [_translate(row[place], letters, f"{source}: {row[0]}") for row in rows]
    sample = features / "sample_submission.csv"
    header, *frame = (
        _read(sample) if sample.is_file() else [HEADERS[term], *([str(index), ""] for index in range(len(texts)))]
    )
    if len(frame) != len(texts):
        raise InputError(f"{sample}: has {len(frame)} rows for {len(texts)} test utterances")
    with paths.replacing(out / "submission.csv") as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([*row[:-1], text] for row, text in zip(frame, texts, strict=True))
    return [out / "submission.csv"]


def _read(path: Path) -> list[list[str]]:
    """A table's rows, the header first, without empty lines. Raises InputError for rows of different lengths."""
    try:
        rows = [row for row in csv.reader(path.read_text("utf-8-sig").splitlines()) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is not a CSV file ({error})") from None
    if not rows or len(rows[0]) < 2:
        raise InputError(f"{path}: its first line must name at least two columns")
    for row in rows:
        if len(row) != len(rows[0]):
            raise InputError(f"{path}: the row {','.join(row)!r} has not the {len(rows[0])} columns of the first")
    return rows


def _letters(term: str) -> dict[str, str]:
    """The term's character for each of ours."""
    if term != "2022":
        return dict(zip(CHARACTERS, CHARACTERS, strict=True))
    theirs = dict(zip(SYMBOLS_2022, CHARACTERS_2022, strict=True))
    return {ours: theirs[symbol.strip("[]")] for symbol, ours in zip(SYMBOLS, CHARACTERS, strict=True)}


def _translate(text: str, letters: dict[str, str], where: str) -> str:
    unknown = next((character for character in text if character not in letters), None)
    if unknown is not None:
        raise InputError(f"{where}: {unknown!r} stands for no phoneme")
    return "".join(letters[character] for character in text)
