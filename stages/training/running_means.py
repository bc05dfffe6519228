"""Mean loss and score over the items of an epoch, summed on the device."""

import torch
from torch import Tensor

from stages.compute import distributed

NEVER = 2**62  # above any step


class RunningMeans:
    """Sums of losses, scores and items, kept on the device so that no step waits for the host."""

    def __init__(self, device: torch.device, sums: Tensor | None = None) -> None:
        """sums: of the steps before an interruption."""
        dtype = torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
        self.sums = torch.zeros(3, device=device, dtype=dtype) if sums is None else sums.to(device, dtype, copy=True)
        self._bad_step = torch.tensor(NEVER, device=device)

    def add(self, losses: Tensor, scores: Tensor, step: int = 0) -> None:
        """Add the items of one step. losses, scores: (N,)."""
        self.sums += torch.stack((losses.sum(), scores.sum(), torch.ones_like(losses).sum()))
        self._bad_step = torch.where(losses.isfinite().all(), self._bad_step, self._bad_step.clamp(max=step))

    def all_reduce(self) -> None:
        """Add up the sums of all processes, which all have to call this."""
        distributed.all_reduce_sum(self.sums)
        distributed.all_reduce_min(self._bad_step)

    def read(self) -> tuple[float, float]:
        """Return the mean loss and the mean score."""
        loss, score, count = self.sums.tolist()
        return loss / count, score / count

    def first_bad_step(self) -> int | None:
        """Return the first step with a loss that is not finite."""
        step = int(self._bad_step)
        return None if step == NEVER else step
