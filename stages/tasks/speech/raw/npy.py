""".npy files of one utterance: its frames, numbers of shape (T, F), and its transcript, a text for each symbol."""

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
    """(T, F), numbers of any kind. Raises Problem."""
    array = _load(content)
    check_frames(array)
    return array


def check_frames(array: np.ndarray) -> None:
    """Raises Problem if these are no frames."""
    if array.ndim != 2 or not array.size or array.dtype.kind not in "fiu":
        raise Problem(f"must be numbers, frames x coefficients, but has shape {array.shape} and type {array.dtype}")


def read_symbols(content: bytes) -> list[str]:
    """The texts of a transcript. Raises Problem."""
    array = _load(content)
    if array.ndim != 1 or array.dtype.kind not in "US" or not array.dtype.itemsize:
        raise Problem(f"must be a row of texts, but has shape {array.shape} and type {array.dtype}")
    try:
        return [symbol.decode() if isinstance(symbol, bytes) else symbol for symbol in array.tolist()]
    except (ValueError, SystemError) as error:  # SystemError is NumPy's for numbers beyond Unicode
        raise Problem(f"holds bytes that are no text ({error})") from None
