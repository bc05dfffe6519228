"""The unpickler gives back arrays as NumPy wrote them, whatever wrote them, and runs nothing."""

import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stages.core.errors import InputError
from stages.data import pickles

NUMBERS = st.sampled_from(["<f4", ">f4", "<f8", "<f2", "<i8", ">i2", "|u1", "|b1"])


@given(array=NUMBERS.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes())), protocol=st.integers(2, 4))
def test_numbers_arrive_as_they_were(array: np.ndarray, protocol: int) -> None:
    for written in (array, np.asfortranarray(array)):
        found = pickles.load(pickle.dumps({"x": written}, protocol), "a")["x"]
        np.testing.assert_array_equal(found.numbers, array)
        assert found.numbers.dtype == array.dtype and found.objects is None


def npy(objects: list[Any]) -> bytes:
    array = np.empty(len(objects), object)
    array[:] = objects
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


@given(st.lists(st.integers(1, 5), max_size=5))
def test_the_objects_of_an_npy_file_arrive_in_their_order(lengths: list[int]) -> None:
    rows = [np.full((length, 3), number, np.float32) for number, length in enumerate(lengths)]
    found = pickles.load_npy(npy([*rows, "text"]), "a")
    assert found.pop() == "text" and len(found) == len(rows)
    for one, row in zip(found, rows, strict=True):
        np.testing.assert_array_equal(one.numbers, row)


class Call:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("made",)


@pytest.mark.parametrize("value", [Call(), OrderedDict(), np.float64(1), {"x": [Call()]}])
def test_what_has_a_class_of_its_own_is_not_loaded(value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^a: holds the foreign class \S+, which was not loaded$"):
        pickles.load(pickle.dumps(value), "a")
    with pytest.raises(InputError, match=r"^a: holds the foreign class \S+, which was not loaded$"):
        pickles.load_npy(npy([value]), "a")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not a readable .npy file"),
        (npy([1])[:-3], "damaged or cut short"),
        (npy([1]).replace(b"(1,)", b"(2,)"), "must be one row of objects"),
        (npy([1])[:128] + pickle.dumps([1]), "must be one row of objects"),
        (npy([1])[:128] + pickle.dumps(np.array([[None]])), "must be one row of objects"),
        (npy([1])[:128] + pickle.dumps(np.arange(1)), "must be one row of objects"),
    ],
)
def test_another_npy_file_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=f"^a: {words}"):
        pickles.load_npy(content, "a")


def test_an_npy_file_of_numbers_is_refused() -> None:
    content = io.BytesIO()
    np.save(content, np.arange(3))
    with pytest.raises(InputError, match="must hold objects, an array each, but is of the type int64"):
        pickles.load_npy(content.getvalue(), "a")


@given(st.data())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(npy([np.ones((2, 3), np.float32), np.arange(4)]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = pickles.load_npy(bytes(content[: data.draw(st.integers(0, len(content)))]), "a")
    except InputError as error:
        assert str(error).startswith("a: ")
    else:
        assert len(found) == 2
