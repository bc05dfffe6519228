"""Speech, side by side with the usual way: training pblstm in real frames, decoding in utterances a core-second.

    python -m benchmarks.speech

Training: 24 utterances of random features an epoch, an epoch a round, padding not counted. Each lasts 16.6 s less a
log-normal time, but at least 1.5 s: like LibriSpeech's, 12 s in the mean and most of them long. The network is scaled down
to hidden 64 and decoder 256. Ours: bucketed batches of at most 10,000 frames, bf16 where the CPU has it, LSTMs on padded
frames. The usual way: random batches of 8, float32, nn.LSTM on packed sequences and plain batch norm.
Decoding: made-up emissions of 500 frames, their highest probability 0.95 in the mean; beam search on 50 of the 2,620.
All on one thread, in turn: with two, on cores that other programs use too, the small steps of an LSTM only wait.
"""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader

from benchmarks.compare import compare
from stages.engine.compute import Compute, choose
from stages.engine.packed import Ragged, RaggedArray
from stages.engine.schema import Frames
from stages.engine.sequences import SequenceBatch, SequenceBatches
from stages.tasks.speech import BLANK, CHARACTERS, NUM_CLASSES, Augment, Loss, task
from stages.tasks.speech.models import LockedDropout, pblstm
from stages.tasks.speech.task import decode

UTTERANCES, FEATURES, BATCH, BUDGET = 24, 27, 8, 10_000
HIDDEN, DECODER, DROPOUT = 64, 256, 0.2
EMISSIONS, BEAM_EMISSIONS, FRAMES, BEAM, CUT = 2_620, 50, 500, 10, 0.001


class UsualPyramid(nn.Module):
    """Pairs of padded frames -> two layers of bidirectional nn.LSTM on packed sequences -> locked dropout."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2 * inputs, HIDDEN, num_layers=2, bidirectional=True, batch_first=True)
        self.dropout = LockedDropout(DROPOUT)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x, lengths = x[:, : x.shape[1] // 2 * 2].reshape(len(x), x.shape[1] // 2, -1), lengths // 2
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return self.dropout(pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0]), lengths


class Usual(nn.Module):
    """pblstm as it is usually written; its batch norm counts padding in training, like most."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(FEATURES, 256, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(256)
        self.pyramid1 = UsualPyramid(256)
        self.pyramid2 = UsualPyramid(2 * HIDDEN)
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
        layers = [(ahead, back) for ahead, back in zip(pyramid.lstm.ahead, pyramid.lstm.back, strict=True)]
        values = [value for layer in layers for one_way in layer for value in one_way.state_dict().values()]
        other.lstm.load_state_dict(dict(zip(other.lstm.state_dict(), values, strict=True)))


def check_same_work(ours: pblstm.Model, usual: Usual, batch: SequenceBatch) -> None:
    """In evaluation mode and float32, the same losses of each utterance and the same gradient of the first layer."""
    assert sum(weight.numel() for weight in ours.parameters()) == sum(weight.numel() for weight in usual.parameters())
    found = []
    for model in (ours.eval(), usual.eval()):
        losses = task.loss(task.forward(model, batch), batch, Loss())
        losses.mean().backward()
        found.append((losses.detach(), model.conv.weight.grad))
        model.zero_grad()
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-3, atol=1e-5)


