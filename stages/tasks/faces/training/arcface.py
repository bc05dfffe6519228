"""ArcFace (Deng et al. 2019, arXiv:1801.07698): an embedding must lie nearer its class's centre by an angle. K classes."""

import math

import torch
from torch import Tensor


def arcface_logits(cosines: Tensor, targets: Tensor, margin: float, scale: float) -> Tensor:
    """`scale` times the cosines (N, K), but cos(angle + margin) for each true class; float32, for cross-entropy.

    cosines: of any precision, between embeddings and class centres. targets: (N,). margin: radians, up to pi / 2.
    Beyond pi - margin, where cos(angle + margin) would rise again, cos(angle) - margin * sin(margin) goes on falling.
    """
    cosines, index = cosines.float(), targets.unsqueeze(1)
    true = cosines.gather(1, index)
    # Where the cosine is 1 or -1 the sine's derivative is infinite; the clamp keeps it below 1000, and fp16 can hold that.
    sine = (1 - true.square()).clamp(min=1e-6).sqrt()
    with_margin = math.cos(margin) * true - math.sin(margin) * sine
    beyond = true - margin * math.sin(margin)
    return scale * cosines.scatter(1, index, torch.where(true > -math.cos(margin), with_margin, beyond))
