"""CTC as the task uses it, against PyTorch's plain call and brute force."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import CTCLoss

from benchmarks.features import SPEECH
from stages.compute.device import Compute
from stages.core.errors import InputError
from stages.data.packed import text_row
from stages.sequences.settings import BiLSTM
from stages.sequences.storage import SequenceWriter
from stages.sequences.training.batches import SequenceBatch
from stages.tasks import load_params
from stages.tasks.speech import CHARACTERS, NUM_CLASSES, training
from stages.tasks.speech.settings import Loss
from stages.training.loop import Trainer
from stages.training.recorder import NullRecorder
from stages.training.resume import Resume
from tests.conftest import ROOT


def make(num: int = 12, frames: int = 9, seed: int = 0) -> tuple[training.Output, SequenceBatch]:
    """Random emissions of 3 to `frames` frames and transcripts of 1 to 6 symbols, some with repeats."""
    generator = torch.Generator().manual_seed(seed)
    log_probs = torch.randn(num, frames, NUM_CLASSES, generator=generator).log_softmax(2)
    lengths = torch.randint(3, frames + 1, (num,), generator=generator)
    target_lengths = torch.randint(1, 7, (num,), generator=generator)
    targets = torch.randint(1, 4, (num, 6), generator=generator)
    targets[torch.arange(6) >= target_lengths[:, None]] = 0
    inputs = torch.zeros(num, frames, 13)
    return training.Output(log_probs, lengths), SequenceBatch(inputs, lengths, targets, target_lengths, torch.arange(num))


def test_the_mean_loss_is_that_of_pytorchs_ctc() -> None:
    output, batch = make()
    expected = CTCLoss(zero_infinity=True)(
        output.log_probs.transpose(0, 1), batch.targets, output.lengths, batch.target_lengths
    )
    torch.testing.assert_close(training.loss(output, batch, Loss()).mean(), expected)


def test_exactly_the_utterances_with_an_infinite_loss_are_zeroed_and_counted() -> None:
    output, batch = make(num=200)
    plain = CTCLoss(reduction="none")(output.log_probs.transpose(0, 1), batch.targets, output.lengths, batch.target_lengths)
    zeroed = training.train_metric(output, batch)
    assert 10 < zeroed.sum() < 190
    assert (plain.isinf() == zeroed.bool()).all()
    assert ((training.loss(output, batch, Loss()) == 0) == zeroed.bool()).all()


def test_the_score_is_the_distance_of_the_greedy_string() -> None:
    output, batch = make()
    for row, score in enumerate(training.score(output, batch).tolist()):
        best = output.log_probs[row, : output.lengths[row]].argmax(1).tolist()
        text = "".join(CHARACTERS[b] for a, b in zip([0, *best], best, strict=False) if b not in (0, a))
        true = "".join(CHARACTERS[index] for index in batch.targets[row, : batch.target_lengths[row]].tolist())
        assert score == edit_distance(text, true)


def edit_distance(one: str, other: str) -> int:
    table = np.zeros((len(one) + 1, len(other) + 1), int)
    table[:, 0], table[0] = range(len(one) + 1), range(len(other) + 1)
    for i, a in enumerate(one, 1):
        for j, b in enumerate(other, 1):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a != b))
    return int(table[-1, -1])


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_log_probabilities_are_float32_whatever_the_network_gives(precision: torch.dtype) -> None:
    _, batch = make()
    output = training.forward(lambda x, lengths: (torch.randn(12, 9, NUM_CLASSES).to(precision), lengths), batch)  # type: ignore[arg-type]
    assert output.log_probs.dtype == torch.float32


def trainer(folder: Path, num_phonemes: list[int]) -> Trainer:
    """Of utterances of 20 frames, which become 10, with so many phonemes each."""
    with ExitStack() as stack:
        for split in ("train", "dev"):
            writer = SequenceWriter(stack, folder / split, 5, ["names", "transcript"])
            for number, num in enumerate(num_phonemes):
                frames = np.random.default_rng(number).normal(size=(20, 5)).astype(np.float32)
                writer.append(frames, {"names": text_row(str(number)), "transcript": np.arange(1, num + 1, dtype=np.uint8)})
    run, compute = load_params(ROOT / "params.yaml").run("bilstm"), Compute(torch.device("cpu"), "fp32")
    run = replace(run, epochs=1, batch_size=2, model=BiLSTM("bilstm", hidden=4, num_layers=1, dropout=0.0))
    batches, dev = training.train_batches(folder, run, compute, 1), training.eval_batches(folder, "dev", run, compute)
    return Trainer(training, run, 0.01, batches, dev, compute, 1, NullRecorder(), Resume(None))


def test_an_epoch_in_which_every_loss_was_zeroed_stops_the_training(tmp_path: Path) -> None:
    for number, num_phonemes in enumerate(([11, 12, 30], [11, 12, 10])):
        found = trainer(tmp_path / str(number), num_phonemes)
        model = training.build_model(found.run, replace(SPEECH, num_features=5))
        if number == 0:
            with pytest.raises(InputError, match="every transcript has more phonemes than the network has output frames"):
                found.train(model)
        else:
            assert found.train(model).history[0]["train/zeroed"] == pytest.approx(2 / 3)


def test_mel_bands_are_all_taken_or_refused() -> None:
    run = load_params(ROOT / "params.yaml").run("bilstm")
    assert run.model.features == 13
    training.build_model(run, replace(SPEECH, num_features=28))
    with pytest.raises(InputError, match=r"model\.features: the first 13 of 40 mel bands are only low pitches; give null"):
        training.build_model(run, replace(SPEECH, num_features=40))
    training.build_model(replace(run, model=replace(run.model, features=None)), replace(SPEECH, num_features=40))
