"""Exact channel means and standard deviations of any number of images, in one pass."""

import cv2
import numpy as np


def sums(image: np.ndarray) -> np.ndarray:
    """Sum the values and their squares in each channel: (H, W, 3) uint8 -> (2, 3) int64."""
    mean, std = cv2.meanStdDev(image)
    height, width, _ = image.shape
    # Rounding makes the sums exact: the floating-point error is far below 0.5.
    return np.rint(height * width * np.hstack((mean, std**2 + mean**2)).T).astype(np.int64)


class Moments:
    """Accumulates the sums of images."""

    def __init__(self) -> None:
        self._pixels, self._sums = 0, np.zeros((2, 3), np.int64)

    def add(self, num_pixels: int, sums: np.ndarray) -> None:
        """Add an image by its number of pixels and its `sums`."""
        self._pixels += num_pixels
        self._sums += sums

    def mean_and_std(self) -> tuple[list[float], list[float]]:
        """Return the mean and standard deviation of each channel; the latter is at least 0.001, to divide by."""
        # Python's integers, as the square of a sum may overflow 64 bits.
        pairs = [(int(first), int(second)) for first, second in self._sums.T]
        mean = [first / self._pixels for first, _ in pairs]
        variance = [(self._pixels * second - first**2) / self._pixels**2 for first, second in pairs]
        return mean, np.sqrt(variance).clip(1e-3).tolist()
