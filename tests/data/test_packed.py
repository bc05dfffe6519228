"""Packed arrays: what is read back is, to the byte, what was appended."""

import io
import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stages.core.errors import InputError
from stages.data.packed import Array, Ragged, RaggedArray, Rows, read_texts, text_row

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DTYPES = st.sampled_from(["u1", "i8", "<f4", ">f4", "f8", "?"]).map(np.dtype)
SHAPES = arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)


def write_rows(path: Path, pieces: list[Array], shape: tuple[int, ...], dtype: Any) -> None:
    with Rows(path, shape, dtype) as rows:
        for piece in pieces:
            rows.append(piece)


@quick
@given(st.data(), DTYPES, SHAPES)
def test_rows_read_back_as_they_were_appended(
    tmp_path: Path, data: st.DataObject, dtype: Any, shape: tuple[int, ...]
) -> None:
    array = data.draw(arrays.arrays(dtype, shape))
    write_rows(tmp_path / "rows.npy", [array], shape[1:], dtype)
    loaded = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert isinstance(loaded, np.memmap)
    assert (loaded.shape, loaded.dtype) == (array.shape, array.dtype)
    np.testing.assert_array_equal(loaded, array)


@quick
@given(st.lists(st.integers(0, 20), max_size=4))
def test_rows_in_pieces_make_the_same_file_as_at_once(tmp_path: Path, cuts: list[int]) -> None:
    array = np.random.default_rng(0).normal(size=(20, 3))
    pieces = np.split(array, sorted(cuts))
    once, parts = tmp_path / "once.npy", tmp_path / "pieces.npy"
    write_rows(once, [array], (3,), "f8")
    write_rows(parts, pieces, (3,), "f8")
    assert once.read_bytes() == parts.read_bytes()


def test_rows_that_do_not_lie_in_order_in_memory_are_written_in_order(tmp_path: Path) -> None:
    array = np.asfortranarray(np.arange(24, dtype=np.int32).reshape(4, 2, 3))
    write_rows(tmp_path / "rows.npy", [array], (2, 3), np.int32)
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy"), array)


@quick
@given(st.lists(st.integers(0, 5), max_size=6), arrays.array_shapes(min_dims=0, max_dims=2, max_side=3), DTYPES)
def test_ragged_items_read_back_as_they_were_appended(
    tmp_path: Path, lengths: list[int], shape: tuple[int, ...], dtype: Any
) -> None:
    random = np.random.default_rng(0)
    items = [random.integers(0, 2, (length, *shape)).astype(dtype) for length in lengths]
    with Ragged(tmp_path / "items", shape, dtype) as ragged:
        for item in items:
            ragged.append(item)
    array = RaggedArray(tmp_path / "items")
    assert isinstance(array.values, np.memmap)
    assert array.offsets.tolist() == [0, *itertools.accumulate(lengths)]
    assert len(array) == len(items)
    for read, item in zip(array, items, strict=True):
        assert read.dtype == item.dtype
        np.testing.assert_array_equal(read, item)


def test_ragged_items_are_found_from_either_end(tmp_path: Path) -> None:
    with Ragged(tmp_path / "items", (), np.int64) as ragged:
        for length in (2, 0, 3):
            ragged.append(np.full(length, length))
    array = RaggedArray(tmp_path / "items")
    assert [array[index].tolist() for index in (2, -1, -2, -3)] == [[3, 3, 3], [3, 3, 3], [], [2, 2]]
    for index in (3, -4):
        with pytest.raises(IndexError):
            array[index]


@quick
@given(st.lists(st.text()))
def test_texts_read_back_as_they_were_appended(tmp_path: Path, texts: list[str]) -> None:
    with Ragged(tmp_path / "texts", (), np.uint8) as ragged:
        for text in texts:
            ragged.append(text_row(text))
    assert read_texts(tmp_path / "texts") == texts


def test_another_process_maps_the_same_files(tmp_path: Path) -> None:
    with Ragged(tmp_path / "items", (), np.uint8) as ragged:
        ragged.append(np.arange(100_000).astype(np.uint8))
        ragged.append(np.zeros(3, np.uint8))
    content = pickle.dumps(RaggedArray(tmp_path / "items"))
    assert len(content) < 1000
    assert (pickle.loads(content)[1] == 0).all() and len(pickle.loads(content)[0]) == 100_000


def npy(array: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


@pytest.mark.parametrize(
    ("values", "offsets", "words"),
    [
        (b"", npy([0]), r"items\.npy: is not a readable \.npy file"),
        (npy(np.zeros(3))[:-1], npy([0, 3]), r"items\.npy: is not a readable"),
        (npy(np.zeros(3)), npy([0, 2, 1, 3]), "does not divide"),
        (npy(np.zeros(3)), npy([1, 3]), "does not divide"),
        (npy(np.zeros(3)), npy([0.0, 3.0]), "does not divide"),
        (npy(np.zeros(())), npy([0]), "does not divide"),
        (npy(np.full(3, 255, np.uint8)), npy([0, 3]), r"items\.npy: holds bytes that are not UTF-8 text"),
    ],
)
def test_files_that_are_no_ragged_array_are_named(tmp_path: Path, values: bytes, offsets: bytes, words: str) -> None:
    (tmp_path / "items.npy").write_bytes(values)
    (tmp_path / "items_offsets.npy").write_bytes(offsets)
    with pytest.raises(InputError, match=f"{words}.*`normalize` makes it again"):
        read_texts(tmp_path / "items")


@quick
@given(st.booleans(), st.integers(0, 140), st.binary(min_size=1, max_size=4))
def test_a_changed_header_reads_as_a_ragged_array_or_is_an_input_error(
    tmp_path: Path, is_values: bool, place: int, new: bytes
) -> None:
    with Ragged(tmp_path / "items", (2,), np.float32) as ragged:
        ragged.append(np.ones((3, 2), np.float32))
    path = tmp_path / ("items.npy" if is_values else "items_offsets.npy")
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:place] + new + content[place + len(new) :])
    try:
        array = RaggedArray(tmp_path / "items")
        assert sum(len(item) for item in array) == len(array.values)
    except InputError as error:
        assert str(tmp_path) in str(error)
