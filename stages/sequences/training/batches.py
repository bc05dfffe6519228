"""Batches of sequences of different lengths. The order is a function of (seed, epoch).

Half of a training batch is long sequences of similar lengths, half is short ones, because networks learn less from batches
of equal lengths (docs/PERFORMANCE.md). Each epoch sorts by lengths with a random change of a few percent, so that batches
vary, and shuffles the batches. Evaluation goes from the longest sequence to the shortest.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from stages.compute import distributed
from stages.config.schema import Frames
from stages.data.packed import RaggedArray
from stages.sequences.storage import Joined

JITTER = 0.1  # lengths within 10 % of each other can swap


class SequenceBatch(NamedTuple):
    """A batch of N sequences on the device, zero-padded to the longest.

    inputs (N, T, F) float32; lengths (N,); targets (N, S) int64; target_lengths (N,); indices (N,): rows of the split,
    on the CPU.
    """

    inputs: Tensor
    lengths: Tensor
    targets: Tensor
    target_lengths: Tensor
    indices: Tensor


class SequenceBatches:
    """inputs: ragged (T, F) float32; targets: ragged (S,) class indices, or None; names: N strings for messages.

    batch_size: a number of sequences, or of frames including padding. augment: a block with freq_mask and time_mask for
    training; None for evaluation. num_used: the first features of a frame that the network takes; None: all.
    """

    def __init__(
        self,
        inputs: RaggedArray | Joined,
        targets: RaggedArray | Joined | None,
        names: Sequence[str],
        *,
        batch_size: int | Frames,
        device: torch.device,
        seed: int,
        augment: Any = None,
        num_used: int | None = None,
    ) -> None:
        self.num_used = num_used
        self.num_items, self.names, self.device, self.seed, self.augment = len(inputs), names, device, seed, augment
        self._inputs, self._targets = inputs, targets
        self.lengths = np.diff(inputs.offsets)
        if isinstance(batch_size, Frames):
            self.sizes = self._sizes_within(batch_size.frames)
        elif augment is not None:
            self.sizes = np.diff(distributed.batch_ends(self.num_items, batch_size), prepend=0)
        else:
            self.sizes = np.diff(np.append(np.arange(0, self.num_items, batch_size), self.num_items))
        if augment is not None:
            distributed.require(int(self.sizes.min()))

    def __len__(self) -> int:
        return len(self.sizes)

    def batches(self, epoch: int) -> list[np.ndarray]:
        """Return the indices of each batch of this epoch, over all processes."""
        if self.augment is None:
            return self._sorted_batches(self.lengths)
        random = np.random.default_rng((self.seed, epoch))
        batches = self._sorted_batches(self.lengths * (1 + JITTER * (random.random(self.num_items) - 0.5)))
        return [batches[number] for number in random.permutation(len(batches))]

    def num_long(self, size: Any) -> Any:
        """Return the number of long sequences in a batch of `size`, an int or an array: all of them in evaluation."""
        return size if self.augment is None else size - size // 2

    def _sorted_batches(self, lengths: np.ndarray) -> list[np.ndarray]:
        """Return the indices of batches of `self.sizes`, each sorted from long to short."""
        order, num_long = np.argsort(-lengths, kind="stable"), self.num_long(self.sizes)
        halves = zip(_split(order, num_long), _split(order[::-1], self.sizes - num_long), strict=True)
        return [np.concatenate((long, short[::-1])) for long, short in halves]

    def _sizes_within(self, frames: int) -> np.ndarray:
        """Return the sizes of batches within a budget of frames: (number of batches,)."""
        lengths, sizes, first, left = np.sort(self.lengths)[::-1], [], 0, self.num_items
        if self.augment is not None:  # the longest that the random change can put first
            lengths = lengths * (1 + JITTER / 2) / (1 - JITTER / 2)
        while left:  # a batch is padded to the longest sequence left
            size = min(max(int(frames / lengths[first]), 1), left)
            sizes.append(size)
            first += self.num_long(size)
            left -= size
        return np.array(sizes)

    def item_names(self, epoch: int, number: int) -> list[str]:
        """Return the names in batch `number` of an epoch."""
        return [self.names[index] for index in self.batches(epoch)[number].tolist()]

    def epoch(self, epoch: int, first: int = 0) -> Iterator[SequenceBatch]:
        """Yield the batches of an epoch from number `first` on."""
        draws = np.random.default_rng((self.seed, epoch, 1)).random((self.num_items, 4), np.float32)
        for batch in self.batches(epoch)[first:]:
            indices = distributed.shard(batch)
            if not len(indices):
                continue
            inputs, lengths = _pad([self._inputs[index] for index in indices])
            if self.augment is not None:
                used = inputs[:, :, : self.num_used]  # a view; a mask beyond it would have no effect
                mask_frames_and_coefficients(used, lengths, draws[indices], self.augment.freq_mask, self.augment.time_mask)
            none = [np.zeros(0, np.int64)] * len(indices)
            targets, target_lengths = _pad(none if self._targets is None else [self._targets[index] for index in indices])
            yield SequenceBatch(
                self._to_device(inputs),
                self._to_device(lengths),
                self._to_device(targets.astype(np.int64)),
                self._to_device(target_lengths),
                torch.from_numpy(indices),
            )

    def _to_device(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)


def mask_frames_and_coefficients(
    inputs: np.ndarray, lengths: np.ndarray, draws: np.ndarray, freq_mask: int | None, time_mask: int | None
) -> None:
    """Set a band of coefficients and a range of frames of each sequence to zero: SpecAugment (arXiv:1904.08779).

    inputs (N, T, F), changed in place; draws (N, 4) in [0, 1): width and position of each mask. Widths are 0 to freq_mask or
    time_mask, inclusive, as in the paper; torchaudio's never reach the parameter.
    """
    for row, length, (freq, freq_at, time, time_at) in zip(inputs, lengths.tolist(), draws.tolist(), strict=True):
        if freq_mask is not None:
            width = int(freq * (min(freq_mask, row.shape[1]) + 1))
            begin = int(freq_at * (row.shape[1] - width + 1))
            row[:, begin : begin + width] = 0
        if time_mask is not None:
            width = int(time * (min(time_mask, length) + 1))
            begin = int(time_at * (length - width + 1))
            row[begin : begin + width] = 0


def _pad(items: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the items zero-padded, (N, longest, …), and their lengths (N,)."""
    lengths = np.array([len(item) for item in items])
    padded = np.zeros((len(items), lengths.max(), *items[0].shape[1:]), items[0].dtype)
    for row, item in zip(padded, items, strict=True):
        row[: len(item)] = item
    return padded, lengths


def _split(indices: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
    """Split indices into consecutive parts of these sizes; the rest is dropped."""
    return np.split(indices, np.cumsum(sizes))[:-1]
