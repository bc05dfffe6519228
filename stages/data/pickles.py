"""Read pickles of NumPy arrays safely.

A pickle is a program. This unpickler only knows stand-ins for NumPy's arrays, so it cannot execute foreign code.
"""

import io
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from stages.core.errors import InputError

NUMBERS = re.compile(r"[iu][1248]|f[248]|b1")


class Array:
    """A stand-in for numpy.ndarray, whose unpickling trusts the dtype's flags.

    numbers: the values of a numeric array, else None. objects: the elements of a one-dimensional object array, else None.
    """

    numbers: np.ndarray | None = None
    objects: list[Any] | None = None

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, content = state
        if not isinstance(dtype, _Dtype):
            return
        if NUMBERS.fullmatch(dtype.name) and isinstance(content, bytes):
            values = np.frombuffer(content, np.dtype(dtype.order + dtype.name))
            self.numbers = values.reshape(shape, order="F" if is_fortran else "C")
        elif dtype.name in ("O8", "O4") and isinstance(content, list) and shape == (len(content),):
            self.objects = content


class _Dtype:
    """A stand-in for numpy.dtype: name (kind and size) and byte order."""

    order = ""

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = _text(name)

    def __setstate__(self, state: Any) -> None:
        self.order = _text(state[1]).replace("|", "")


def _text(value: Any) -> str:
    """Return a string, which Python 2 pickled as bytes."""
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


def _encode(text: str, _: str) -> bytes:
    """A stand-in for _codecs.encode, by which Python 3 pickles bytes in protocol 2."""
    return text.encode("latin1")


class _ForeignClass(Exception):
    pass


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        match module, name:
            case ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") | ("numpy", "ndarray"):
                return Array
            case "numpy", "dtype":
                return _Dtype
            case "_codecs", "encode":
                return _encode
        raise _ForeignClass(f"holds the foreign class {module}.{name}, which was not loaded")


def load(content: bytes, where: str) -> Any:
    """Load a pickle, with arrays as `Array` and Python 2's strings as bytes. where: its name in messages.

    Raises InputError if it is damaged or holds an object of another class.
    """
    return _load(io.BytesIO(content), where)


def load_npy(content: bytes, where: str) -> list[Any]:
    """Load a .npy file with a one-dimensional array of objects, with arrays as `Array`. Raises InputError otherwise."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(stream)
    except Exception as error:  # a damaged header can raise nearly anything
        raise InputError(f"{where}: is not a readable .npy file ({error}); fetch it again") from None
    if dtype.kind != "O":
        raise InputError(f"{where}: must hold objects, an array each, but is of the type {dtype}")
    found = _load(stream, where)
    if not isinstance(found, Array) or found.objects is None or shape != (len(found.objects),):
        raise InputError(f"{where}: must be one row of objects, but has the shape {shape}")
    return found.objects


def _load(stream: io.BytesIO, where: str) -> Any:
    try:
        return _Unpickler(stream, encoding="bytes").load()
    except _ForeignClass as error:
        raise InputError(f"{where}: {error}") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise InputError(f"{where}: damaged or cut short ({type(error).__name__}: {error}); fetch it again") from None
