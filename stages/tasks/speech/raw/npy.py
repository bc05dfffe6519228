""".npy files of an utterance: frames, numbers (T, F), or a transcript, an array of strings."""

import io

import numpy as np

from stages.tasks.speech.raw.item import Problem


def _load(content: bytes) -> np.ndarray:
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)  # a pickle is a program
    except Exception as error:  # a damaged header can raise nearly anything
        raise Problem(f"is not a readable .npy file ({error})") from None
    if not isinstance(array, np.ndarray):
        raise Problem("is not a .npy file but an .npz archive")
    return array


def read_frames(content: bytes) -> np.ndarray:
    """Read frames (T, F), numbers of any type. Raises Problem."""
    array = _load(content)
    check_frames(array)
    return array


def check_frames(array: np.ndarray) -> None:
    """Raises Problem unless the array has frames."""
    if array.ndim != 2 or not array.size or array.dtype.kind not in "fiu":
        raise Problem(f"must be numbers, frames x coefficients, but has shape {array.shape} and type {array.dtype}")


def read_symbols(content: bytes) -> list[str]:
    """Read the symbols of a transcript. Raises Problem."""
    array = _load(content)
    if array.ndim != 1 or array.dtype.kind not in "US" or not array.dtype.itemsize:
        raise Problem(f"must be a row of strings, but has shape {array.shape} and type {array.dtype}")
    try:
        return [symbol.decode() if isinstance(symbol, bytes) else symbol for symbol in array.tolist()]
    except (ValueError, SystemError) as error:  # NumPy raises SystemError for numbers beyond Unicode
        raise Problem(f"holds bytes that are not text ({error})") from None
