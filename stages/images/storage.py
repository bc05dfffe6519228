"""Images that stay encoded, as JPEG or PNG, until a batch needs them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from stages.core.machine import num_cores
from stages.data.packed import RaggedArray


def decode(content: np.ndarray, side: int) -> np.ndarray:
    """Encoded bytes (uint8) -> RGB (side, side, 3) uint8: the middle square, scaled to `side`.

    Upright, where Exif says how it was held. Raises ValueError if the bytes are no image.
    """
    try:
        image = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB)
    except cv2.error:  # it refuses to decode an empty file, or more than 2**30 pixels
        image = None
    if image is None:
        raise ValueError("is not a readable image")
    height, width = image.shape[:2]
    if (height, width) != (side, side):
        shorter = min(height, width)
        top, left = (height - shorter) // 2, (width - shorter) // 2
        square = image[top : top + shorter, left : left + shorter]
        how = cv2.INTER_AREA if side < shorter else cv2.INTER_CUBIC
        image = cv2.resize(square, (side, side), interpolation=how)
    return np.asarray(image, np.uint8)


class JoinedImages:
    """Images of several splits as if they were one array (N, side, side, 3) uint8."""

    def __init__(self, parts: Sequence["np.ndarray | EncodedImages"]) -> None:
        self._parts, self._ends = parts, np.cumsum([len(part) for part in parts])
        self.shape = (int(self._ends[-1]), *parts[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Of all images, decoded."""
        return int(np.prod(self.shape))

    def __getitem__(self, indices: slice | np.ndarray) -> np.ndarray:
        """The images at these indices (n, side, side, 3)."""
        chosen = np.arange(len(self))[indices]
        images = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        for part, end in zip(self._parts, self._ends, strict=True):
            here = (chosen >= end - len(part)) & (chosen < end)
            if here.any():
                images[here] = part[chosen[here] - (end - len(part))]
        return images


class EncodedImages:
    """What `Ragged` wrote of encoded images, as if it were an array (N, side, side, 3) uint8; a slice of it is decoded."""

    def __init__(self, stem: Path, side: int) -> None:
        self._content = RaggedArray(stem)
        self.shape = (len(self._content), side, side, 3)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Of all images, decoded."""
        return int(np.prod(self.shape))

    def __getitem__(self, indices: slice | np.ndarray) -> np.ndarray:
        """The images at these indices (n, side, side, 3), decoded by the threads that OpenCV may use."""
        chosen = np.arange(len(self))[indices]
        images = np.empty((len(chosen), *self.shape[1:]), np.uint8)

        def fill(row: int) -> None:
            images[row] = decode(np.asarray(self._content[int(chosen[row])]), self.shape[1])

        # A worker process sets OpenCV to one thread: there are as many workers as cores already.
        threads = min(cv2.getNumThreads(), num_cores())
        if threads <= 1:
            for row in range(len(chosen)):
                fill(row)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(fill, range(len(chosen))))
        return images
