"""What is written is read back to the cell, however people save it since; what is no table is refused with its line."""

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.core.errors import InputError
from stages.data.tables import Row, read_rows, read_table, write_table

quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CELLS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(',"\n\r \ufeff'), max_size=5)
PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\ufeff'), max_size=5)


@st.composite
def tables(draw: st.DrawFn, cells: st.SearchStrategy[str] = CELLS) -> list[list[str]]:
    """Rows of equal length; the first cell of a table cannot begin with a byte order mark, which is not text."""
    width = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=6))
    rows[0][0] = rows[0][0].lstrip("\ufeff")
    return rows


def naive_csv(rows: list[list[str]], end: str = "\n") -> bytes:
    """Every cell in quotes, which CSV always allows."""
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    return "".join(line + end for line in quoted).encode()


@quick
@given(tables())
def test_a_table_is_read_back_as_it_was_written(tmp_path: Path, rows: list[list[str]]) -> None:
    path = tmp_path / "new" / "table.csv"
    write_table(path, rows[0], (tuple(row) for row in rows[1:]))
    table = read_table(path)
    assert table.header == rows[0]
    assert [row.cells for row in table.rows] == rows[1:]
    assert [file.name for file in path.parent.iterdir()] == ["table.csv"]


@quick
@given(tables(), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.integers(0, 2))
def test_byte_order_mark_line_ends_and_empty_lines_change_nothing_but_the_lines(
    rows: list[list[str]], end: str, mark: bool, num_empty: int
) -> None:
    content = b"\xef\xbb\xbf" * mark + naive_csv(rows, end * (1 + num_empty))
    # A row begins after the lines of those before it: a quoted cell goes on over as many as it has line ends.
    heights = [
        1 + num_empty + sum(len(cell.replace("\r\n", "\n").replace("\r", "\n").split("\n")) - 1 for cell in row)
        for row in rows
    ]
    lines = [1, *(1 + height for height in itertools.accumulate(heights))]
    assert list(read_rows(content, "x.csv")) == [Row(line, row) for line, row in zip(lines, rows, strict=False)]


@quick
@given(tables(PLAIN), st.data())
def test_a_row_of_another_length_is_named_after_those_before_it(rows: list[list[str]], data: st.DataObject) -> None:
    place = data.draw(st.integers(1, len(rows)))
    row = data.draw(st.lists(PLAIN, min_size=1, max_size=6).filter(lambda row: len(row) != len(rows[0])))
    found = read_rows(naive_csv([*rows[:place], row, *rows[place:]]), "x.csv")
    assert [next(found).cells for _ in range(place)] == rows[:place]
    with pytest.raises(InputError) as caught:
        next(found)
    assert str(caught.value) == (f"x.csv: line {place + 1}: has {len(row)} columns, but the first line has {len(rows[0])}")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty; its first line must name the columns"),
        (b"a,b\n1,2\n\n3\n", "line 4: has 1 columns, but the first line has 2"),
        (b'a,b\n1,"2\n3"\n4,5,6\n', "line 4: has 3 columns, but the first line has 2"),
        (b"a,b\n1,\xe9\n", "line 2: is not UTF-8 text"),
        (b'a,b\n1,"2\n3,4\n5,6\n', "line 2: is not CSV (unexpected end of data)"),
        (b"a,b\n" + b"x" * 200_000 + b",1\n", "line 2: is not CSV (field larger than field limit"),
    ],
)
def test_what_is_no_table_is_refused_with_its_line(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_table(tmp_path / "x.csv")
    assert str(caught.value).startswith(f"{tmp_path / 'x.csv'}: {words}")


def test_a_column_is_found_by_its_name_or_the_columns_there_are_named(tmp_path: Path) -> None:
    write_table(tmp_path / "x.csv", ["name", "score"], [("a", 0.5), ("b", 1)])
    table = read_table(tmp_path / "x.csv")
    assert (table.column("name"), table.column("score")) == (["a", "b"], ["0.5", "1"])
    with pytest.raises(InputError, match=r"x\.csv: has no column 'label' \(its columns are name, score\)"):
        table.column("label")


def test_a_table_is_written_in_utf_8_with_line_feeds(tmp_path: Path) -> None:
    write_table(tmp_path / "x.csv", ["name", "ä"], [("a,b", 1), ('"', "")])
    assert (tmp_path / "x.csv").read_bytes() == 'name,ä\n"a,b",1\n"""",\n'.encode()
