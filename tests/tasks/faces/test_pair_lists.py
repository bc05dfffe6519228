"""Lists of pairs and labels: what was written is read again, and every other line is named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.errors import InputError
from stages.data.tables import row
from stages.tasks.faces.raw.layout import Pair
from stages.tasks.faces.raw.layouts.pairs import parse_labels
from stages.tasks.faces.raw.layouts.plain import parse_lfw
from stages.tasks.faces.raw.pair_lists import parse

NAME = st.from_regex(r"[A-Za-z0-9_]{1,5}(/[A-Za-z0-9_]{1,5})?\.jpg", fullmatch=True)
PAIRS = st.lists(st.tuples(NAME, NAME, st.booleans()), min_size=1, max_size=9)
END = st.sampled_from(["\n", "\r\n"])
quick = settings(max_examples=30)


def read(text: str | bytes, *, is_csv: bool = False, is_labelled: bool = True) -> list[tuple[int, Pair]]:
    content = text if isinstance(text, bytes) else text.encode()
    return [(line, pair) for line, pair in parse(content, "pairs.txt", is_csv=is_csv, is_labelled=is_labelled)]


@quick
@given(
    PAIRS, END, st.sampled_from([" ", "\t", "   "]), st.booleans(), st.booleans(), st.lists(st.integers(0, 9), max_size=3)
)
def test_pairs_of_a_text_are_read_as_they_were_written(
    pairs: list[tuple[str, str, bool]], end: str, space: str, is_labelled: bool, has_mark: bool, empty: list[int]
) -> None:
    rows = [space.join([one, other, *([str(int(same))] if is_labelled else [])]) for one, other, same in pairs]
    expected = [Pair(one, other, same if is_labelled else None) for one, other, same in pairs]
    for place in sorted(empty, reverse=True):
        rows.insert(place, " ")
    text = ("\ufeff" if has_mark else "") + end.join(rows) + end
    found = read(text, is_labelled=is_labelled)
    assert [pair for _, pair in found] == expected
    for line, pair in found:
        assert text.split("\n")[line - 1].lstrip("\ufeff").startswith(pair.name)


@quick
@given(PAIRS, st.booleans())
def test_pairs_of_a_table_are_read_as_they_were_written(pairs: list[tuple[str, str, bool]], is_labelled: bool) -> None:
    rows = [[one, other, int(same)] if is_labelled else [one, other] for one, other, same in pairs]
    text = row(["what", "ever", "this"][: 2 + is_labelled]) + "".join(map(row, rows))
    assert read(text, is_csv=True, is_labelled=is_labelled) == [
        (line, Pair(one, other, same if is_labelled else None)) for line, (one, other, same) in enumerate(pairs, 2)
    ]


@pytest.mark.parametrize(
    ("text", "is_labelled", "words"),
    [
        ("a b 1\na b\n", True, "line 2: must have two names and 0 or 1, but has 2 columns"),
        ("a b\n\na b 1\n", False, "line 3: must have two names, but has 3 columns"),
        ("a b 2\n", True, "line 1: must end in 1 (same person) or 0, but ends in '2'"),
        ("a b 1.0\n", True, "ends in '1.0'"),
        ("\n \n", True, "lists no pair"),
        (b"\xff b 1\n", True, "is not UTF-8 text"),
    ],
)
def test_a_line_that_is_no_pair_is_named(text: str | bytes, is_labelled: bool, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text, is_labelled=is_labelled)
    assert str(caught.value).startswith("pairs.txt: ") and str(caught.value).endswith(words)


PATH = st.from_regex(r"[a-z0-9]{1,4}( [a-z0-9]{1,3})?(/[a-z ]{1,4}x)?\.jpg", fullmatch=True)


@quick
@given(st.dictionaries(PATH, st.integers(0, 9999), min_size=1, max_size=9), END)
def test_labels_are_read_as_they_were_written(labels: dict[str, int], end: str) -> None:
    text = "".join(f"{path} {label}{end}" for path, label in labels.items())
    assert parse_labels(text.encode(), "labels.txt") == labels


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.jpg 0\nb.jpg\n", "line 2: must be a path and a whole number, but is 'b.jpg'"),
        ("a.jpg -1\n", "line 1: must be a path and a whole number, but is 'a.jpg -1'"),
        ("a.jpg ٣\n", "line 1: must be a path and a whole number, but is 'a.jpg ٣'"),
        ("a.jpg " + 5000 * "1", "line 1: must be a path and a whole number, but is 'a.jpg " + 94 * "1" + "'"),
        ("a.jpg n000002\n", "but is 'a.jpg n000002'"),
        ("a.jpg 0\na.jpg 1\n", "line 2: a.jpg is a duplicate"),
        ("", "lists no image"),
    ],
)
def test_a_line_that_is_no_label_is_named(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_labels(text.encode(), "labels.txt")
    assert str(caught.value).startswith("labels.txt: ") and str(caught.value).endswith(words)


PERSON = st.from_regex(r"[A-Z][a-z]{1,4}(_[A-Z][a-z]{1,4})?", fullmatch=True)
SAME = st.tuples(PERSON, st.integers(1, 999), st.integers(1, 999))
DIFFERENT = st.tuples(PERSON, st.integers(1, 999), PERSON, st.integers(1, 999))


@quick
@given(st.lists(st.tuples(SAME, DIFFERENT), min_size=1, max_size=5), st.booleans())
def test_lfws_pairs_are_read_as_they_were_written(
    folds: list[tuple[tuple[str, int, int], tuple[str, int, str, int]]], one: bool
) -> None:
    head = f"{len(folds)}" if one else f"{len(folds)}\t1"
    text = "\n".join([head, *("\t".join(map(str, cells)) for fold in folds for cells in fold)])
    expected = []
    for (who, first, second), (left, left_shot, right, right_shot) in folds:
        expected.append(Pair(f"{who}/{who}_{first:04d}", f"{who}/{who}_{second:04d}", True))
        expected.append(Pair(f"{left}/{left}_{left_shot:04d}", f"{right}/{right}_{right_shot:04d}", False))
    assert [pair for _, pair in parse_lfw(text.encode(), "pairs.txt")] == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: must be the numbers of folds and pairs, like LFW's 10 300"),
        ("Ann\t1\t2\n", "line 1: must be the numbers of folds and pairs, like LFW's 10 300"),
        ("1\t1\nAnn\t1\t2\nAnn\t1\tBob\n", "line 3: must be `name n1 n2` or `name1 n1 name2 n2`, but is 'Ann\\t1\\tBob'"),
        ("1\t1\nAnn\t1\t2\n", "has 1 pairs, but its first line says 2; fetch it again"),
    ],
)
def test_a_line_that_lfw_has_not_is_named(text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_lfw(text.encode(), "pairs.txt")
    assert str(caught.value) == f"pairs.txt: {words}"
