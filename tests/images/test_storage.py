"""Decoding: OpenCV's pixels, the middle square, and damage."""

import io
import struct
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from stages.images import storage


def encode(pixels: np.ndarray, mode: str = "RGB", **options: Any) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", **options)
    return np.frombuffer(file.getvalue(), np.uint8)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def opencv(content: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR_RGB))


CONTENT = bytes(encode(noise(24, 24)))


@pytest.mark.parametrize(
    ("options", "mode"), [({}, "L"), ({"progressive": True}, "RGB"), ({"subsampling": 2, "quality": 10}, "CMYK")], ids=str
)
def test_the_pixels_are_those_of_opencv(options: dict[str, Any], mode: str) -> None:
    for side in (1, 7, 31):
        content = encode(noise(side, side), mode, **options)
        np.testing.assert_array_equal(storage.decode(content, side), opencv(content))


@pytest.mark.parametrize("size", [(17, 32), (200, 150)])
def test_the_middle_square_is_scaled(size: tuple[int, int]) -> None:
    content = encode(noise(*size))
    image, side = opencv(content), min(size)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    np.testing.assert_array_equal(storage.decode(content, side), image[top : top + side, left : left + side])
    assert storage.decode(content, 32).shape == (32, 32, 3)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_an_image_is_turned_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(noise(16, 16), exif=exif)
    upright = storage.decode(content, 16)
    np.testing.assert_array_equal(upright, opencv(content))
    assert np.array_equal(upright, opencv(encode(noise(16, 16)))) == (orientation == 1)


def test_a_header_of_more_pixels_than_there_is_memory_for_is_refused() -> None:
    content = bytearray(CONTENT)
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", 65_500, 65_500)
    with pytest.raises(ValueError, match="is not a readable image"):
        storage.decode(np.frombuffer(bytes(content), np.uint8), 24)


def test_a_png_is_decoded_too() -> None:
    pixels = noise(9, 9)
    np.testing.assert_array_equal(storage.decode(cv2.imencode(".png", pixels[..., ::-1])[1].reshape(-1), 9), pixels)


DAMAGE = st.tuples(st.integers(0, len(CONTENT) - 1) | st.integers(0, 180), st.integers(0, 255))  # mostly of the headers


@given(st.lists(DAMAGE, max_size=4), st.just(0) | st.integers(0, len(CONTENT)))
@settings(deadline=None, max_examples=100)
def test_a_damaged_image_is_what_opencv_takes_it_for_or_is_refused(changes: list[tuple[int, int]], cut: int) -> None:
    changed = bytearray(CONTENT)
    for place, value in changes:
        changed[place] = value
    content = np.frombuffer(bytes(changed[: len(CONTENT) - cut]), np.uint8)
    try:
        expected = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB) if len(content) else None
    except cv2.error:
        expected = None
    if expected is None:
        with pytest.raises(ValueError, match="is not a readable image"):
            storage.decode(content, 24)
    else:
        height, width = expected.shape[:2]
        assume(height * width < 10**6)
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        np.testing.assert_array_equal(storage.decode(content, side), expected[top : top + side, left : left + side])


def test_joined_images_are_those_of_their_parts_in_order() -> None:
    whole = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 3), np.uint8)
    joined = storage.JoinedImages([whole[:5], whole[5:6], whole[6:]])
    assert (len(joined), joined.shape, joined.nbytes) == (9, whole.shape, whole.nbytes)
    for indices in (slice(3, 8), slice(None), np.array([8, 0, 5, 5]), np.array([], np.int64)):
        np.testing.assert_array_equal(joined[indices], whole[indices])
