"""A file as it was written passes; whatever is done to one of its rows is refused with that row's line."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.core.errors import InputError
from stages.data.tables import write_table
from stages.results.submission_file import read_predictions, read_sample, sample_ids, validate

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HEADER = ["id", "label"]
LABELS = ["cat", "dog", ""]
IDS = st.text(st.sampled_from('01a.jpg,"é '), min_size=1, max_size=6)


def check(path: Path, ids: list[str]) -> int:
    return validate(path, HEADER, ids, LABELS.__contains__, "cat, dog or nothing")


@st.composite
def submissions(draw: st.DrawFn) -> list[list[str]]:
    ids = draw(st.lists(IDS, unique=True, min_size=1, max_size=6))
    return [[name, draw(st.sampled_from(LABELS))] for name in ids]


def save(path: Path, rows: list[list[str]]) -> None:
    """As any other program would: by the csv module as it comes, with Windows line ends."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path.write_bytes(text.getvalue().encode())


@quick
@given(submissions())
def test_a_file_as_it_was_written_passes(tmp_path: Path, rows: list[list[str]]) -> None:
    write_table(tmp_path / "a.csv", HEADER, rows)
    assert check(tmp_path / "a.csv", [name for name, _ in rows]) == len(rows)
    save(tmp_path / "b.csv", [HEADER, *rows])
    assert check(tmp_path / "b.csv", [name for name, _ in rows]) == len(rows)


@quick
@given(submissions(), st.data())
def test_whatever_is_done_to_a_row_is_refused_with_its_line(
    tmp_path: Path, rows: list[list[str]], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(rows) - 1), "place")
    before, row, after = rows[:place], rows[place], rows[place + 1 :]
    line = len(["header", *before, row])
    mutations: dict[str, tuple[list[list[str]], int, str]] = {
        "dropped": ([*before, *after], line, f"must have the id {row[0]!r}, but"),
        "twice": ([*before, row, row, *after], line + 1, ""),
        "inserted": ([*before, ["new", "cat"], row, *after], line, "but has 'new'"),
        "appended": ([*rows, ["new", "cat"]], len(rows) + 2, f"id 'new' is one too many; there must be {len(rows)}"),
        "other id": ([*before, [f"{row[0]}x", row[1]], *after], line, f"must have the id {row[0]!r}, but has"),
        "other label": ([*before, [row[0], "cow"], *after], line, "the label 'cow' of"),
        "label in capitals": ([*before, [row[0], "Cat"], *after], line, "must be cat, dog or nothing"),
        "one more column": ([*before, [*row, "1"], *after], line, "has 3 columns, but the first line has 2"),
        "one column less": ([*before, row[:1], *after], line, "has 1 columns, but the first line has 2"),
    }
    if after:
        other = data.draw(st.integers(0, len(after) - 1), "other")
        swapped = [*before, after[other], *after[:other], row, *after[other + 1 :]]
        mutations["swapped"] = swapped, line, f"must have the id {row[0]!r}, but has {after[other][0]!r}"
    name = data.draw(st.sampled_from(sorted(mutations)), "mutation")
    mutated, expected_line, words = mutations[name]
    save(tmp_path / "a.csv", [HEADER, *mutated])
    with pytest.raises(InputError) as caught:
        check(tmp_path / "a.csv", [name for name, _ in rows])
    assert str(caught.value).startswith(f"{tmp_path / 'a.csv'}: line {expected_line}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize("header", [["Id", "label"], ["id", "label", ""], ["id"]])
def test_another_header_is_refused(header: list[str], tmp_path: Path) -> None:
    save(tmp_path / "a.csv", [header, ["1", "cat"]])
    with pytest.raises(InputError) as caught:
        check(tmp_path / "a.csv", ["1"])
    assert str(caught.value) == f"{tmp_path / 'a.csv'}: line 1: must be id,label, but is {','.join(header)!r}"


def test_an_empty_file_and_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.csv: line 1: must be id,label, but is ''"):
        check(tmp_path / "a.csv", [])
    with pytest.raises(InputError, match=r"b\.csv: is missing"):
        check(tmp_path / "b.csv", [])


def test_the_first_of_several_offences_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,label\n1,cat\n\n2,cow\n3\n")
    with pytest.raises(InputError, match=r"a\.csv: line 4: the label 'cow' of '2' must be cat, dog or nothing"):
        check(tmp_path / "a.csv", ["1", "2", "3"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name,predicted\na,cat\nb,cow\n", "line 3: the prediction 'cow' for b must be cat, dog or nothing"),
        (b"name,predicted\na,cat\na,cat\n", "line 3: a is a duplicate"),
        (b"name,label\na,cat\n", "has no column 'predicted'"),
        (b"id,predicted\na,cat\n", "has no column 'name'"),
    ],
)
def test_predictions_that_cannot_be_submitted_are_named(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_predictions(tmp_path / "test.csv", "images", {"cat": "cat"}.get, "cat, dog or nothing")
    assert str(caught.value).startswith(f"{tmp_path / 'test.csv'}: {words}")


def test_predictions_come_in_their_order_with_what_to_submit_for_each(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_bytes(b"probability,predicted,name\n0.5,cat,b\n0.5,dog,a\n")
    found = read_predictions(tmp_path / "test.csv", "images", {"cat": "0", "dog": "1"}.get, "")
    assert list(found.items()) == [("b", "0"), ("a", "1")]


@quick
@given(submissions())
def test_a_sample_gives_the_ids_in_its_own_order(tmp_path: Path, rows: list[list[str]]) -> None:
    save(tmp_path / "sample.csv", [["Id", "Category"], *rows])
    ids = [name for name, _ in rows]
    assert sample_ids(read_sample(tmp_path / "sample.csv"), sorted(ids), "images") == ids


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"id\na\n", "line 1: must name two columns, an id and a label, but is 'id'"),
        (b"id,label,x\na,cat,1\n", "line 1: must name two columns, an id and a label, but is 'id,label,x'"),
        (b"id,label\na,x\n\nc,x\n", "line 4: id 'c' is none of the 2 test images"),
        (b"id,label\na,x\na,x\n", "line 3: id 'a' is a duplicate"),
        (b"id,label\nb,x\n", "lists 1 of the 2 test images; id 'a' is missing"),
    ],
)
def test_a_sample_of_other_ids_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "sample.csv").write_bytes(content)
    with pytest.raises(InputError) as caught:
        sample_ids(read_sample(tmp_path / "sample.csv"), ["a", "b"], "images")
    assert str(caught.value) == f"{tmp_path / 'sample.csv'}: {words}"
