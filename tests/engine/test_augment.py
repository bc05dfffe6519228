"""Both forms of image augmentation against naive versions, and against each other."""

from dataclasses import replace
from typing import Any

import albumentations
import cv2
import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp

from stages.engine import augment
from stages.engine.schema import Crop, Cutout, Flip, ShiftScaleRotate
from stages.tasks.cifar10 import Augment

NONE = Augment(crop=None, flip=None, shift_scale_rotate=None, cutout=None)
MEAN = torch.tensor([125.0, 123.0, 114.0])
EACH = [
    replace(NONE, crop=Crop(padding=4)),
    replace(NONE, flip=Flip(p=0.5)),
    replace(NONE, cutout=Cutout(size=8, p=0.7)),
    replace(NONE, shift_scale_rotate=ShiftScaleRotate(shift=0.1, scale=0.2, rotate=20, p=0.6)),
]
ALL = Augment(Crop(4), Flip(0.5), ShiftScaleRotate(0.1, 0.1, 15, 0.5), Cutout(16, 0.5))


def images(num: int, side: int = 32) -> np.ndarray:
    """Smooth random images, so that interpolation is well defined."""
    small = np.random.default_rng(0).integers(0, 256, (num, 6, 6, 3), np.uint8)
    return np.stack([cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) for image in small])


def batched(block: Augment, pixels: np.ndarray, seed: int = 0, epoch: int = 0) -> np.ndarray:
    draws = augment.draw(block, len(pixels), pixels.shape[1], seed, epoch)
    return augment.apply(block, torch.from_numpy(pixels), draws, MEAN).numpy()


def in_worker(block: Augment, pixels: np.ndarray, seed: int = 0, epoch: int = 0) -> np.ndarray:
    transform = augment.worker_transform(block, MEAN.numpy(), pixels.shape[1])
    results = []
    for index, image in enumerate(pixels):
        augment.reseed(transform, seed, epoch, index)
        results.append(transform(image=image)["image"])
    return np.stack(results)


def test_a_crop_is_a_window_of_the_mirrored_image() -> None:
    pixels, block = images(50), EACH[0]
    draws = augment.draw(block, 50, 32, 0, 0)["crop"]
    for image, (top, left), result in zip(pixels, draws.tolist(), batched(block, pixels), strict=True):
        padded = np.pad(image, ((4, 4), (4, 4), (0, 0)), mode="reflect")
        assert (result == padded[top : top + 32, left : left + 32]).all()


def test_a_flip_mirrors_about_half_of_the_images() -> None:
    pixels = images(400)
    results = batched(EACH[1], pixels)
    flipped = np.array([(result == image[:, ::-1]).all() for result, image in zip(results, pixels, strict=True)])
    kept = np.array([(result == image).all() for result, image in zip(results, pixels, strict=True)])
    assert (flipped ^ kept).all()
    assert 150 < flipped.sum() < 250


def test_a_cutout_is_one_whole_square_of_the_mean() -> None:
    pixels = np.full((300, 32, 32, 3), 7, np.uint8)
    holes = (batched(EACH[2], pixels) == MEAN.numpy()).all(3)
    sizes = {int(hole.sum()) for hole in holes}
    assert sizes == {0, 64}
    for hole in holes[holes.any((1, 2))]:
        rows, columns = np.where(hole)
        assert np.ptp(rows) == np.ptp(columns) == 7


@pytest.mark.parametrize(("shift", "scale", "angle"), [(4, 1.0, 0), (0, 1.25, 0), (0, 1.0, 17), (-3, 0.85, -12)])
def test_the_affine_map_is_that_of_albumentations(shift: int, scale: float, angle: float) -> None:
    """The same numbers give the same image, up to rounding."""
    pixels = images(8)
    reference = albumentations.Affine(
        scale=(scale, scale),
        translate_px=shift,
        rotate=(angle, angle),
        border_mode=cv2.BORDER_REFLECT_101,
        p=1,
    )
    expected = np.stack([reference(image=image)["image"] for image in pixels]).astype(int)
    draws = torch.tensor([[shift / 32, shift / 32, scale - 1, np.deg2rad(angle)]], dtype=torch.float32).expand(8, 4)
    result = augment._affine(torch.from_numpy(pixels), draws).numpy().astype(int)
    assert np.abs(result - expected).max() <= 1


@pytest.mark.parametrize("block", [*EACH, ALL], ids=["crop", "flip", "cutout", "shift_scale_rotate", "all"])
def test_both_forms_draw_from_the_same_distribution(block: Augment) -> None:
    """Kolmogorov-Smirnov on random projections of the augmented image, which sees joint distributions too."""
    num = 1500
    pixels = np.repeat(images(1), num, 0)
    projection = np.random.default_rng(1).standard_normal((32 * 32 * 3, 24))
    first, second = ((form(block, pixels).reshape(num, -1) @ projection).T for form in (batched, in_worker))
    p_values = [ks_2samp(one, other).pvalue for one, other in zip(first, second, strict=True)]
    assert min(p_values) > 1e-4, p_values


def test_the_comparison_of_distributions_can_tell_a_difference() -> None:
    num = 1500
    pixels = np.repeat(images(1), num, 0)
    projection = np.random.default_rng(1).standard_normal((32 * 32 * 3, 24))
    first = (batched(replace(NONE, crop=Crop(4)), pixels).reshape(num, -1) @ projection).T
    second = (in_worker(replace(NONE, crop=Crop(3)), pixels).reshape(num, -1) @ projection).T
    assert min(ks_2samp(one, other).pvalue for one, other in zip(first, second, strict=True)) < 1e-4


@pytest.mark.parametrize("form", [batched, in_worker])
def test_epochs_and_seeds_do_not_repeat_each_other(form: Any) -> None:
    pixels, block = np.repeat(images(1), 64, 0), replace(ALL, shift_scale_rotate=ShiftScaleRotate(0.1, 0.1, 15, 1.0))
    results = [form(block, pixels, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert len(np.unique(np.concatenate(results).reshape(192, -1), axis=0)) == 192
    assert (form(block, pixels, 0, 0) == results[0]).all()


def test_steps_of_one_image_are_drawn_independently() -> None:
    """albumentations' set_random_seed would start every step with the same numbers: left crops always flipped."""
    block = replace(NONE, crop=Crop(4), flip=Flip(0.5))
    ramp = np.repeat(np.arange(32, dtype=np.uint8)[None, None, :, None] * 4, 400, 0).repeat(32, 1).repeat(3, 3)
    results = in_worker(block, ramp)[:, 0, :, 0].astype(int)
    flipped = results[:, 8] > results[:, 24]
    offset = np.where(flipped, results[:, 16], results[:, 15]) // 4
    low, high = flipped[offset < 15], flipped[offset > 16]
    assert min(len(low), len(high)) > 100
    assert abs(low.mean() - high.mean()) < 0.2
