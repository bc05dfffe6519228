"""PNG images of 32 x 32 pixels."""

import struct
from contextlib import suppress

import cv2
import numpy as np

from stages.tasks.cifar10 import SIDE


def decode(content: bytes) -> tuple[np.ndarray, None] | tuple[None, str]:
    """Return RGB pixels (32, 32, 3) uint8, or what is wrong with the file."""
    image = None
    if content[12:24] == b"IHDR" + struct.pack(">II", SIDE, SIDE):  # check the size before decoding allocates it
        with suppress(cv2.error):
            image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None or image.shape != (SIDE, SIDE, 3):
        return None, f"is not a readable {SIDE}x{SIDE} colour PNG"
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), None
