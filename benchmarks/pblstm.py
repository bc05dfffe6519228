"""Training pblstm: real frames a core-second, padding not counted, against the two usual ways.

    python -m benchmarks.pblstm

Random features, an epoch a round, the network scaled down to hidden 64 and decoder 256.
LibriSpeech-like lengths: 16.6 s less a log-normal time, but at least 1.5 s: 12 s in the mean and most of them long; 24.
Uniform lengths: 100 to 2,000 frames; 96. Of these a batch of ours is 30 % padding, its halves by themselves 5 %.
Ours: batches half long and half short, of so many frames that both ways take about as many steps; bf16 where the CPU has
it, LSTMs on padded frames, our dropout, AdamW fused. The usual ways: random batches of 8, float32, plain batch norm, and
nn.LSTM on packed sequences, or on padded ones, whose backward direction then begins in the padding. Checked: the same
losses and gradients, of all of them packed, and one by one of those that pad.
All on one thread, in turn: with two, on cores that other programs use too, the small steps of an LSTM only wait.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader

from benchmarks.compare import Result, compare
from stages.compute.device import Compute, choose
from stages.config.schema import Frames
from stages.data.packed import Ragged, RaggedArray
from stages.sequences.training.batches import SequenceBatch, SequenceBatches
from stages.sequences.training.layers import LockedDropout
from stages.tasks.speech import NUM_CLASSES, training
from stages.tasks.speech.models import pblstm
from stages.tasks.speech.settings import Augment, Loss

FEATURES, BATCH = 27, 8
HIDDEN, DECODER, DROPOUT = 64, 256, 0.2


class TwoWay(nn.Module):
    """PyTorch's bidirectional nn.LSTM in the place of the project's; (N, T, F) -> (N, T, 2 hidden)."""

    def __init__(self, inputs: int, hidden: int, *, is_packed: bool) -> None:
        super().__init__()
        self.is_packed = is_packed
        self.lstm = nn.LSTM(inputs, hidden, num_layers=2, bidirectional=True, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        if not self.is_packed:
            output: Tensor = self.lstm(x)[0]
            return output
        packed = pack_padded_sequence(x, lengths.cpu().clamp(min=1), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])[0]


class UsualPyramid(nn.Module):
    """Pairs of padded frames -> two layers of bidirectional nn.LSTM, on packed sequences or not -> locked dropout."""

    def __init__(self, inputs: int, is_packed: bool) -> None:
        super().__init__()
        self.lstm = TwoWay(2 * inputs, HIDDEN, is_packed=is_packed)
        self.dropout = LockedDropout(DROPOUT)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x, lengths = x[:, : x.shape[1] // 2 * 2].reshape(len(x), x.shape[1] // 2, -1), lengths // 2
        return self.dropout(self.lstm(x, lengths)), lengths


class Usual(nn.Module):
    """pblstm as it is usually written; its batch norm counts padding in training, like most."""

    def __init__(self, is_packed: bool) -> None:
        super().__init__()
        self.conv = nn.Conv1d(FEATURES, 256, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(256)
        self.pyramid1 = UsualPyramid(256, is_packed)
        self.pyramid2 = UsualPyramid(2 * HIDDEN, is_packed)
        self.decoder = nn.Sequential(
            nn.BatchNorm1d(2 * HIDDEN),
            nn.Linear(2 * HIDDEN, DECODER),
            nn.BatchNorm1d(DECODER),
            nn.GELU(),
            nn.Linear(DECODER, DECODER),
            nn.BatchNorm1d(DECODER),
            nn.GELU(),
            nn.Dropout(DROPOUT),
            nn.Linear(DECODER, NUM_CLASSES),
        )

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = self.norm(self.conv(x.mT)).mT
        x, lengths = self.pyramid1(x, lengths)
        x, lengths = self.pyramid2(x, lengths)
        return self.decoder(x.flatten(0, 1)).unflatten(0, x.shape[:2]), lengths


def copy_weights(ours: pblstm.Model, usual: Usual) -> None:
    """Ours keeps a layer's two directions apart; everything else has the same order in both."""
    pairs: list[tuple[Any, Any]] = [(ours.conv, usual.conv), (ours.norm, usual.norm), (ours.decoder, usual.decoder)]
    for mine, plain in pairs:
        values = mine.state_dict().values()
        plain.load_state_dict(dict(zip(plain.state_dict(), values, strict=True)))
    for pyramid, other in ((ours.pyramid1, usual.pyramid1), (ours.pyramid2, usual.pyramid2)):
        layers = [(ahead, back) for ahead, back in zip(pyramid.lstm.forwards, pyramid.lstm.backwards, strict=True)]
        values = [value for layer in layers for one_way in layer for value in one_way.state_dict().values()]
        other.lstm.load_state_dict(dict(zip(other.lstm.state_dict(), values, strict=True)))


