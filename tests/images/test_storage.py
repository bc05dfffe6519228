"""Decoding: OpenCV's pixels, whoever decodes."""

import io
import struct
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from stages.images import storage

WAYS: list[dict[str, Any]] = [
    *({"subsampling": subsampling, "quality": quality} for subsampling in (0, 1, 2) for quality in (10, 75, 100)),
    *({"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 1}, {"comment": b"\xff\xda"}),
]


def encode(pixels: np.ndarray, mode: str = "RGB", **options: Any) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", **options)
    return np.frombuffer(file.getvalue(), np.uint8)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def opencv(content: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR_RGB))


CONTENT = bytes(encode(noise(24, 24)))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_pixels_are_those_of_opencv(way: dict[str, Any], mode: str) -> None:
    for side in (1, 7, 8, 31, 64):
        content = encode(noise(side, side), mode, **way)
        np.testing.assert_array_equal(storage.decode(content, side), opencv(content))


@pytest.mark.parametrize("size", [(40, 61), (61, 40), (17, 32), (200, 150)])
def test_the_middle_square_is_scaled(size: tuple[int, int]) -> None:
    content = encode(noise(*size))
    image, side = opencv(content), min(size)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    np.testing.assert_array_equal(storage.decode(content, side), image[top : top + side, left : left + side])
    assert storage.decode(content, 32).shape == (32, 32, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(noise(16, 16), exif=exif)
    upright = storage.decode(content, 16)
    np.testing.assert_array_equal(upright, opencv(content))
    assert np.array_equal(upright, opencv(encode(noise(16, 16)))) == (orientation == 1)


def test_a_plain_jpeg_is_left_to_the_faster_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", None)
    for way in WAYS:
        assert storage.decode(encode(noise(16, 16), **way), 16).shape == (16, 16, 3)


def test_what_the_faster_decoder_has_no_name_for_is_left_to_opencv() -> None:
    content = bytearray(encode(np.full((32, 8, 3), (90, 140, 200), np.uint8), subsampling=0))
    content[content.index(b"\xff\xc0") + 11] = 0x14  # 4:4:1: four rows of luma for one of chroma, as no writer here can
    with pytest.raises(KeyError):
        simplejpeg.decode_jpeg_header(bytes(content))
    array = np.frombuffer(bytes(content), np.uint8)
    np.testing.assert_array_equal(storage.decode(array, 8), opencv(array)[12:20])


def test_a_header_of_more_pixels_than_there_is_memory_for_is_refused() -> None:
    content = bytearray(CONTENT)
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", 65_500, 65_500)
    with pytest.raises(ValueError, match="is not a readable image"):
        storage.decode(np.frombuffer(bytes(content), np.uint8), 24)


@pytest.mark.parametrize("shift", [0, 1])
def test_exif_is_found_behind_bytes_that_fill(shift: int) -> None:
    """Taken for a segment, such a byte hides Exif, and leads 57,600 bytes on: to what looks like the scan, in a comment."""
    exif = Image.Exif()
    exif[0x0112] = 6
    content = bytes(encode(noise(16, 16), exif=exif))
    place = content.index(b"\xff\xe1")
    end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    text = b" " * shift + b"\xff\xda" * 32_000
    comment = b"\xff\xfe" + struct.pack(">H", 2 + len(text)) + text
    array = np.frombuffer(content[:place] + b"\xff" + content[place:end] + comment + content[end:], np.uint8)
    np.testing.assert_array_equal(storage.decode(array, 16), opencv(array))


def test_a_png_is_decoded_too() -> None:
    pixels = noise(9, 9)
    np.testing.assert_array_equal(storage.decode(cv2.imencode(".png", pixels[..., ::-1])[1].reshape(-1), 9), pixels)


DAMAGE = st.tuples(st.integers(0, len(CONTENT) - 1) | st.integers(0, 180), st.integers(0, 255))  # mostly of the headers


@given(st.lists(DAMAGE, max_size=4), st.just(0) | st.integers(0, len(CONTENT)))
@settings(deadline=None, max_examples=300)
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


def test_what_the_faster_decoder_objects_to_is_left_to_opencv() -> None:
    content = CONTENT[:-40] + b"\xff\xd3" + CONTENT[-40:]
    with pytest.raises(ValueError, match="premature end of data segment"):
        simplejpeg.decode_jpeg(content)
    array = np.frombuffer(content, np.uint8)
    np.testing.assert_array_equal(storage.decode(array, 24), opencv(array))
