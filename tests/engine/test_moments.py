"""Histograms and what is computed from them, against NumPy over all pixels at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.engine.moments import Moments, histogram


def naive(image: np.ndarray) -> np.ndarray:
    return np.array([[np.sum(image[..., channel] == level) for level in range(256)] for channel in range(3)])


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_histogram_counts_every_value_of_every_channel(height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    counts = histogram(image)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, naive(image))


@pytest.mark.parametrize("view", [(2, 1, 0), (1, 0, 2)], ids=["channels first", "turned"])
def test_an_image_need_not_lie_in_one_piece(view: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 3, 3), np.uint8).transpose(view)
    np.testing.assert_array_equal(histogram(image), naive(image))
    np.testing.assert_array_equal(histogram(image[:2, ::-1]), naive(image[:2, ::-1]))


def test_more_pixels_than_a_float_can_count_are_counted() -> None:
    image = np.broadcast_to(np.array([1, 2, 3], np.uint8), (4097, 4097, 3))  # 2**24 + 8193 pixels: not a float32
    counts = histogram(image)
    assert [counts[channel, channel + 1] for channel in range(3)] == [4097**2] * 3
    assert counts.sum() == 3 * 4097**2


def test_the_moments_are_those_of_all_pixels_together() -> None:
    random, moments = np.random.default_rng(0), Moments()
    images = [random.integers(50 * k, 50 * k + 60, (3 + k, 4, 3), np.uint8) for k in range(4)]
    for image in images:
        moments.add(histogram(image))
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]).astype(np.float64)
    mean, std = moments.mean_and_std()
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-13)
    np.testing.assert_allclose(std, pixels.std(0), rtol=1e-13)


def test_a_channel_that_never_varies_can_still_be_divided_by() -> None:
    moments = Moments()
    moments.add(histogram(np.full((2, 2, 3), 7, np.uint8)))
    assert moments.mean_and_std() == ([7.0] * 3, [1e-3] * 3)