def check_same_work(ours: pblstm.Model, usual: Usual, batch: SequenceBatch) -> None:
    """In evaluation mode and float32, the same losses of each utterance and the same gradient of the first layer."""
    assert sum(weight.numel() for weight in ours.parameters()) == sum(weight.numel() for weight in usual.parameters())
    found = []
    for model in (ours.eval(), usual.eval()):
        losses = training.loss(training.forward(model, batch), batch, Loss())
        losses.mean().backward()
        found.append((losses.detach(), model.conv.weight.grad))
        model.zero_grad()
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-3, atol=1e-5)


def librispeech_like(random: np.random.Generator, num: int) -> np.ndarray:
    """Frames of each utterance, ten milliseconds each."""
    seconds = 16.6 - random.lognormal(1.1, 0.9, num).clip(0.1)
    return np.asarray(100 * np.maximum(seconds, 1.5)).astype(int)


def uniform(random: np.random.Generator, num: int) -> np.ndarray:
    return random.integers(100, 2_000, num, endpoint=True)


def write_utterances(folder: Path, lengths: np.ndarray, random: np.random.Generator) -> None:
    """Features and targets, one phoneme for 8 frames."""
    with Ragged(folder / "mfcc", (FEATURES,), np.float32) as mfcc, Ragged(folder / "transcript", (), np.uint8) as transcript:
        for length in lengths.tolist():
            mfcc.append(random.standard_normal((length, FEATURES), np.float32))
            transcript.append(random.integers(1, NUM_CLASSES, length // 8).astype(np.uint8))


def collate(items: list[tuple[Tensor, Tensor]]) -> SequenceBatch:
    inputs, targets = zip(*items, strict=True)
    lengths, target_lengths = (torch.tensor([len(item) for item in part]) for part in (inputs, targets))
    none = torch.zeros(len(items), dtype=torch.int64)
    return SequenceBatch(
        pad_sequence(list(inputs), batch_first=True),
        lengths,
        pad_sequence(list(targets), batch_first=True),
        target_lengths,
        none,
    )


def train(model: nn.Module, optimizer: torch.optim.Optimizer, compute: Compute, batches: Iterable[SequenceBatch]) -> int:
    """One epoch; returns the real frames in it."""
    model.train()
    frames = 0
    for batch in batches:
        with compute.autocast():
            output = training.forward(model, batch)
        training.loss(output, batch, Loss()).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        frames += int(batch.lengths.sum())
    return frames


def compare_training(
    folder: Path, claim: str, lengths: np.ndarray, *, budget: int, is_packed: bool, target: float
) -> Result:
    total, random = int(lengths.sum()), np.random.default_rng(0)
    write_utterances(folder, lengths, random)
    inputs, targets = RaggedArray(folder / "mfcc"), RaggedArray(folder / "transcript")
    compute = choose("cpu", "auto", deterministic=False)
    batches = SequenceBatches(
        inputs,
        targets,
        [""] * len(lengths),
        batch_size=Frames(budget),
        device=compute.device,
        seed=0,
        augment=Augment(freq_mask=None, time_mask=None),
    )
    items: Any = [
        (torch.tensor(mfcc), torch.tensor(text.astype(np.int64))) for mfcc, text in zip(inputs, targets, strict=True)
    ]
    loader: DataLoader[Any] = DataLoader(items, BATCH, shuffle=True, collate_fn=collate)

    torch.manual_seed(0)
    model, plain = pblstm.Model(FEATURES, NUM_CLASSES, hidden=HIDDEN, decoder=DECODER, dropout=DROPOUT), Usual(is_packed)
    copy_weights(model, plain)
    for batch in [next(iter(loader))] if is_packed else [collate([item]) for item in items[:3]]:
        check_same_work(model, plain, batch)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    plain_optimizer = torch.optim.AdamW(plain.parameters())

    def ours(number: int) -> int:
        count = train(model, optimizer, compute, batches.epoch(number))
        assert count == total
        return count

    def usual(number: int) -> int:
        count = train(plain, plain_optimizer, Compute(compute.device, "fp32"), loader)
        assert count == total
        return count

    against = "packed sequences in random batches" if is_packed else "padded random batches"
    return compare(f"pblstm training, {claim}, {compute.precision}", "frames", ours, usual, against, target)


def measure() -> list[Result]:
    random, results = np.random.default_rng(0), []
    for claim, lengths, budget, is_packed, target in (
        ("LibriSpeech-like lengths", librispeech_like(random, 24), 13_300, True, 6.0),
        ("uniform lengths", uniform(random, 96), 16_000, False, 1.6),
    ):
        with tempfile.TemporaryDirectory() as folder:
            results.append(compare_training(Path(folder), claim, lengths, budget=budget, is_packed=is_packed, target=target))
    return results


if __name__ == "__main__":
    torch.set_num_threads(1)
    measure()
