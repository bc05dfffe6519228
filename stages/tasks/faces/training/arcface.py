"""ArcFace (Deng et al. 2019, arXiv:1801.07698): an additive angular margin. N images, K classes."""

import math

import torch
from torch import Tensor


def arcface_logits(cosines: Tensor, targets: Tensor, margin: float, scale: float) -> Tensor:
    """Return `scale` times the cosines (N, K), with cos(angle + margin) for the true class: logits in float32.

    cosines: between embeddings and class centres. targets: (N,). margin: radians, up to pi / 2. Beyond pi - margin, where
    cos(angle + margin) would rise again, cos(angle) - margin * sin(margin) replaces it.
    """
    cosines, index = cosines.float(), targets.unsqueeze(1)
    true = cosines.gather(1, index)
    # The sine's derivative is infinite at cosines of 1 and -1; the clamp keeps it below 1000, which fits into fp16.
    sine = (1 - true.square()).clamp(min=1e-6).sqrt()
    with_margin = math.cos(margin) * true - math.sin(margin) * sine
    beyond = true - margin * math.sin(margin)
    return scale * cosines.scatter(1, index, torch.where(true > -math.cos(margin), with_margin, beyond))
