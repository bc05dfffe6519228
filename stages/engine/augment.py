"""Image augmentation in both of its forms, declared once in params.yaml.

  batched:        `draw` makes the random numbers of a whole epoch in one go, `apply` changes a batch on its device.
                  Item i's numbers depend on (seed, epoch, i) alone: not on the batch size, the order, or the device.
  albumentations: `worker_transform` is the same declaration for one image at a time, in worker processes, and
                  `reseed` makes its draws, too, depend on (seed, epoch, i) alone, so that the number of workers does
                  not matter and no two workers or epochs repeat each other.

Images are (N, H, W, C) uint8 in the batched form and (H, W, C) uint8 in the other. Both forms draw from the same
distribution (tests/engine/test_augment.py), on two cores the first at many times the speed.
"""

import dataclasses
import os
import random
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stages.engine.schema import Crop, Cutout, Flip, ShiftScaleRotate

Draws = dict[str, Tensor]


def steps(augment: Any) -> dict[str, Any]:
    """The augmentations that are switched on, by name, in the order in which they are applied."""
    values = {field.name: getattr(augment, field.name) for field in dataclasses.fields(augment)}
    return {name: value for name, value in values.items() if value is not None}


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
            rows, columns = _arange(height, images) - draws[:, :1], _arange(width, images) - draws[:, 1:]
            inside = ((rows >= 0) & (rows < step.size))[:, :, None] & ((columns >= 0) & (columns < step.size))[:, None, :]
            return torch.where(inside[..., None], mean.round().to(images.dtype), images)
        case ShiftScaleRotate():
            return _affine(images, draws)
        case _:
            raise AssertionError(step)


def _arange(size: int, like: Tensor) -> Tensor:
    return torch.arange(size, device=like.device)


def _reflect(index: Tensor, size: int) -> Tensor:
    """Indices outside 0 … size - 1 mirrored at the border pixel, which is not repeated."""
    index = index.abs()
    return (size - 1) - (size - 1 - index).abs()


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
    pixels = images.permute(0, 3, 1, 2).float()
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    # The border is mirrored at the edge pixel's centre, as in OpenCV's BORDER_REFLECT_101; grid_sample does that only
    # with align_corners, so the grid is stretched to its coordinates.
    size = torch.tensor([pixels.shape[3], pixels.shape[2]], device=images.device)
    warped = F.grid_sample(pixels, grid * size / (size - 1), padding_mode="reflection", align_corners=True)
    return warped.round().clamp(0, 255).to(images.dtype).permute(0, 2, 3, 1)


def worker_transform(augment: Any, mean: np.ndarray, side: int) -> Any:
    """The same augmentations as an albumentations.Compose; only workers import that library."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # or the import asks a registry for updates
    import albumentations as A
    import cv2

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
