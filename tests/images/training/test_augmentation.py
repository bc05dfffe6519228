"""Both forms of image augmentation against naive versions, and against each other."""

from dataclasses import replace
from typing import Any

import albumentations
import cv2
import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp, kstest
from torchvision.transforms.v2 import functional as reference

from stages.images.settings import Augment, ColorJitter, Crop, Cutout, Erasing, Flip, Grayscale, MixUp, ShiftScaleRotate
from stages.images.training import augmentation

NONE = Augment()
MEAN = torch.tensor([125.0, 123.0, 114.0])
EACH = [
    replace(NONE, crop=Crop(padding=4)),
    replace(NONE, flip=Flip(p=0.5)),
    replace(NONE, cutout=Cutout(size=8, p=0.7)),
    replace(NONE, shift_scale_rotate=ShiftScaleRotate(shift=0.1, scale=0.2, rotate=20, p=0.6)),
]
ALL = Augment(Crop(4), Flip(0.5), ShiftScaleRotate(0.1, 0.1, 15, 0.5), cutout=Cutout(16, 0.5))
GRAYSCALE = replace(NONE, grayscale=Grayscale(p=0.4))
JITTER = replace(NONE, color_jitter=ColorJitter(0.3, 0.4, 0.5))
ERASING = replace(NONE, erasing=Erasing(area=0.1, p=0.7))
ALL_FACES = Augment(
    None, Flip(0.5), ShiftScaleRotate(0, 0, 12, 1), Grayscale(0.2), ColorJitter(0.2, 0.2, 0.2), erasing=Erasing(0.1, 0.5)
)
BLOCKS = {
    **dict(zip(("crop", "flip", "cutout", "shift_scale_rotate"), EACH, strict=True)),
    "all": ALL,
    "grayscale": GRAYSCALE,
    "color_jitter": JITTER,
    "erasing": ERASING,
    "erasing half": replace(NONE, erasing=Erasing(area=0.5, p=0.7)),
    "all of faces": ALL_FACES,
}


def images(num: int, side: int = 32) -> np.ndarray:
    """Smooth random images, so that interpolation is well defined."""
    small = np.random.default_rng(0).integers(0, 256, (num, 6, 6, 3), np.uint8)
    return np.stack([cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) for image in small])


def batched(block: Augment, pixels: np.ndarray, seed: int = 0, epoch: int = 0) -> np.ndarray:
    draws = augmentation.draw(block, len(pixels), pixels.shape[1], seed, epoch)
    return augmentation.apply(block, torch.from_numpy(pixels), draws, MEAN).numpy()


def in_worker(block: Augment, pixels: np.ndarray, seed: int = 0, epoch: int = 0) -> np.ndarray:
    transform = augmentation.worker_transform(block, MEAN.numpy(), pixels.shape[1])
    results = []
    for index, image in enumerate(pixels):
        augmentation.reseed(transform, seed, epoch, index)
        results.append(transform(image=image)["image"])
    return np.stack(results)


def test_a_crop_is_a_window_of_the_mirrored_image() -> None:
    pixels, block = images(50), EACH[0]
    draws = augmentation.draw(block, 50, 32, 0, 0)["crop"]
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


