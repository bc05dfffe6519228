"""Image augmentation in both of its forms, declared once in params.yaml.

  batched:        `draw` makes the random numbers of a whole epoch in one go, `apply` changes a batch on its device.
                  Item i's numbers depend on (seed, epoch, i) alone: not on the batch size, the order, or the device.
  albumentations: `worker_transform` is the same declaration for one image at a time, in worker processes, and
                  `reseed` makes its draws, too, depend on (seed, epoch, i) alone, so that the number of workers does
                  not matter and no two workers or epochs repeat each other.

Images are square: (N, H, W, C) uint8 in the batched form and (H, W, C) uint8 in the other. Both forms draw from the same
distribution (tests/images/training/test_augmentation.py). MixUp and CutMix, too, are declared there, but are no steps for
one image: `mix` changes whole batches after normalisation, wherever the images were augmented.
"""

import dataclasses
import math
import os
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stages.config.schema import ColorJitter, Crop, CutMix, Cutout, Erasing, Flip, Grayscale, MixUp, ShiftScaleRotate

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
    """A new batch (N, H, W, C) uint8. draws: the rows that belong to these images. mean: (C,) in 0 to 255.

    In between, a pixel is one int32, red in its low byte: (N, H, W). A CPU moves and masks those several times as fast as
    three bytes each, and int32 rather than bool throughout, whose operations PyTorch does not vectorise.
    """
    pixels, fill = _pack(images), _pack(mean.round())
    for name, step in steps(augment).items():
        pixels = _apply(step, pixels, draws[name], fill)
    return torch.stack(_unpack(pixels), -1).to(torch.uint8)


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


def _apply(step: Any, pixels: Tensor, draws: Tensor, fill: Tensor) -> Tensor:
    _, height, width = pixels.shape
    rows, columns = _arange(height, pixels).expand(len(pixels), -1), _arange(width, pixels).expand(len(pixels), -1)
    match step:
        case Crop():
            top, left = (draws.int() - step.padding).split(1, 1)
            return _pick(pixels, _mirror(rows + top, height), _mirror(columns + left, width))
        case Flip():
            return _pick(pixels, rows, torch.where(draws, columns.flip(1), columns))
        case Cutout():
            return _fill(pixels, draws, torch.full_like(draws, step.size), fill)
        case ShiftScaleRotate() if pixels.device.type == "cpu":
            # Only those that it changes; a GPU would have to wait to be told their number.
            chosen = draws.any(1).nonzero().squeeze(1)
            changed = _affine(pixels.index_select(0, chosen), draws.index_select(0, chosen))
            return pixels.index_copy(0, chosen, changed)
        case ShiftScaleRotate():
            return _affine(pixels, draws)
        case Grayscale():
            grey = _luma(_unpack(pixels)).round_().int()
            return _choose(-draws.int().unsqueeze(2), grey * 0x010101, pixels)
        case ColorJitter():
            return _jitter(pixels, draws)
        case Erasing():
            return _fill(pixels, draws[:, :2], draws[:, 2:], fill)
        case _:
            raise AssertionError(step)


def _pack(colours: Tensor) -> Tensor:
    """(…, 3) whole numbers of 0 to 255 -> (…) int32."""
    red, green, blue = colours.unbind(-1)
    return red.int().add_(green.int(), alpha=1 << 8).add_(blue.int(), alpha=1 << 16)


