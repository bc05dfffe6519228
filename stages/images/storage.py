"""Images kept encoded, as JPEG or PNG, until a batch needs them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from stages.core.machine import num_cores
from stages.data.packed import RaggedArray


def decode(content: np.ndarray, side: int) -> np.ndarray:
    """Encoded bytes (uint8) -> RGB (side, side, 3) uint8: the middle square, scaled to `side`, upright by its Exif data.

    Raises ValueError if the bytes are no image.
    """
    try:
        image = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB)
    except cv2.error:  # an empty file, or more than 2**30 pixels
        image = None
    if image is None:
        raise ValueError("is not a readable image")
    height, width = image.shape[:2]
    if (height, width) != (side, side):
        shorter = min(height, width)
        top, left = (height - shorter) // 2, (width - shorter) // 2
        square = image[top : top + shorter, left : left + shorter]
        interpolation = cv2.INTER_AREA if side < shorter else cv2.INTER_CUBIC
        image = cv2.resize(square, (side, side), interpolation=interpolation)
    return np.asarray(image, np.uint8)


class JoinedImages:
    """The images of several splits, indexed like one array (N, side, side, 3) uint8."""

    def __init__(self, parts: Sequence["np.ndarray | EncodedImages"]) -> None:
        self._parts, self._ends = parts, np.cumsum([len(part) for part in parts])
        self.shape = (int(self._ends[-1]), *parts[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """The size of all decoded images in bytes."""
        return int(np.prod(self.shape))

    def __getitem__(self, indices: slice | np.ndarray) -> np.ndarray:
        """Return the images at these indices (n, side, side, 3)."""
        chosen = np.arange(len(self))[indices]
        images = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        for part, end in zip(self._parts, self._ends, strict=True):
            in_part = (chosen >= end - len(part)) & (chosen < end)
            if in_part.any():
                images[in_part] = part[chosen[in_part] - (end - len(part))]
        return images


class EncodedImages:
    """Encoded images in a `Ragged` array, indexed like an array (N, side, side, 3) uint8; indexing decodes."""

    def __init__(self, stem: Path, side: int) -> None:
        self._content = RaggedArray(stem)
        self.shape = (len(self._content), side, side, 3)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """The size of all decoded images in bytes."""
        return int(np.prod(self.shape))

    def __getitem__(self, indices: slice | np.ndarray) -> np.ndarray:
        """Return the images at these indices (n, side, side, 3), decoded by as many threads as OpenCV may use."""
        chosen = np.arange(len(self))[indices]
        images = np.empty((len(chosen), *self.shape[1:]), np.uint8)

        def fill(row: int) -> None:
            images[row] = decode(np.asarray(self._content[int(chosen[row])]), self.shape[1])

        # A worker process limits OpenCV to one thread, as there is a worker per core.
        threads = min(cv2.getNumThreads(), num_cores())
        if threads <= 1:
            for row in range(len(chosen)):
                fill(row)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(fill, range(len(chosen))))
        return images
