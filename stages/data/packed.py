"""Arrays on disk, written row by row and read as memory maps, so that features of any size need little memory.

`Rows` writes items of one shape to a .npy file. `Ragged` writes items of different lengths as their concatenation and its
offsets; texts are ragged bytes.
"""

import itertools
from array import array
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from stages.core.errors import InputError, naming

Array = npt.NDArray[Any]
BUFFER = 1 << 18  # bytes per write: twice as fast as 20 kB
AGAIN = "`dvc repro -f` of its stage `normalize` makes it again"


class Rows:
    """Writes the array (number of rows, *shape) to `path`, row by row.

    NumPy's header has room for the first axis to grow, so it is rewritten in place at the end.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.count, self.shape, self.dtype = 0, shape, np.dtype(dtype)
        self._path = path
        self._file: IO[bytes] = path.open("wb", BUFFER)
        self._write_header()

    def append(self, rows: Array) -> None:
        """Add rows (n, *shape) of the array's dtype."""
        assert rows.shape[1:] == self.shape and rows.dtype == self.dtype, (rows.shape, rows.dtype)
        content = np.ascontiguousarray(rows).reshape(-1).data
        with naming(self._path):
            self._file.write(content)
        self.count += len(rows)

    def _write_header(self) -> None:
        self._file.seek(0)
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.count, *self.shape)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with naming(self._path), self._file:
            self._write_header()


class Ragged:
    """Writes the concatenated items to `<stem>.npy`, and their starts and the last end to `<stem>_offsets.npy`."""

    def __init__(self, stem: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._values = Rows(stem.with_suffix(".npy"), shape, dtype)
        self._offsets = Rows(stem.with_name(f"{stem.name}_offsets.npy"), (), np.int64)
        self._ends = array("q", [0])

    def append(self, item: Array) -> None:
        """Add one item (length, *shape)."""
        self._values.append(item)
        self._ends.append(self._values.count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._values.__exit__(*error)
        self._offsets.append(np.array(self._ends))
        self._offsets.__exit__(*error)


class RaggedArray(Sequence[Array]):
    """The files of `Ragged`, memory-mapped: `array[i]` is item i. Raises InputError if the files do not fit."""

    def __init__(self, stem: Path) -> None:
        self.stem = stem
        self.values, self.offsets = _map(stem.with_suffix(".npy")), _map(stem.with_name(f"{stem.name}_offsets.npy"))
        offsets = self.offsets
        is_list = offsets.ndim == 1 and offsets.dtype == np.int64 and len(offsets) > 0 and self.values.ndim > 0
        if not is_list or offsets[0] != 0 or offsets[-1] != len(self.values) or (np.diff(offsets) < 0).any():
            raise InputError(f"{stem}_offsets.npy: does not divide {stem.name}.npy into items; {AGAIN}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process maps the files again, as pickling would copy the maps."""
        return RaggedArray, (self.stem,)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: Any) -> Any:
        index = range(len(self))[index]
        return self.values[self.offsets[index] : self.offsets[index + 1]]


def _map(path: Path) -> Array:
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # a damaged header can raise nearly anything
        raise InputError(f"{path}: is not a readable .npy file ({type(error).__name__}); {AGAIN}") from None


def text_row(text: str) -> Array:
    """Encode a text as an item of a Ragged array of bytes."""
    return np.frombuffer(text.encode(errors="backslashreplace"), np.uint8)


def read_texts(stem: Path) -> list[str]:
    """Read all texts of a Ragged array of bytes. Raises InputError if the files do not fit or are not UTF-8."""
    array = RaggedArray(stem)
    content, offsets = bytes(array.values), array.offsets.tolist()
    try:
        return [content[begin:end].decode() for begin, end in itertools.pairwise(offsets)]
    except UnicodeDecodeError:
        raise InputError(f"{stem}.npy: holds bytes that are not UTF-8 text; {AGAIN}") from None