def _unpack(pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Red, green and blue, each of the shape of `pixels`, int32."""
    return pixels & 255, (pixels >> 8) & 255, pixels >> 16


def _arange(size: int, like: Tensor) -> Tensor:
    return torch.arange(size, device=like.device, dtype=torch.int32)


def _mirror(index: Tensor, size: int) -> Tensor:
    """Indices outside 0 … size - 1 mirrored at the border pixel, which is not repeated."""
    index = index.abs()
    return (size - 1) - (size - 1 - index).abs()


def _first(pixels: Tensor) -> Tensor:
    """Where each image begins among all pixels of the batch: (N, 1, 1)."""
    return _arange(len(pixels), pixels)[:, None, None] * pixels[0].numel()


def _pick(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Images (N, h, w) made of these rows (N, h) and columns (N, w) of each."""
    places = (_first(pixels) + rows.unsqueeze(2) * pixels.shape[2]) + columns.unsqueeze(1)
    # index_select takes a sixth of the time of an advanced index.
    return pixels.flatten().index_select(0, places.flatten()).view_as(places)


def _choose(mask: Tensor, ours: Tensor, others: Tensor) -> Tensor:
    """`ours` where all bits of the mask are set, `others` where none is: in a sixth of torch.where's time."""
    return others ^ ((ours ^ others) & mask)


def _fill(pixels: Tensor, corner: Tensor, size: Tensor, fill: Tensor) -> Tensor:
    """Each image with a rectangle of one colour. corner: (N, 2) top and left; size: (N, 2) height and width."""
    rows = _arange(pixels.shape[1], pixels) - corner[:, :1]
    columns = _arange(pixels.shape[2], pixels) - corner[:, 1:]
    in_rows, in_columns = (rows >= 0) & (rows < size[:, :1]), (columns >= 0) & (columns < size[:, 1:])
    return _choose(-in_rows.int().unsqueeze(2) & -in_columns.int().unsqueeze(1), fill, pixels)


def _ratios(area: float) -> tuple[float, float]:
    """Width / height of an erased rectangle, least and most: 0.3 to 3.3 as far as the rectangle fits into the square."""
    return max(0.3, area), min(3.3, 1 / area)


def _luma(colours: Sequence[Tensor]) -> Tensor:
    """The grey value of ITU-R BT.601, float."""
    red, green, blue = colours
    return (0.299 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def _jitter(pixels: Tensor, factors: Tensor) -> Tensor:
    """factors (N, 3): of brightness, of contrast about the image's mean grey, of saturation about each pixel's grey."""
    brightness, contrast, saturation = factors.T.reshape(3, -1, 1, 1)
    colours = [(colour * brightness).clamp_(0, 255) for colour in _unpack(pixels)]
    grey = _luma(colours).mean((1, 2), keepdim=True) * (1 - contrast)
    for colour in colours:
        colour.mul_(contrast).add_(grey).clamp_(0, 255)
    grey = _luma(colours) * (1 - saturation)
    for colour in colours:
        colour.mul_(saturation).add_(grey).round_().clamp_(0, 255)
    return _pack(torch.stack(colours, -1))


def _affine(pixels: Tensor, draws: Tensor) -> Tensor:
    """Scale and rotate about the centre, then shift; the border is mirrored at the edge pixel, OpenCV's BORDER_REFLECT_101.

    draws (N, 4): shift right and down in shares of the side, scale - 1, counter-clockwise angle in radians.
    Bilinear in fixed point, 128 steps from a pixel to the next (OpenCV takes 32): a third of grid_sample's time.
    """
    side = pixels.shape[1]
    shift_x, shift_y, scale, angle = draws.unsqueeze(2).unbind(1)
    cos, sin, centre = angle.cos() / (1 + scale), angle.sin() / (1 + scale), (side - 1) / 2
    # Where each pixel of the result comes from: the inverse map.
    line = _arange(side, pixels) - centre
    right, down = line - side * shift_x, line - side * shift_y
    x = _mirror_steps((cos * right + centre).unsqueeze(1) - (sin * down).unsqueeze(2), side)
    y = _mirror_steps((sin * right + centre).unsqueeze(1) + (cos * down).unsqueeze(2), side)
    places = (y >> 7).mul_(side).add_(x >> 7).add_(_first(pixels)).flatten()
    x, y = x.bitwise_and_(127), y.bitwise_and_(127)
    both = (x * y).add_(64).bitwise_right_shift_(7)
    x, y = x.sub_(both), y.sub_(both)
    # Beyond an edge pixel lies whatever comes next in memory, with the weight 0. Weights add up to 128 and a product has
    # 15 bits, so that red and blue share a word, and green has its own.
    flat = F.pad(pixels.flatten(), (0, side + 1))
    red_blue, green = torch.full_like(pixels, 0x400040), torch.full_like(pixels, 0x4000)
    corner, part = torch.empty_like(places), torch.empty_like(pixels)
    for offset, weight in ((0, 128 - x - y - both), (1, x), (side, y), (side + 1, both)):
        torch.index_select(flat[offset:], 0, places, out=corner)
        red_blue.addcmul_(torch.bitwise_and(corner.view_as(part), 0xFF00FF, out=part), weight)
        green.addcmul_(torch.bitwise_and(corner.view_as(part), 0xFF00, out=part), weight)
    return red_blue.bitwise_right_shift_(7).bitwise_and_(0xFF00FF) | green.bitwise_right_shift_(7).bitwise_and_(0xFF00)


def _mirror_steps(position: Tensor, side: int) -> Tensor:
    """Like _mirror, of positions between pixels, however far outside: in whole steps of 1/128, int32. Changes `position`."""
    period = 2 * (side - 1)
    position /= period
    return position.sub_(position.round()).abs_().mul_(128 * period).round_().int()


def worker_transform(augment: Any, mean: np.ndarray, side: int) -> Any:
    """The same augmentations as an albumentations.Compose; only workers import that library."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # or the import asks a registry for updates
    import albumentations as A
    import cv2

    from stages.images.training.albumentations_steps import EraseRectangle, JitterColors

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
