"""Augmentation of single images, in two implementations of the same block of params.yaml.

  batched:        `draw` draws the random numbers of a whole epoch, `apply` augments a batch on its device.
  albumentations: `worker_transform` augments single images in worker processes; `reseed` fixes its draws.

In both, an item's draws depend only on (seed, epoch, item), not on the batch, the order or the process, and come from the
same distribution (tests/images/training/test_augmentation.py). A new augmentation is a class in the settings, a case in each
`match` below, and a function. Images are square. N images, C channels, H and W pixels.

Differences from torchvision's transforms, with which `resnet50` was published: erased rectangles get the data's mean, not
black; rotation interpolates and mirrors the border, where RandomRotation takes the nearest pixel and leaves black corners;
brightness, contrast and saturation change in this order, where ColorJitter draws an order for each image.
"""

import dataclasses
import os
import random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stages.core.errors import InputError
from stages.images.settings import ColorJitter, Crop, CutMix, Cutout, Erasing, Flip, Grayscale, MixUp, ShiftScaleRotate

Draws = dict[str, Tensor]


def steps(augment: Any) -> dict[str, Any]:
    """Return the enabled augmentations of single images, by name, in order."""
    values = {field.name: getattr(augment, field.name) for field in dataclasses.fields(augment)}
    return {name: value for name, value in values.items() if not isinstance(value, MixUp | CutMix | None)}


def check_sizes(augment: Any, side: int) -> None:
    """Raise InputError if an augmentation is too large for images of `side` pixels."""
    for name, step in steps(augment).items():
        if isinstance(step, Cutout) and step.size > side:
            raise InputError(f"augment.{name}.size: {step.size} is more than the {side} pixels of the images; give less")
        if isinstance(step, Crop) and step.padding >= side:
            raise InputError(f"augment.{name}.padding: {step.padding} must be below the {side} pixels of the images")


def draw(augment: Any, num: int, side: int, seed: int, epoch: int) -> Draws:
    """Draw random numbers for `num` images of `side` pixels: a tensor (num, …) on the CPU per augmentation."""
    draws = {}
    for index, (name, step) in enumerate(steps(augment).items()):
        state = np.random.SeedSequence((seed, epoch, index)).generate_state(1, np.uint64)[0]
        draws[name] = _draw(step, num, side, torch.Generator().manual_seed(int(state >> np.uint64(1))))
    return draws


def apply(augment: Any, images: Tensor, draws: Draws, mean: Tensor) -> Tensor:
    """Return an augmented batch (N, H, W, C) uint8. draws: the rows of these images. mean: (C,) in 0 to 255."""
    pixels = images.permute(0, 3, 1, 2).float()
    for name, step in steps(augment).items():
        pixels = _apply(step, pixels, draws[name], mean.round())
    return pixels.round().to(torch.uint8).permute(0, 2, 3, 1)


