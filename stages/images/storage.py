"""Images that stay encoded, as JPEG or PNG, until a batch needs them."""

import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from stages.core.machine import num_cores
from stages.data.packed import RaggedArray

START_OF_IMAGE, APP1, START_OF_SCAN, FILL = b"\xff\xd8", 0xFFE1, 0xFFDA, 0xFFFF
MAX_PIXELS = 2**30  # OpenCV refuses what says that it has more
SEGMENT = struct.Struct(">HH")  # its marker, and its size after that


def decode(content: np.ndarray, side: int) -> np.ndarray:
    """Encoded bytes (uint8) -> RGB (side, side, 3) uint8: the middle square, scaled to `side`.

    Raises ValueError if they are no image.
    """
    image = _decode(content)
    height, width = image.shape[:2]
    if (height, width) != (side, side):
        shorter = min(height, width)
        top, left = (height - shorter) // 2, (width - shorter) // 2
        square = image[top : top + shorter, left : left + shorter]
        how = cv2.INTER_AREA if side < shorter else cv2.INTER_CUBIC
        image = np.asarray(cv2.resize(square, (side, side), interpolation=how), np.uint8)
    return image


def _decode(content: np.ndarray) -> np.ndarray:
    """RGB (H, W, 3) uint8: OpenCV's pixels, of plain JPEGs from simplejpeg, in four fifths of the time."""
    if _is_plain(content.data):
        try:
            height, width, *_ = simplejpeg.decode_jpeg_header(content.data)
            if height * width <= MAX_PIXELS:
                room = _near(height, width)
                return simplejpeg.decode_jpeg(content.data, "RGB", fastdct=False, fastupsample=False, buffer=room)
        except (ValueError, KeyError):  # it has more objections: to CMYK, to chroma of 4:4:1
            pass
    try:
        image = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        image = None
    if image is None:
        raise ValueError("is not a readable image")
    return np.asarray(image, np.uint8)


def _near(height: int, width: int) -> np.ndarray:
    """Room for an image (height, width, 3) uint8 that is in the core's caches once it is decoded.

    Where a row begins at a multiple of 32 bytes, or 16 without AVX2, libjpeg-turbo writes to memory and leaves the caches
    out, and whoever reads the pixels next has to wait for them.
    """
    room = np.empty(height * width * 3 + 32, np.uint8)
    start = (8 - room.ctypes.data) % 32
    return room[start : start + height * width * 3].reshape(height, width, 3)


def _is_plain(content: memoryview) -> bool:
    """A JPEG without Exif, by which OpenCV turns an image upright. ITU T.81, annex B."""
    if content[:2] != START_OF_IMAGE:
        return False
    place = len(START_OF_IMAGE)
    while place + SEGMENT.size <= len(content):
        marker, size = SEGMENT.unpack_from(content, place)
        if marker == START_OF_SCAN:
            return True
        if marker in (APP1, FILL) or marker < 0xFF00:
            return False
        place += 2 + size
    return False


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

    def __getitem__(self, places: slice | np.ndarray) -> np.ndarray:
        """The images at these places (n, side, side, 3), decoded by the threads that OpenCV may use."""
        chosen = np.arange(len(self))[places]
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
