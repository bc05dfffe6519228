"""The exact mean and standard deviation of the channels of any number of images, in one pass."""

import cv2
import numpy as np


def sums(image: np.ndarray) -> np.ndarray:
    """Of the values and of their squares in each channel: (H, W, 3) uint8 -> (2, 3) int64."""
    mean, std = cv2.meanStdDev(image)
    height, width, _ = image.shape
    # The rounding makes the sums exact: the error of the products is far below a half.
    return np.rint(height * width * np.hstack((mean, std**2 + mean**2)).T).astype(np.int64)


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
