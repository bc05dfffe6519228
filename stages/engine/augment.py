"""Image augmentation in both of its forms, declared once in params.yaml.

  batched:        `draw` makes the random numbers of a whole epoch in one go, `apply` changes a batch on its device.
                  Item i's numbers depend on (seed, epoch, i) alone: not on the batch size, the order, or the device.
  albumentations: `worker_transform` is the same declaration for one image at a time, in worker processes, and
                  `reseed` makes its draws, too, depend on (seed, epoch, i) alone, so that the number of workers does
                  not matter and no two workers or epochs repeat each other.

Images are square: (N, H, W, C) uint8 in the batched form and (H, W, C) uint8 in the other. Both forms draw from the same
distribution (tests/engine/test_augment.py). MixUp and CutMix, too, are declared there, but are no steps for one image:
`mix` changes whole batches after normalisation, wherever the images were augmented.
"""

import dataclasses
import math
import os
import random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stages.engine.schema import ColorJitter, Crop, CutMix, Cutout, Erasing, Flip, Grayscale, MixUp, ShiftScaleRotate

Draws = dict[str, Tensor]


def steps(augment: Any) -> dict[str, Any]:
    """The augmentations of single images that are switched on, by name, in the order in which they are applied."""
    values = {field.name: getattr(augment, field.name) for field in dataclasses.fields(augment)}
    return {name: value for name, value in values.items() if not isinstance(value, MixUp | CutMix | None)}


def draw(augment: Any, num: int, side: int, seed: int, epoch: int) -> Draws:
    """Random numbers for `num` images of `side` pixels: per augmentation a tensor (num, …), on the CPU."""
    draws = {}
    for place, (name, step) in enumerate(steps(augment).items()):
        mixed = np.random.SeedSequence((seed, epoch, place)).generate_state(1, np.uint64)[0]
        draws[name] = _draw(step, num, side, torch.Generator().manual_seed(int(mixed >> np.uint64(1))))
    return draws


def apply(augment: Any, images: Tensor, draws: Draws, mean: Tensor) -> Tensor:
    """A new batch (N, H, W, C) uint8. draws: the rows that belong to these images. mean: (C,) in 0 to 255."""
    for name, step in steps(augment).items():
        images = _apply(step, images, draws[name], mean)
    return images


def _draw(step: Any, num: int, side: int, generator: torch.Generator) -> Tensor:
    def uniform(columns: int) -> Tensor:
        return torch.rand(num, columns, generator=generator)

    match step:
        case Crop():
            return torch.randint(2 * step.padding + 1, (num, 2), generator=generator)
        case Flip():
            return uniform(1) < step.p
        case Cutout():
            corner = torch.randint(side - step.size + 1, (num, 2), generator=generator)
            return torch.where(uniform(1) < step.p, corner, side)  # a corner outside leaves the image as it is
        case ShiftScaleRotate():
            shift, scale, angle = uniform(2) * 2 - 1, uniform(1) * 2 - 1, uniform(1) * 2 - 1
            shift = (shift * step.shift * side).trunc() / side  # whole pixels, as albumentations shifts
            values = torch.cat((shift, scale * step.scale, torch.deg2rad(angle * step.rotate)), 1)
            return torch.where(uniform(1) < step.p, values, 0.0)
        case Grayscale():
            return uniform(1) < step.p
        case ColorJitter():
            return 1 + (uniform(3) * 2 - 1) * torch.tensor([step.brightness, step.contrast, step.saturation])
        case Erasing():
            low, high = map(math.log, _ratios(step.area))
            root = torch.exp(low + (high - low) * uniform(1)).sqrt()
            size = (side * math.sqrt(step.area) * torch.cat((1 / root, root), 1)).round().clamp(min=1)
            corner = (uniform(2) * (side - size + 1)).floor()
            box = torch.cat((corner, size), 1).long()
            return torch.where(uniform(1) < step.p, box, 0)  # a box of no size leaves the image as it is
        case _:
            raise AssertionError(step)


