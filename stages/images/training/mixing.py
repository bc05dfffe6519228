"""MixUp and CutMix, applied to whole batches after normalization."""

import math

import numpy as np
import torch
from torch import Tensor

from stages.images.settings import CutMix, MixUp


def mix(
    step: MixUp | CutMix, images: Tensor, targets: Tensor, *, seed: int, epoch: int, number: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Mix each image of a batch with the one before it. Draws depend only on (seed, epoch, number of the batch).

    MixUp: Zhang et al. 2018, arXiv:1710.09412. CutMix: Yun et al. 2019, arXiv:1905.04899, one box for the whole batch.
    The partner is the neighbour, because the order of an epoch is random already.

    images: (N, C, H, W) float; targets: (N,). Returns new images, the partners' targets (N,) and the share of each image
    itself, a scalar: MixUp's weight, or the share of pixels outside CutMix's box.
    """
    # Workers draw from (seed, epoch, item); the spawn key keeps these draws apart from an image's.
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
    """Return `share` of `size` pixels about `centre`, clipped at both ends."""
    length = int(size * share)
    return slice(max(0, centre - length // 2), min(size, centre - length // 2 + length))
