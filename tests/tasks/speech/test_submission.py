"""The submission has the term's format, characters and order, or is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.features import SPEECH, write_stats
from stages.core.errors import InputError
from stages.tasks.speech import CHARACTERS, SYMBOLS, SYMBOLS_2022, submission
from stages.tasks.speech.statistics import Stats, Submission

PREDICTED = {"b": "-hU-", "a": "", "c": "G@"}


def statistics(characters: str = "2023", header: str = "id,label", left_out: list[int] | None = None) -> Stats:
    return replace(SPEECH, submission=Submission(header.split(","), characters, left_out or []))


def write(
    folder: Path, sample: bytes | None, predicted: dict[str, str] = PREDICTED, characters: str = "2023", **changes: Any
) -> list[Path]:
    predictions, features = folder / "predictions", folder / "features"
    for path in (predictions, features):
        path.mkdir(exist_ok=True)
    lines = ["name,predicted", *(f"{name},{text}" for name, text in predicted.items())]
    (predictions / "test.csv").write_text("".join(f"{line}\n" for line in lines))
    write_stats(features, statistics(characters, **changes))
    if sample is not None:
        (features / "sample_submission.csv").write_bytes(sample)
    return submission.write(predictions, features, folder / "out")


def test_the_samples_last_column_is_replaced(tmp_path: Path) -> None:
    [path] = write(tmp_path, b"\xef\xbb\xbfindex,label\r\n0,x\r\n1,y\r\n2,z\r\n\r\n")
    assert path == tmp_path / "out" / "submission.csv"
    assert path.read_bytes() == b"index,label\n0,-hU-\n1,\n2,G@\n"


@pytest.mark.parametrize("header", ["id,label", "id,predictions"])
def test_without_a_sample_the_header_is_the_data_s_and_rows_are_numbered_from_0(header: str, tmp_path: Path) -> None:
    [path] = write(tmp_path, None, {"b": "k", "a": "s"}, header=header)
    assert path.read_text() == f"{header}\n0,k\n1,s\n"


@pytest.mark.parametrize(
    ("left_out", "rows"),
    [([1], "0,k\n1,\n2,s\n"), ([0, 1, 4], "0,\n1,\n2,k\n3,s\n4,\n")],
)
@pytest.mark.parametrize("has_sample", [False, True])
def test_an_utterance_that_was_left_out_keeps_its_row(
    left_out: list[int], rows: str, has_sample: bool, tmp_path: Path
) -> None:
    sample = "".join(["id,label\n", *(f"{index},x\n" for index in range(2 + len(left_out)))]).encode()
    [path] = write(tmp_path, sample if has_sample else None, {"b": "k", "a": "s"}, left_out=left_out)
    assert path.read_text() == f"id,label\n{rows}"
    assert submission.check(path, tmp_path / "features", tmp_path / "predictions") == 2 + len(left_out)


@pytest.mark.parametrize(
    ("ids", "left_out", "rows"),
    [
        ("2,0,1", [], "2,G@\n0,-hU-\n1,\n"),
        ("a,c,b", [], "a,\nc,G@\nb,-hU-\n"),
        ("3,1,0,2", [1], "3,G@\n1,\n0,-hU-\n2,\n"),
        ("c,gone,b,a", [1], "c,G@\ngone,\nb,-hU-\na,\n"),
    ],
)
def test_a_samples_ids_are_numbers_or_names_in_any_order(ids: str, left_out: list[int], rows: str, tmp_path: Path) -> None:
    sample = "".join(["id,label\n", *(f"{name},x\n" for name in ids.split(","))]).encode()
    [path] = write(tmp_path, sample, left_out=left_out)
    assert path.read_text() == f"id,label\n{rows}"
    assert submission.check(path, tmp_path / "features", tmp_path / "predictions") == len(ids.split(","))


def test_spring_2022_has_characters_of_its_own(tmp_path: Path) -> None:
    # One for each symbol, written out.
    theirs = [*" .aAhowybcdDerEfgHiIjklmnNOYpRsStTuUvW?zZ"]
    expected = {symbol: theirs[SYMBOLS_2022.index(symbol)] for symbol in SYMBOLS_2022}
    for symbol, character in list(zip(SYMBOLS, CHARACTERS, strict=True))[1:]:
        [path] = write(tmp_path, None, {"a": character}, "2022")
        assert path.read_text() == f"id,label\n0,{expected[symbol.strip('[]')]}\n"


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (b"label\nx\n", "line 1: must name two columns, an id and a label, but is 'label'"),
        (b"id,label\n0,x\n1,y\n", "has 2 rows for 3 test utterances"),
        (
            b"id,label\n1,x\n2,y\n3,z\n",
            "line 4: id '3' is none of the 3 test utterances, whose ids are",
        ),
        (b"id,label\nb,x\na,y\nd,z\n", "line 2: id 'b' is none of the 3 test utterances"),
        (b"id,label\n0,x\n1,y\n1,z\n", "line 4: id '1' is a duplicate"),
        (b"id,label\n0,x\n1\n2,z\n", "line 3: has 1 columns, but the first line has 2"),
    ],
)
def test_a_sample_that_does_not_match_the_test_utterances_is_named(sample: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        write(tmp_path, sample)
    assert str(caught.value).startswith(f"{tmp_path / 'features' / 'sample_submission.csv'}: {words}")
    assert not (tmp_path / "out" / "submission.csv").exists()


@pytest.mark.parametrize("character", ["!", " "], ids=["no phoneme", "blank"])
def test_a_character_that_is_no_phoneme_is_named_with_its_utterance(character: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        write(tmp_path, None, {"a": "k", "b": f"k{character}"})
    assert f"test.csv: line 3: the prediction 'k{character}' for b must be the pipeline's phoneme characters" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("year", "sample", "theirs", "others", "characters"),
    [
        # The symbol NG is G in 2023 and N in 2022; only 2022 has a full stop and only 2023 an at sign.
        ("2023", b"index,label\n0,x\n1,y\n2,z\n", "G", ".", "phoneme characters of 2023, -Gfm@rU"),
        ("2022", None, "N", "@", "phoneme characters of 2022, .NfmARU"),
        ("2021", None, "N", "!", "phoneme characters of 2021, .NfmARU"),
    ],
)
def test_a_file_passes_as_it_was_written_and_not_with_other_characters(
    year: str, sample: bytes | None, theirs: str, others: str, characters: str, tmp_path: Path
) -> None:
    [path] = write(tmp_path, sample, {"b": "-hU-", "a": "", "c": "G"}, year)
    features, predictions, content = tmp_path / "features", tmp_path / "predictions", path.read_text()
    assert submission.check(path, features, predictions) == 3
    assert content.endswith(f"\n2,{theirs}\n")
    for wrong in (" ", others):
        path.write_text(f"{content[:-1]}{wrong}\n")
        with pytest.raises(InputError) as caught:
            submission.check(path, features, predictions)
        assert f"line 4: the label '{theirs}{wrong}' of '2' must be {characters}" in str(caught.value)
