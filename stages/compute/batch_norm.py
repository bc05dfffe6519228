"""Batch normalisation over real positions only, and over the batches of all processes.

nn.SyncBatchNorm knows no padding and no CPU.
"""

import torch
from torch import Tensor, nn

from stages.compute import distributed


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167) with statistics of all processes together."""

    def _normalize(self, x: Tensor, keep: Tensor) -> Tensor:
        """While training. x (N, C, L); keep (N, 1, L) float32, 1 where a position counts, else 0. Zero where `keep` is."""
        count = distributed.all_reduce_sum(keep.sum()).clamp(min=1)
        kept = x.to(keep.dtype) * keep
        mean = distributed.differentiable_sum(kept.sum((0, 2))) / count
        centred = (kept - mean[:, None]) * keep
        variance = distributed.differentiable_sum(centred.square().sum((0, 2))) / count
        self._track(mean, variance * count / (count - 1).clamp(min=1))
        y = centred * (self.weight * torch.rsqrt(variance + self.eps))[:, None] + self.bias[:, None] * keep
        return y.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked.add_(1)


class SharedBatchNorm2d(SharedBatchNorm):
    """nn.BatchNorm2d of a batch whose images are divided among processes. N C H W."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return nn.functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        flat = x.flatten(2)
        return self._normalize(flat, flat.new_ones((len(x), 1, flat.shape[2]), dtype=self.weight.dtype)).view(x.shape)


def synchronize(model: nn.Module) -> None:
    """With several processes, put a SharedBatchNorm2d in the place of each nn.BatchNorm2d, over its own tensors."""
    if distributed.size() == 1:
        return
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.BatchNorm2d:
                shared = SharedBatchNorm2d(layer.num_features, layer.eps, layer.momentum)
                for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                    setattr(shared, part, getattr(layer, part))
                setattr(parent, name, shared)