def _apply(step: Any, images: Tensor, draws: Tensor, mean: Tensor) -> Tensor:
    num, height, width, _ = images.shape
    match step:
        case Crop():
            rows = _reflect(_arange(height, images) + draws[:, :1] - step.padding, height)
            columns = _reflect(_arange(width, images) + draws[:, 1:] - step.padding, width)
            return images[_arange(num, images)[:, None, None], rows[:, :, None], columns[:, None, :]]
        case Flip():
            return torch.where(draws[:, :, None, None], images.flip(2), images)
        case Cutout():
            return _fill(images, draws, torch.full_like(draws, step.size), mean)
        case ShiftScaleRotate():
            return _affine(images, draws)
        case Grayscale():
            grey = _luma(images).round().to(images.dtype)
            return torch.where(draws[:, :, None, None], grey[..., None], images)
        case ColorJitter():
            return _jitter(images, draws)
        case Erasing():
            return _fill(images, draws[:, :2], draws[:, 2:], mean)
        case _:
            raise AssertionError(step)


def _arange(size: int, like: Tensor) -> Tensor:
    return torch.arange(size, device=like.device)


def _reflect(index: Tensor, size: int) -> Tensor:
    """Indices outside 0 … size - 1 mirrored at the border pixel, which is not repeated."""
    index = index.abs()
    return (size - 1) - (size - 1 - index).abs()


def _fill(images: Tensor, corner: Tensor, size: Tensor, mean: Tensor) -> Tensor:
    """Each image with a rectangle of the mean colour. corner: (N, 2) top and left; size: (N, 2) height and width."""
    rows = _arange(images.shape[1], images) - corner[:, :1]
    columns = _arange(images.shape[2], images) - corner[:, 1:]
    in_rows, in_columns = (rows >= 0) & (rows < size[:, :1]), (columns >= 0) & (columns < size[:, 1:])
    inside = in_rows[:, :, None] & in_columns[:, None, :]
    return torch.where(inside[..., None], mean.round().to(images.dtype), images)


def _ratios(area: float) -> tuple[float, float]:
    """Width / height of an erased rectangle, least and most: 0.3 to 3.3 as far as the rectangle fits into the square."""
    return max(0.3, area), min(3.3, 1 / area)


def _luma(pixels: Tensor) -> Tensor:
    """(…, 3) RGB -> (…) float: the grey value of ITU-R BT.601."""
    red, green, blue = pixels.unbind(-1)
    return (0.299 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def _jitter(images: Tensor, factors: Tensor) -> Tensor:
    """factors (N, 3): of brightness, of contrast about the image's mean grey, of saturation about each pixel's grey.

    In place, because new memory costs a CPU more here than the arithmetic; a last dimension of 3 is never broadcast over,
    because that is slower by a multiple.
    """
    brightness, contrast, saturation = factors.T.reshape(3, -1, 1, 1, 1)
    pixels = (images * brightness).clamp_(0, 255)
    grey = _luma(pixels.mean((1, 2)))[:, None, None, None]
    pixels.mul_(contrast).add_((1 - contrast) * grey).clamp_(0, 255)
    grey = _luma(pixels) * (1 - saturation[..., 0])
    pixels.mul_(saturation)
    for channel in pixels.unbind(-1):
        channel.add_(grey)
    return pixels.round_().clamp_(0, 255).to(images.dtype)


def _affine(images: Tensor, draws: Tensor) -> Tensor:
    """Scale and rotate about the centre, then shift.

    draws (N, 4): shift right and down in shares of the side, scale - 1, counter-clockwise angle in radians.
    """
    shift_x, shift_y, scale, angle = draws.unbind(1)
    scale = 1 + scale
    cos, sin = angle.cos() / scale, -angle.sin() / scale
    # grid_sample wants the inverse map, from output to input, in coordinates of -1 to 1: a shift of one side is 2.
    x, y = -2 * shift_x, -2 * shift_y
    theta = torch.stack((cos, sin, cos * x + sin * y, -sin, cos, -sin * x + cos * y), 1).view(-1, 2, 3)
    # The border is mirrored at the edge pixel's centre, as in OpenCV's BORDER_REFLECT_101; grid_sample does that only
    # with align_corners, so the map is stretched to its coordinates.
    side = images.shape[1]
    theta = theta * (side / (side - 1))
    pixels = images.permute(0, 3, 1, 2).float()
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    warped = F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=True)
    return warped.round_().clamp_(0, 255).to(images.dtype).permute(0, 2, 3, 1).contiguous()


