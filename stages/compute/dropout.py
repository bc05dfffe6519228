"""Dropout in a third of PyTorch's time on a CPU, which draws a whole random number for every element there.

Srivastava et al. 2014 (JMLR 15:1929). 16 random bits decide about an element, so the probability is a multiple of 1/65536.
What is kept is scaled by the probability that was used. PyTorch rounds the scale to the type of x, in bf16 by up to 0.4 %.
"""

import torch
from torch import Tensor, nn

STEPS = 2**16  # what 16 bits can tell apart, as int16 from -STEPS / 2 on


class Dropout(nn.Dropout):
    """nn.Dropout, which it is on other devices, in evaluation mode, and compiled. The masks are of torch's random state."""

    def forward(self, x: Tensor) -> Tensor:
        """x: floating point, of any shape and memory format."""
        dropped = round(self.p * STEPS)
        if not self.training or x.device.type != "cpu" or dropped in (0, STEPS) or torch.compiler.is_compiling():
            return super().forward(x)
        size = x.numel()
        draws = torch.empty(-(-size // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:size]
        keep = torch.empty_like(x)
        keep.as_strided((size,), (1,)).copy_(draws.ge_(dropped - STEPS // 2))  # by places in memory, whatever their order
        return (x * keep).mul_(STEPS / (STEPS - dropped))