@pytest.mark.parametrize("side", [2, 21])
def test_the_affine_map_is_bilinear_and_mirrors_as_often_as_it_must(side: int) -> None:
    """Against pixel by pixel in floating point, on images that are not smooth, mapped from far outside as well."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, side, side, 3), np.uint8)
    random = torch.Generator().manual_seed(0)
    draws = torch.rand(12, 4, generator=random) * torch.tensor([4.0, 4.0, 1.6, 6.0]) - torch.tensor([2.0, 2.0, 0.8, 3.0])
    draws[::4] = 0  # those stay as they are
    result = augmentation.apply(EACH[3], torch.from_numpy(pixels), {"shift_scale_rotate": draws}, MEAN).numpy()
    assert (result[::4] == pixels[::4]).all()
    for image, changed, (right, down, scale, angle) in zip(pixels, result, draws.double().tolist(), strict=True):
        expected = naive_affine(image, right * side, down * side, 1 + scale, angle)
        assert np.abs(changed - expected).max() <= 0.6


def naive_affine(image: np.ndarray, right: float, down: float, scale: float, angle: float) -> np.ndarray:
    """Each pixel from the four that surround the place where it comes from; the border mirrored at its pixels' centres."""
    side = len(image)
    result = np.empty(image.shape)
    for row in range(side):
        for column in range(side):
            x, y = column - (side - 1) / 2 - right, row - (side - 1) / 2 - down
            x, y = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
            x, y = x / scale + (side - 1) / 2, y / scale + (side - 1) / 2
            left, top = int(np.floor(x)), int(np.floor(y))
            result[row, column] = sum(
                (1 - abs(x - at_x)) * (1 - abs(y - at_y)) * image[mirrored(at_y, side), mirrored(at_x, side)]
                for at_x in (left, left + 1)
                for at_y in (top, top + 1)
            )
    return result


def mirrored(index: int, side: int) -> int:
    while not 0 <= index < side:
        index = -index if index < 0 else 2 * (side - 1) - index
    return index


@pytest.mark.parametrize("form", [batched, in_worker])
def test_grayscale_puts_the_luma_into_all_three_channels_of_some_images(form: Any) -> None:
    pixels = images(300)
    luma = (pixels @ np.array([0.299, 0.587, 0.114]))[..., None]
    results = form(GRAYSCALE, pixels)
    kept = (results == pixels).all((1, 2, 3))
    assert 80 < (~kept).sum() < 160
    assert (results[~kept] == results[~kept][..., :1]).all()
    assert np.abs(results[~kept] - luma[~kept]).max() <= 1


@pytest.mark.parametrize(("factors", "side"), [((0.7, 1.4, 1.0), 32), ((1.0, 0.6, 1.5), 112), ((1.2, 1.2, 1.2), 32)])
def test_colors_are_jittered_as_torchvision_does_it_in_the_fixed_order(factors: tuple[float, ...], side: int) -> None:
    """In both forms. The reference is in float: on uint8 it truncates after each step, darker by up to three levels."""
    pixels = images(6, side)
    colors = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
    for change, factor in zip(("brightness", "contrast", "saturation"), factors, strict=True):
        colors = getattr(reference, f"adjust_{change}")(colors, factor)
    expected = colors.permute(0, 2, 3, 1).numpy() * 255
    planes = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)  # in any memory
    for kind in (torch.from_numpy(pixels), planes):
        result = augmentation.apply(JITTER, kind, {"color_jitter": torch.tensor([factors] * 6)}, MEAN)
        assert np.abs(result.numpy() - expected).max() <= 1
    exactly = albumentations.Compose(
        [
            albumentations.ColorJitter(*((factor, factor) if here == place else (1, 1) for here in range(3)), (0, 0), p=1)
            for place, factor in enumerate(factors)
        ]
    )
    in_steps = np.stack([exactly(image=image)["image"] for image in pixels])  # rounds after each
    assert np.abs(in_steps - expected).max() <= 3


@pytest.mark.parametrize("form", [batched, in_worker])
def test_jitter_draws_each_factor_evenly_and_on_its_own(form: Any) -> None:
    """Brightness alone scales a grey image; saturation alone the distance of a channel from the grey."""
    pixels = np.full((500, 8, 8, 3), 100, np.uint8)
    pixels[..., 0] = 180
    for jitter in (ColorJitter(0.3, 0, 0), ColorJitter(0, 0, 0.3)):
        values = form(replace(NONE, color_jitter=jitter), pixels)[:, 0, 0].astype(float)
        factors = values[:, 1] / 100 if jitter.brightness else (values[:, 0] - values[:, 1]) / 80
        assert kstest(factors, "uniform", (0.7, 0.6)).pvalue > 1e-4


