"""Sums of pixels and what is computed from them, against NumPy over all pixels at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.images.raw.channel_statistics import Moments, sums


def naive(image: np.ndarray) -> np.ndarray:
    values = image.reshape(-1, 3).astype(np.int64)
    return np.stack([values.sum(0), (values * values).sum(0)])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_values_and_squares_of_every_channel_are_added_up(height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    found = sums(image)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, naive(image))


@pytest.mark.parametrize("view", [(2, 1, 0), (1, 0, 2)], ids=["channels first", "turned"])
def test_an_image_need_not_lie_in_one_piece(view: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 3, 3), np.uint8).transpose(view)
    np.testing.assert_array_equal(sums(image), naive(image))
    np.testing.assert_array_equal(sums(image[:2, ::-1]), naive(image[:2, ::-1]))


@pytest.mark.parametrize("colour", [(1, 2, 3), (255, 254, 0)])
def test_more_than_32_bits_can_count_is_added_up(colour: tuple[int, int, int]) -> None:
    """2**24 + 8193 pixels, not a number that a float32 knows; their squares are over 2**32."""
    image = np.broadcast_to(np.array(colour, np.uint8), (4097, 4097, 3))
    assert sums(image).tolist() == [[4097**2 * value for value in colour], [4097**2 * value**2 for value in colour]]


def test_the_moments_are_those_of_all_pixels_together() -> None:
    random, moments = np.random.default_rng(0), Moments()
    images = [random.integers(50 * k, 50 * k + 60, (3 + k, 4, 3), np.uint8) for k in range(4)]
    for image in images:
        moments.add(image.shape[0] * image.shape[1], sums(image))
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]).astype(np.float64)
    mean, std = moments.mean_and_std()
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-13)
    np.testing.assert_allclose(std, pixels.std(0), rtol=1e-13)


def test_a_channel_that_never_varies_can_still_be_divided_by() -> None:
    moments = Moments()
    moments.add(4, sums(np.full((2, 2, 3), 7, np.uint8)))
    assert moments.mean_and_std() == ([7.0] * 3, [1e-3] * 3)
