"""Batch normalisation of padded sequences. N C T."""

from torch import Tensor, nn

from stages.compute.batch_norm import SharedBatchNorm


class MaskedBatchNorm(SharedBatchNorm):
    """nn.BatchNorm1d of the real frames only; padding becomes zero. N C T.

    The statistics are masked sums: selecting the real frames would synchronise with the GPU in every layer.
    """

    def forward(self, x: Tensor, real: Tensor) -> Tensor:  # type: ignore[override]
        """real: (N, T)."""
        keep = real.unsqueeze(1).to(self.weight.dtype)  # float32 under autocast too
        if self.training:
            return self._normalize(x, keep)
        y = nn.functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return y * keep.to(y.dtype)
