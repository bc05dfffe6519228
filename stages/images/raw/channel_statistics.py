"""The mean and standard deviation of any number of images' channels, exact, in one pass and a fixed amount of memory."""

import functools
import threading

import cv2
import numpy as np


def sums(image: np.ndarray) -> np.ndarray:
    """Of the values and of their squares in each channel: (H, W, 3) uint8 -> (2, 3) int64.

    By OpenCV, which lets other threads run: 0.015 ms for 224 x 224, a fifth of its histograms.
    """
    image = np.ascontiguousarray(image)
    planes = _planes(threading.get_ident(), image.shape[:2])
    cv2.split(image, planes)  # into memory of ours, in a third of the time
    totals = [cv2.sumElems(image)[:3], [cv2.norm(plane, cv2.NORM_L2SQR) for plane in planes]]
    # Exact when rounded: OpenCV squares a root again, and the sums are far below 2**53.
    return np.rint(totals).astype(np.int64)


@functools.lru_cache(maxsize=32)
def _planes(thread: int, shape: tuple[int, int]) -> list[np.ndarray]:
    """Three images of one channel: a thread's own, again and again, since memory that was just used is near."""
    return [np.empty(shape, np.uint8) for _ in range(3)]


class Moments:
    """Adds up the sums of images."""

    def __init__(self) -> None:
        self._pixels, self._sums = 0, np.zeros((2, 3), np.int64)

    def add(self, num_pixels: int, sums: np.ndarray) -> None:
        """One image more, by its size and its sums."""
        self._pixels += num_pixels
        self._sums += sums

    def mean_and_std(self) -> tuple[list[float], list[float]]:
        """Of each channel, over all pixels; the deviation is at least 0.001, so that it can be divided by."""
        # Python's integers, because the square of a sum may not fit into 64 bits.
        pairs = [(int(first), int(second)) for first, second in self._sums.T]
        mean = [first / self._pixels for first, _ in pairs]
        variance = [(self._pixels * second - first**2) / self._pixels**2 for first, second in pairs]
        return mean, np.sqrt(variance).clip(1e-3).tolist()
