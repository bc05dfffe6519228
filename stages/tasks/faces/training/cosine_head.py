"""The classification head for ArcFace."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CosineHead(nn.Module):
    """(N, D) -> (N, K): `scale` times the cosines between embeddings and class centres (Deng et al. 2019, arXiv:1801.07698).

    Float32 even under autocast: bfloat16 has steps of 0.004 near 1, a quarter of a logit at scale 64.
    """

    def __init__(self, num_features: int, num_classes: int, *, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(num_classes, num_features))
        # As in the authors' code. The length does not change the cosines, but a step turns a short centre further.
        nn.init.normal_(self.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.scale * F.linear(F.normalize(x.float()), F.normalize(self.weight.float()))
