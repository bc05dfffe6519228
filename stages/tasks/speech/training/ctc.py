"""CTC with a gradient that adds up in a fixed order on a GPU, where PyTorch's own does not.

PyTorch's forward pass has an order, and gives alpha: the log-probability of each frame's prefix that ends in each symbol.
Of frames and transcript reversed it gives beta, that of the suffixes. Both together are the gradient (Graves et al. 2006,
equations 14 and 15), which a matrix product with the transcript adds up by classes. N utterances, T frames, S phonemes, K
classes.
"""

from typing import Any

import torch
from torch import Tensor

from stages.tasks.speech import BLANK


class OrderedCTC(torch.autograd.Function):
    """As F.ctc_loss with reduction="none" and zero_infinity=True.

    log_probs (T, N, K); targets (N, S) int64; lengths, target_lengths (N,) int64, all on one device. Returns losses (N,).
    """

    @staticmethod
    def forward(ctx: Any, log_probs: Tensor, targets: Tensor, lengths: Tensor, target_lengths: Tensor) -> Tensor:
        sizes = torch.stack((lengths, target_lengths)).tolist()  # the one time that the host waits; PyTorch's would be four
        losses, alpha = torch._ctc_loss(log_probs, targets, *sizes, BLANK)  # (N,), (N, T, 2 S + 1)

        frames, is_frame = _reversal(lengths, len(log_probs))
        phonemes, _ = _reversal(target_lengths, targets.shape[1])
        backwards = log_probs.gather(0, frames.T.unsqueeze(2).expand_as(log_probs))
        _, beta = torch._ctc_loss(backwards, targets.gather(1, phonemes), *sizes, BLANK)
        places, is_place = _reversal(2 * target_lengths + 1, alpha.shape[2])
        beta = beta.gather(1, frames.unsqueeze(2).expand_as(beta)).gather(2, places.unsqueeze(1).expand_as(beta))

        symbols = torch.full_like(places, BLANK)  # (N, 2 S + 1): the transcript with a blank before, after and between
        symbols[:, 1::2] = targets
        emitted = log_probs.transpose(0, 1).gather(2, symbols.unsqueeze(1).expand_as(alpha))  # counted in alpha and in beta
        shares = (alpha + beta - emitted + losses[:, None, None]).exp()
        is_possible = is_frame.unsqueeze(2) & is_place.unsqueeze(1) & losses.isfinite()[:, None, None]
        one_hot = (symbols.unsqueeze(2) == torch.arange(log_probs.shape[2], device=symbols.device)).to(shares.dtype)
        ctx.save_for_backward(-(torch.where(is_possible, shares, 0) @ one_hot).transpose(0, 1))  # (T, N, K)
        return torch.where(losses.isfinite(), losses, 0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (of_log_probs,) = ctx.saved_tensors
        return of_log_probs * grad.unsqueeze(1), None, None, None


def _reversal(lengths: Tensor, num: int) -> tuple[Tensor, Tensor]:
    """(N,) -> (N, num), (N, num): an order of each row that reverses its first `lengths`, and which those are."""
    place = torch.arange(num, device=lengths.device)
    is_first = place < lengths.unsqueeze(1)
    return torch.where(is_first, lengths.unsqueeze(1) - 1 - place, place), is_first