def write_utterances(folder: Path) -> int:
    """Features and targets, one phoneme for 8 frames; returns the number of frames."""
    random = np.random.default_rng(0)
    lengths = (100 * np.maximum(16.6 - random.lognormal(1.1, 0.9, UTTERANCES).clip(0.1), 1.5)).astype(int)
    with Ragged(folder / "mfcc", (FEATURES,), np.float32) as mfcc, Ragged(folder / "transcript", (), np.uint8) as transcript:
        for length in lengths.tolist():
            mfcc.append(random.standard_normal((length, FEATURES), np.float32))
            transcript.append(random.integers(1, NUM_CLASSES, length // 8).astype(np.uint8))
    return int(lengths.sum())


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
            output = task.forward(model, batch)
        task.loss(output, batch, Loss()).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        frames += int(batch.lengths.sum())
    return frames


def compare_training(folder: Path) -> None:
    total = write_utterances(folder)
    inputs, targets = RaggedArray(folder / "mfcc"), RaggedArray(folder / "transcript")
    compute = choose("cpu", "auto", deterministic=False)
    batches = SequenceBatches(
        inputs,
        targets,
        [""] * UTTERANCES,
        batch_size=Frames(BUDGET),
        device=compute.device,
        seed=0,
        augment=Augment(freq_mask=None, time_mask=None),
    )
    items: Any = [
        (torch.tensor(mfcc), torch.tensor(text.astype(np.int64))) for mfcc, text in zip(inputs, targets, strict=True)
    ]
    loader: DataLoader[Any] = DataLoader(items, BATCH, shuffle=True, collate_fn=collate)

    torch.manual_seed(0)
    model, plain = pblstm.Model(FEATURES, NUM_CLASSES, hidden=HIDDEN, decoder=DECODER, dropout=DROPOUT), Usual()
    copy_weights(model, plain)
    check_same_work(model, plain, next(iter(loader)))
    optimizer, plain_optimizer = (torch.optim.AdamW(net.parameters()) for net in (model, plain))

    def ours(number: int) -> int:
        count = train(model, optimizer, compute, batches.epoch(number))
        assert count == total
        return count

    def usual(number: int) -> int:
        count = train(plain, plain_optimizer, Compute(compute.device, "fp32"), loader)
        assert count == total
        return count

    what = f"pblstm training, {compute.precision}, {total / UTTERANCES / 100:.1f} s an utterance"
    compare(what, "frames", ours, usual, "packed in random batches, fp32,")


def make_emissions() -> Tensor:
    """Log-probabilities (N, T, K): blanks with phonemes of 1 to 3 frames between them, some frames in doubt."""
    random = torch.Generator().manual_seed(0)
    classes = torch.randint(1, NUM_CLASSES, (EMISSIONS, FRAMES), generator=random)
    classes[torch.rand(classes.shape, generator=random) < 0.7] = BLANK
    again = torch.rand(classes.shape, generator=random) < 0.3
    classes[:, 1:] = torch.where(again[:, 1:], classes[:, :-1], classes[:, 1:])
    logits = torch.randn(*classes.shape, NUM_CLASSES, generator=random)
    clear = 5 + 9 * torch.rand(*classes.shape, 1, generator=random)
    log_probs = logits.scatter_add_(2, classes.unsqueeze(2), clear).log_softmax(2)
    top = float(log_probs.amax(2).exp().mean())
    assert 0.94 < top < 0.96, top
    return log_probs


def greedy_loop(log_probs: Tensor) -> list[str]:
    """Utterance by utterance and frame by frame."""
    found = []
    for item in log_probs:
        text, previous = "", BLANK
        for symbol in item.argmax(1).tolist():
            if symbol not in (previous, BLANK):
                text += CHARACTERS[symbol]
            previous = symbol
        found.append(text)
    return found


def greedy_batches(log_probs: Tensor) -> list[str]:
    parts = log_probs.split(64)
    return [text for part in parts for text in decode.greedy(part, torch.full((len(part),), FRAMES))]


def flashlight() -> Callable[[Tensor], list[str]] | None:
    """The same search by flashlight, without a lexicon or a language model; None if it is not installed."""
    try:
        from torchaudio.models.decoder import ctc_decoder

        # Flashlight puts a sil at both ends; as blank it leaves no trace.
        blank = CHARACTERS[BLANK]
        decoder = ctc_decoder(
            None, list(CHARACTERS), nbest=1, beam_size=BEAM, log_add=True, blank_token=blank, sil_token=blank
        )
    except (ImportError, RuntimeError):
        return None

    def search(log_probs: Tensor) -> list[str]:
        tokens = [decoder(item[None])[0][0].tokens.tolist() for item in log_probs]
        return ["".join(CHARACTERS[token] for token in item if token != BLANK) for item in tokens]

    return search


def compare_decoding() -> None:
    def count(function: Callable[[Any], Sequence[str]], given: Any, _: int) -> int:
        return len(function(given))

    log_probs = make_emissions()
    assert greedy_batches(log_probs) == greedy_loop(log_probs)
    ours, loop = partial(count, greedy_batches, log_probs), partial(count, greedy_loop, log_probs)
    compare("greedy decoding", "utterances", ours, loop, "a Python loop")

    log_probs = log_probs[:BEAM_EMISSIONS].clone()
    search, arrays = flashlight(), list(log_probs.numpy())
    if search is None:
        print(f"beam {BEAM}: flashlight-text is not installed")
        return
    beam = partial(decode.beam_search, beam=BEAM, cut=CUT, num_processes=1)
    same = sum(mine == theirs for mine, theirs in zip(beam(arrays), search(log_probs), strict=True))
    what = f"beam {BEAM}, {same / len(arrays):.0%} of the strings the same"
    compare(what, "utterances", partial(count, beam, arrays), partial(count, search, log_probs), "flashlight")


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        compare_training(Path(folder))
    compare_decoding()


if __name__ == "__main__":
    main()
