"""Layers that several sequence networks share.

The output for a sequence must not depend on the rest of its batch. So layers that look beyond one frame know the true
lengths, and padding is zero between layers. N T F for recurrent layers, N C T for convolutions.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.core.errors import InputError


def choose_features(wanted: int | None, available: int) -> int:
    """Return how many of the data's features a network uses: `wanted`, or all. Raises InputError if there are fewer."""
    if wanted is not None and wanted > available:
        raise InputError(f"model.features: {wanted} wanted, but the data have {available}; give at most {available} or null")
    return available if wanted is None else wanted


def take(x: Tensor, lengths: Tensor, features: int, multiple: int) -> Tensor:
    """Take the first `features`, set padding to zero, and pad the frames to a multiple of `multiple`.

    Later layers can then divide them evenly, and an utterance of one frame keeps one.
    """
    x = x[..., :features].masked_fill(~mask(lengths, x.shape[1]).unsqueeze(2), 0)
    return F.pad(x, (0, 0, 0, -x.shape[1] % multiple))


def mask(lengths: Tensor, num_frames: int) -> Tensor:
    """(N,) -> (N, T), true where a frame is real."""
    return torch.arange(num_frames, device=lengths.device) < lengths.unsqueeze(1)


def kaiming(model: nn.Module) -> None:
    """He initialisation (arXiv:1502.01852) of all convolutions and linear layers; biases and LSTMs keep PyTorch's."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv1d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")


class BidirectionalLSTM(nn.Module):
    """A stacked bidirectional LSTM on padded sequences, equal to nn.LSTM on packed ones.

    (N, T, F) -> (N, T, 2 hidden), zero beyond each length. A layer is two one-way LSTMs; the second reads each sequence
    backwards, from its last real frame. Both reach the padding last, so it does not change their output. Packing makes
    training 1.5 to 6.9 times slower (docs/PERFORMANCE.md).
    """

    def __init__(self, inputs: int, hidden: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)  # between layers, not after the last
        sizes = [inputs] + [2 * hidden] * (num_layers - 1)
        self.forwards = nn.ModuleList(nn.LSTM(size, hidden, batch_first=True) for size in sizes)
        self.backwards = nn.ModuleList(nn.LSTM(size, hidden, batch_first=True) for size in sizes)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        order = _reversal(lengths, x.shape[1])
        for number, (forwards, backwards) in enumerate(zip(self.forwards, self.backwards, strict=True)):
            if number > 0:
                x = self.dropout(x)
            x = torch.cat((forwards(x)[0], _reorder(backwards(_reorder(x, order))[0], order)), 2)
        return x.masked_fill(~mask(lengths, x.shape[1]).unsqueeze(2), 0)


def _reorder(x: Tensor, order: Tensor) -> Tensor:
    """Reorder the frames of x (N, T, F) by `order` (N T,)."""
    return x.flatten(0, 1).index_select(0, order).view(x.shape)


def _reversal(lengths: Tensor, num_frames: int) -> Tensor:
    """(N,) -> (N T,): the order of a batch's frames that reverses each sequence's real ones; it is its own inverse."""
    frame = torch.arange(num_frames, device=lengths.device)
    source = torch.where(mask(lengths, num_frames), lengths.unsqueeze(1) - 1 - frame, frame)
    row = torch.arange(len(lengths), device=lengths.device).unsqueeze(1)
    return (row * num_frames + source).flatten()


class LockedDropout(nn.Module):
    """Dropout with the same mask in all frames of a sequence (arXiv:1512.05287). N T F."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return x * F.dropout(torch.ones_like(x[:, :1]), self.p, self.training)