def _draw(step: Any, num: int, side: int, generator: torch.Generator) -> Tensor:
    def uniform(columns: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(num, columns, generator=generator)

    match step:
        case Crop():
            return torch.randint(2 * step.padding + 1, (num, 2), generator=generator)
        case Flip() | Grayscale():
            return uniform(1) < step.p
        case Cutout():
            corner = torch.randint(side - step.size + 1, (num, 2), generator=generator)
            box = torch.cat((corner, torch.full_like(corner, step.size)), 1)
            return torch.where(uniform(1) < step.p, box, 0)  # an empty box changes nothing
        case ShiftScaleRotate():
            shift, scale, angle = uniform(2, -1, 1), uniform(1, -1, 1), uniform(1, -1, 1)
            shift = (shift * step.shift * side).trunc() / side  # whole pixels, as albumentations shifts
            values = torch.cat((shift, scale * step.scale, torch.deg2rad(angle * step.rotate)), 1)
            return torch.where(uniform(1) < step.p, values, 0.0)
        case ColorJitter():
            return 1 + uniform(3, -1, 1) * torch.tensor([step.brightness, step.contrast, step.saturation])
        case Erasing():
            root = uniform(1, *_ratios(step.area)).sqrt()
            size = (side * step.area**0.5 * torch.cat((1 / root, root), 1)).round()
            corner = (uniform(2) * (side - size + 1)).floor()
            return torch.where(uniform(1) < step.p, torch.cat((corner, size), 1).long(), 0)
        case _:
            raise AssertionError(step)


def _apply(step: Any, images: Tensor, draws: Tensor, fill: Tensor) -> Tensor:
    match step:
        case Crop():
            return crop(images, draws, step.padding)
        case Flip():
            return torch.where(draws[:, :, None, None], images.flip(3), images)
        case Cutout() | Erasing():
            return fill_box(images, draws, fill)
        case ShiftScaleRotate():
            return affine(images, draws)
        case Grayscale():
            return torch.where(draws[:, :, None, None], luma(images), images)
        case ColorJitter():
            return jitter_colors(images, draws)
        case _:
            raise AssertionError(step)


def crop(images: Tensor, corner: Tensor, padding: int) -> Tensor:
    """Crop windows (N, C, H, W) from mirror-padded images. corner: (N, 2) top and left, 0 to twice the padding."""
    side = torch.arange(images.shape[2], device=images.device)
    rows, columns = (corner[:, :, None] + side).unbind(1)  # (N, H), (N, W)
    padded = F.pad(images, (padding,) * 4, mode="reflect")
    return padded.take_along_dim(rows[:, None, :, None], 2).take_along_dim(columns[:, None, None, :], 3)


def fill_box(images: Tensor, box: Tensor, fill: Tensor) -> Tensor:
    """Fill a rectangle of each image with one color (C,). box: (N, 4) top, left, height, width."""
    corner, size = box[:, :, None].split(2, 1)  # (N, 2, 1)
    offset = torch.arange(images.shape[2], device=images.device) - corner
    rows, columns = ((offset >= 0) & (offset < size)).unbind(1)  # (N, H), (N, W)
    return torch.where((rows[:, :, None] & columns[:, None, :])[:, None], fill[:, None, None], images)


def affine(images: Tensor, draws: Tensor) -> Tensor:
    """Scale and rotate about the center, then shift; bilinear, mirrored at the centers of the border's pixels.

    draws: (N, 4) shift right and down as fractions of the side, scale - 1, counterclockwise angle in radians.
    """
    side = images.shape[2]
    (right, down), scale, angle = (draws[:, :2] * 2 * side / (side - 1)).split(1, 1), 1 + draws[:, 2:3], draws[:, 3:]
    cos, sin = (angle.cos() / scale)[:, :, None], (angle.sin() / scale)[:, :, None]
    # Source coordinates, -1 to 1. Not F.affine_grid, whose matrix product may use TF32 and depend on the batch.
    line = torch.linspace(-1, 1, side, device=images.device)
    x, y = (line - right)[:, None, :], (line - down)[:, :, None]
    grid = torch.stack((cos * x - sin * y, sin * x + cos * y), 3)  # (N, H, W, 2)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=True)


def luma(images: Tensor) -> Tensor:
    """Return the luma (N, 1, H, W) of ITU-R BT.601."""
    red, green, blue = images.split(1, 1)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def jitter_colors(images: Tensor, factors: Tensor) -> Tensor:
    """factors: (N, 3) brightness, contrast about the image's mean gray, saturation about each pixel's gray."""
    brightness, contrast, saturation = factors[:, :, None, None, None].unbind(1)
    images = (images * brightness).clamp(0, 255)
    images = torch.lerp(luma(images).mean((2, 3), keepdim=True), images, contrast).clamp(0, 255)
    return torch.lerp(luma(images), images, saturation).clamp(0, 255)


def _ratios(area: float) -> tuple[float, float]:
    """Return the smallest and largest width / height of an erased rectangle: 0.3 to 3.3 if that fits into the image."""
    slack = 1e-9  # albumentations erases nothing if rounding makes the rectangle larger than the image
    return max(0.3, area * (1 + slack)), min(3.3, (1 - slack) / area)


def worker_transform(augment: Any, mean: np.ndarray, side: int) -> Any:
    """Return the same augmentations as an albumentations.Compose; only workers import that library."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # or the import asks a registry for updates
    import albumentations as A
    import cv2

    cv2.setNumThreads(0)
    fill, mirror = tuple(mean.round().tolist()), cv2.BORDER_REFLECT_101
    transforms: list[Any] = []
    for step in steps(augment).values():
        match step:
            case Crop(padding):
                transforms += [A.Pad(padding, border_mode=mirror), A.RandomCrop(side, side)]
            case Flip(p):
                transforms.append(A.HorizontalFlip(p=p))
            case Cutout(size, p):
                transforms.append(A.CoarseDropout((1, 1), (size, size), (size, size), fill=fill, p=p))
            case ShiftScaleRotate(shift, scale, rotate, p):
                limits = {"scale": (1 - scale, 1 + scale), "rotate": (-rotate, rotate), "keep_ratio": True}
                transforms.append(A.Affine(**limits, translate_percent=(-shift, shift), border_mode=mirror, p=p))
            case Grayscale(p):
                transforms.append(A.ToGray(p=p))
            case ColorJitter(brightness, contrast, saturation):
                # Three transforms, because a single one shuffles the order of its operations.
                for values in ((brightness, 0, 0), (0, contrast, 0), (0, 0, saturation)):
                    transforms.append(A.ColorJitter(*values, hue=0, p=1))
            case Erasing(area, p):
                transforms.append(A.Erasing((area, area), _ratios(area), fill=fill, p=p))
            case _:
                raise AssertionError(step)
    return A.Compose(transforms, strict=True)


def reseed(transform: Any, seed: int, epoch: int, index: int) -> None:
    """Make the next draws of `transform` depend only on (seed, epoch, index).

    All steps share one stream. After set_random_seed each step would have the same stream: crop and flip would correlate.
    """
    sequence = np.random.SeedSequence((seed, epoch, index))
    transform.set_random_state(np.random.default_rng(sequence), random.Random(int(sequence.generate_state(1)[0])))
