"""The submission file of HW3P2: a string of one-character phonemes for each test utterance, in the term's order.

That order is the one of test.csv in the predictions: `normalize` sorts the test split by name, or by 2022's test_order.csv.
"""

import json
from pathlib import Path
from typing import NamedTuple

from stages.core.errors import InputError
from stages.data.tables import write_table
from stages.results.submission_file import read_predictions, read_sample, validate
from stages.tasks.speech import BLANK, CHARACTERS, CHARACTERS_2022, SYMBOLS, SYMBOLS_2022

HEADERS = {"2022": ["id", "predictions"], "2023": ["id", "label"], "audio": ["id", "label"]}


def write(predictions: Path, features: Path, out: Path) -> list[Path]:
    """Write `out`/submission.csv from test.csv in `predictions`: the sample submission with its last column replaced.

    Without a sample, rows are numbered from 0. Raises InputError if the sample has not as many rows as there are test
    utterances, or a prediction holds what is no phoneme.
    """
    path, expected = out / "submission.csv", _expect(predictions, features)
    write_table(path, expected.header, list(zip(expected.ids, expected.texts, strict=True)))
    return [path]


def check(file: Path, features: Path, predictions: Path) -> int:
    """The number of rows of a submission file. Raises InputError that names the first line which cannot be uploaded."""
    expected = _expect(predictions, features)
    return validate(file, expected.header, expected.ids, set(expected.letters).issuperset, expected.domain)


class _Expected(NamedTuple):
    """ids, texts: one of each for each test utterance. letters: the term's characters; domain: the same in words."""

    header: list[str]
    ids: list[str]
    texts: list[str]
    letters: str
    domain: str


def _expect(predictions: Path, features: Path) -> _Expected:
    term = json.loads((features / "stats.json").read_text())["term"]
    letters = _letters(term)

    def translate(text: str) -> str | None:
        return "".join(letters[character] for character in text) if letters.keys() >= set(text) else None

    ours = f"the pipeline's phoneme characters, {''.join(letters)}"
    texts = list(read_predictions(predictions / "test.csv", "utterances", translate, ours).values())
    path = features / "sample_submission.csv"
    header, ids = HEADERS[term], [str(index) for index in range(len(texts))]
    if path.is_file():
        sample = read_sample(path)
        header, ids = sample.header, [row.cells[0] for row in sample.rows]
    if len(ids) != len(texts):
        raise InputError(f"{path}: has {len(ids)} rows for {len(texts)} test utterances")
    theirs = "".join(letters.values())
    return _Expected(header, ids, texts, theirs, f"phoneme characters of {'2022' if term == '2022' else '2023'}, {theirs}")


def _letters(term: str) -> dict[str, str]:
    """The term's character for each of ours; blank has none, for it is no phoneme."""
    ours = dict(zip(SYMBOLS, CHARACTERS, strict=True))
    del ours[SYMBOLS[BLANK]]
    if term != "2022":
        return {character: character for character in ours.values()}
    theirs = dict(zip(SYMBOLS_2022, CHARACTERS_2022, strict=True))
    return {character: theirs[symbol.strip("[]")] for symbol, character in ours.items()}