@pytest.mark.parametrize("form", [batched, in_worker])
@pytest.mark.parametrize(("area", "side"), [(0.1, 112), (0.6, 32)])
def test_erasing_fills_one_whole_rectangle_of_the_share_and_of_random_proportions(form: Any, area: float, side: int) -> None:
    pixels = np.full((400, side, side, 3), 7, np.uint8)
    holes = (form(replace(NONE, erasing=Erasing(area, 0.7)), pixels) == MEAN.numpy()).all(3)
    assert (pixels == 7).all(), "the images given were changed"
    holes = holes[holes.any((1, 2))]
    assert 240 < len(holes) < 320
    rows, columns = holes.any(2), holes.any(1)
    assert (holes == rows[:, :, None] & columns[:, None, :]).all()
    heights, widths = rows.sum(1), columns.sum(1)
    for size, line in ((heights, rows), (widths, columns)):  # without a gap: from the first to the last there are so many
        assert (size == side - line.argmax(1) - line[:, ::-1].argmax(1)).all()
    assert (np.abs(heights * widths - area * side**2) <= 0.5 * (heights + widths) + 0.25).all()
    # Whole pixels: that many steps coarse is the distribution of the ratio, so the even one is rounded likewise.
    root = np.sqrt(np.random.default_rng(0).uniform(max(0.3, area), min(3.3, 1 / area), 4000))
    even = np.rint(side * np.sqrt(area) * root) / np.rint(side * np.sqrt(area) / root)
    assert ks_2samp(widths / heights, even).pvalue > 1e-4


def test_a_new_step_does_not_change_the_draws_of_those_before_it() -> None:
    """Metrics are committed: a declaration's numbers must stay what they are."""
    draws = augmentation.draw(ALL, 2, 32, 0, 0)
    assert draws["crop"].tolist() == [[1, 6], [3, 0]]
    assert draws["cutout"].tolist() == [[2, 1, 16, 16], [15, 10, 16, 16]]
    more = augmentation.draw(replace(ALL_FACES, mix=MixUp("mixup", 0.2, 1.0)), 2, 32, 0, 0)
    assert [*more] == ["flip", "shift_scale_rotate", "grayscale", "color_jitter", "erasing"]
    assert all((more[name] == values).all() for name, values in augmentation.draw(ALL_FACES, 2, 32, 0, 0).items())


@pytest.mark.parametrize(("block", "side"), [(ALL, 32), (ALL_FACES, 45)])
def test_an_image_is_augmented_alike_in_every_batch(block: Augment, side: int) -> None:
    pixels = torch.from_numpy(images(13, side))
    draws = augmentation.draw(block, 13, side, 0, 0)
    together = augmentation.apply(block, pixels, draws, MEAN)
    for row in range(13):
        own = {name: values[row : row + 1] for name, values in draws.items()}
        assert torch.equal(augmentation.apply(block, pixels[row : row + 1], own, MEAN), together[row : row + 1])


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_both_forms_draw_from_the_same_distribution(block: Augment) -> None:
    """Kolmogorov-Smirnov on random projections of the augmented image, which sees joint distributions too."""
    num = 1000
    pixels = np.repeat(images(1), num, 0)
    projection = np.random.default_rng(1).standard_normal((32 * 32 * 3, 24))
    first, second = ((form(block, pixels).reshape(num, -1) @ projection).T for form in (batched, in_worker))
    p_values = [ks_2samp(one, other).pvalue for one, other in zip(first, second, strict=True)]
    assert min(p_values) > 1e-4, p_values


@pytest.mark.parametrize("form", [batched, in_worker])
@pytest.mark.parametrize("block", [replace(ALL, shift_scale_rotate=ShiftScaleRotate(0.1, 0.1, 15, 1.0)), ALL_FACES])
def test_epochs_and_seeds_do_not_repeat_each_other(form: Any, block: Augment) -> None:
    pixels = np.repeat(images(1), 64, 0)
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
