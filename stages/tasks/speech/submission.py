"""The submission file of HW3P2: a string of one-character phonemes for each test utterance, in the term's order.

That is the order of test.csv in the predictions: `normalize` sorts the test split by name, or by 2022's test_order.csv. A
sample submission may have another order of the rows' numbers, or the utterances' names. Utterances that `normalize` left out
have empty strings, so that the others keep their rows.
"""

from pathlib import Path
from typing import NamedTuple

from stages.core.errors import InputError
from stages.data.tables import write_table
from stages.results.submission_file import read_predictions, read_sample, sample_ids, validate
from stages.tasks.speech import ALPHABETS, BLANK, CHARACTERS, SYMBOLS
from stages.tasks.speech.statistics import Stats


def write(predictions: Path, features: Path, out: Path) -> list[Path]:
    """Write `out`/submission.csv from test.csv in `predictions`: the sample submission with its last column replaced.

    Without a sample, the header comes from stats.json and rows are numbered from 0. Raises InputError if the sample's ids
    are neither these numbers nor the utterances' names, each once, or for a prediction with an unknown phoneme.
    """
    path, expected = out / "submission.csv", _expect(predictions, features)
    write_table(path, expected.header, list(zip(expected.ids, expected.texts, strict=True)))
    return [path]


def check(file: Path, features: Path, predictions: Path) -> int:
    """Return the number of rows of a submission file. Raises InputError, naming the first wrong line."""
    expected = _expect(predictions, features)
    return validate(file, expected.header, expected.ids, set(expected.letters).issuperset, expected.domain)


class _Expected(NamedTuple):
    """ids, texts: one per test utterance. letters: the year's characters; domain: the same in words."""

    header: list[str]
    ids: list[str]
    texts: list[str]
    letters: str
    domain: str


def _expect(predictions: Path, features: Path) -> _Expected:
    found = Stats.read(features).submission
    letters, year = _letters(found.characters), found.characters

    def translate(text: str) -> str | None:
        return "".join(letters[character] for character in text) if letters.keys() >= set(text) else None

    ours = f"the pipeline's phoneme characters, {''.join(letters)}"
    by_name = read_predictions(predictions / "test.csv", "utterances", translate, ours)
    texts = list(by_name.values())
    for row in found.left_out:  # ascending, so that each gets its row
        texts.insert(row, "")
    path = features / "sample_submission.csv"
    header, by_id = found.header, {str(index): text for index, text in enumerate(texts)}
    ids = list(by_id)
    if path.is_file():
        sample = read_sample(path)
        header, ids = sample.header, [row.cells[0] for row in sample.rows]
        if len(ids) != len(texts):
            raise InputError(f"{path}: has {len(ids)} rows for {len(texts)} test utterances")
        if by_name.keys() <= set(ids):  # the others are those that were left out
            by_id = dict.fromkeys(ids, "") | by_name
        ids = sample_ids(sample, by_id, f"utterances, whose ids are their names or 0 to {len(texts) - 1}")
    theirs = "".join(letters.values())
    return _Expected(header, ids, [by_id[name] for name in ids], theirs, f"phoneme characters of {year}, {theirs}")


def _letters(year: str) -> dict[str, str]:
    """Map each of our characters to the year's, without the blank."""
    ours = dict(zip((symbol.strip("[]") for symbol in SYMBOLS), CHARACTERS, strict=True))
    symbols, characters = ALPHABETS[year]
    theirs = dict(zip((symbol.strip("[]") for symbol in symbols), characters, strict=True))
    return {character: theirs[symbol] for symbol, character in ours.items() if symbol != SYMBOLS[BLANK]}
