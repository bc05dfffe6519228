"""Batch normalisation over real positions only, and over all processes.

nn.SyncBatchNorm supports neither padding nor the CPU.
"""

from typing import Any

import torch
from torch import Tensor, nn

from stages.compute import distributed


class Normalize(torch.autograd.Function):
    """Normalise each channel, then apply weight and bias, with the gradient in closed form.

    Ioffe and Szegedy 2015 (arXiv:1502.03167). With autograd's gradient a step of convnext1d takes 6 % longer.

    x (N, C, L); keep (N, 1, L), 1 for a real position, else 0. Returns y, zero where `keep` is zero, and, without gradients,
    the mean (C,), the biased variance (C,) and the number of positions, over all processes.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, keep: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        count = distributed.all_reduce_sum(keep.sum()).clamp(min=1)
        normal = x.to(keep.dtype, copy=True).mul_(keep)
        mean = distributed.all_reduce_sum(normal.sum((0, 2))) / count
        normal.addcmul_(keep, mean.unsqueeze(1), value=-1)
        variance = distributed.all_reduce_sum(torch.linalg.vector_norm(normal, dim=2).square().sum(0)) / count
        scale = torch.rsqrt(variance + eps)
        normal.mul_(scale.unsqueeze(1))
        ctx.save_for_backward(normal, weight * scale, keep, count)
        ctx.mark_non_differentiable(mean, variance, count)
        y = (normal * weight.unsqueeze(1)).addcmul_(keep, bias.unsqueeze(1))
        return y.to(x.dtype), mean, variance, count

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        normal, scale, keep, count = ctx.saved_tensors
        grad_x = grad.to(keep.dtype, copy=True).mul_(keep)
        grad_bias, grad_weight = grad_x.sum((0, 2)), (grad_x * normal).sum((0, 2))
        # DistributedDataParallel reduces the gradients of weight and bias. Those through the statistics are reduced here.
        through_mean, through_variance = distributed.all_reduce_sum(torch.stack((grad_bias, grad_weight))) / count
        grad_x.addcmul_(keep, through_mean.unsqueeze(1), value=-1)
        grad_x.addcmul_(normal, through_variance.unsqueeze(1), value=-1)
        return grad_x.mul_(scale.unsqueeze(1)).to(grad.dtype), grad_weight, grad_bias, None, None


class SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation with the statistics of all processes."""

    def _normalize(self, x: Tensor, keep: Tensor) -> Tensor:
        """Normalise in training and update the running statistics. x (N, C, L); keep (N, 1, L) float32."""
        y: Tensor
        y, mean, variance, count = Normalize.apply(x, self.weight, self.bias, keep, self.eps)
        self._track(mean, variance * count / (count - 1).clamp(min=1))
        return y

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        # Without a momentum, as for `update_bn`, the mean over the batches.
        share = self.num_batches_tracked.reciprocal() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class SharedBatchNorm2d(SharedBatchNorm):
    """nn.BatchNorm2d over a batch that is divided among processes. N C H W."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return nn.functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        flat = x.flatten(2)
        return self._normalize(flat, flat.new_ones((len(x), 1, flat.shape[2]), dtype=self.weight.dtype)).view(x.shape)


def synchronize(model: nn.Module) -> None:
    """With several processes, replace each nn.BatchNorm2d by a SharedBatchNorm2d with the same tensors."""
    if distributed.size() == 1:
        return
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.BatchNorm2d:
                shared = SharedBatchNorm2d(layer.num_features, layer.eps, layer.momentum)
                for tensor in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
                    setattr(shared, tensor, getattr(layer, tensor))
                setattr(parent, name, shared)
