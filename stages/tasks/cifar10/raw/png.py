"""One image of 32 x 32 pixels as a PNG."""

import struct

import cv2
import numpy as np

from stages.tasks.cifar10 import SIDE


def decode(content: bytes) -> tuple[np.ndarray, None] | tuple[None, str]:
    """RGB pixels (32, 32, 3) uint8, or what is wrong with the file."""
    image = None
    if content[12:24] == b"IHDR" + struct.pack(">II", SIDE, SIDE):  # the size, before anything of that size is made
        try:
            image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            image = None
    if image is None or image.shape != (SIDE, SIDE, 3):
        return None, f"is not a readable {SIDE}x{SIDE} colour PNG"
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), None