def worker_transform(augment: Any, mean: np.ndarray, side: int) -> Any:
    """The same augmentations as an albumentations.Compose; only workers import that library."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # or the import asks a registry for updates
    import albumentations as A
    import cv2

    from stages.engine.augment_worker import EraseRectangle, JitterColors

    cv2.setNumThreads(0)
    fill = tuple(mean.round().tolist())
    transforms: list[Any] = []
    for step in steps(augment).values():
        match step:
            case Crop(padding):
                transforms += [A.Pad(padding, border_mode=cv2.BORDER_REFLECT_101), A.RandomCrop(side, side)]
            case Flip(p):
                transforms.append(A.HorizontalFlip(p=p))
            case Cutout(size, p):
                hole = {"hole_height_range": (size, size), "hole_width_range": (size, size)}
                transforms.append(A.CoarseDropout(num_holes_range=(1, 1), **hole, fill=fill, p=p))
            case ShiftScaleRotate(shift, scale, rotate, p):
                transforms.append(
                    A.Affine(
                        scale=(1 - scale, 1 + scale),
                        translate_percent=(-shift, shift),
                        rotate=(-rotate, rotate),
                        keep_ratio=True,
                        border_mode=cv2.BORDER_REFLECT_101,
                        p=p,
                    )
                )
            case Grayscale(p):
                transforms.append(A.ToGray(p=p))
            case ColorJitter(brightness, contrast, saturation):
                transforms.append(JitterColors(brightness, contrast, saturation))
            case Erasing(area, p):
                transforms.append(EraseRectangle(area, _ratios(area), mean.round().astype(np.uint8), p))
            case _:
                raise AssertionError(step)
    return A.Compose(transforms, strict=True)


def reseed(transform: Any, seed: int, epoch: int, index: int) -> None:
    """Let the next draws of `transform` depend on (seed, epoch, index) alone.

    One stream is shared by all steps: with set_random_seed each step would start the same stream anew, and a crop to the
    left would always come with a flip.
    """
    sequence = np.random.SeedSequence((seed, epoch, index))
    transform.set_random_state(np.random.default_rng(sequence), random.Random(int(sequence.generate_state(1)[0])))


def mix(
    step: MixUp | CutMix, images: Tensor, targets: Tensor, *, seed: int, epoch: int, number: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Each image of a batch mixed with the one before it; draws depend on (seed, epoch, number of the batch) alone.

    MixUp: Zhang et al. 2018, arXiv:1710.09412. CutMix: Yun et al. 2019, arXiv:1905.04899, one box for the whole batch.
    The partner is a neighbour rather than a draw, because the order of a training epoch is random already, and nothing
    then travels to the device.

    images: (N, C, H, W) float; targets: (N,). Returns new images, the partners' targets (N,), and as a scalar the share
    that is left of each image itself: MixUp's weight, or of CutMix the pixels outside the box.
    """
    # Workers draw from (seed, epoch, item): without a key of its own, a batch would repeat the numbers of one image.
    rng = np.random.default_rng(np.random.SeedSequence((seed, epoch, number), spawn_key=(0,)))
    partners, share = targets.roll(1, 0), 1.0
    if rng.random() < step.p:
        share = rng.beta(step.alpha, step.alpha)
        if isinstance(step, MixUp):
            images = torch.lerp(images.roll(1, 0), images, share)
        else:
            height, width = images.shape[2:]
            rows, columns = (_span(size, math.sqrt(1 - share), int(rng.integers(size))) for size in (height, width))
            images = images.clone()
            images[:, :, rows, columns] = images[:, :, rows, columns].roll(1, 0)
            share = 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    return images, partners, torch.full((), share, device=images.device)


def _span(size: int, share: float, centre: int) -> slice:
    """`share` of `size` pixels about `centre`, clipped at both ends."""
    length = int(size * share)
    return slice(max(0, centre - length // 2), min(size, centre - length // 2 + length))
