"""The training loop on a tiny network: it learns, repeats itself bit for bit, resumes, stops, and tells what went wrong."""

import copy
import json
import math
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

import stages
from benchmarks.features import PICTURES
from stages.compute.device import Compute, choose, seed_torch
from stages.config.schema import SGD, Adam, Constant, EarlyStopping, Plateau, RangeTest, Run, Training
from stages.core.errors import InputError, Interrupted
from stages.data import checkpoint
from stages.images.models import convnext, resnet50
from stages.images.settings import Augment, CustomResnet, Cutout, Evaluate, Flip, Loss
from stages.images.training.batches import DeviceBatches, ImageBatch
from stages.sequences.models import convnext1d, pblstm
from stages.sequences.training.batch_norm import MaskedBatchNorm
from stages.sequences.training.batches import SequenceBatch
from stages.tasks.cifar10 import training
from stages.tasks.speech import training as speech
from stages.training import compiling, loop, optimizers, resume
from stages.training.loop import Trainer
from stages.training.recorder import Recorder, write_timing
from stages.training.resume import resuming
from stages.training.state import TrainState
from stages.training.step import micro_batches, take_step
from stages.tuning import range_test

AUGMENT = Augment(flip=Flip(0.5), cutout=Cutout(4))
CPU = Compute(torch.device("cpu"), "fp32")
RUN = Run(
    task="cifar10",
    kind="cifar10",
    inputs="images",
    model=CustomResnet("custom_resnet", width=2, dropout=0.1),
    optimizer=Adam("adam", lr=0.01),
    schedule=Constant("constant"),
    epochs=4,
    batch_size=10,
    loading="device",
    augment=AUGMENT,
    loss=Loss(),
    train=Training(),
    evaluate=Evaluate(weights="last"),
    sample={},
)
RANGE = RangeTest(steps=30, start=1e-5, end=1.0)


class Data(DeviceBatches):
    """40 random images of four classes; `before_step` is called with (epoch, number of the batch)."""

    def __init__(self, augment: Any = AUGMENT, before_step: Any = None) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
        settings = dict(batch_size=10, device=CPU.device, mean=[127.0] * 3, std=[74.0] * 3, seed=1, augment=augment)
        super().__init__(pixels, np.arange(40) % 4, [f"item{i}" for i in range(40)], **settings)
        self.before_step = before_step

    def epoch(self, epoch: int, first: int = 0) -> Iterator[ImageBatch]:
        for number, batch in enumerate(super().epoch(epoch, first), start=first):
            if self.before_step is not None:
                self.before_step(epoch, number)
            yield batch


def train(
    folder: Path,
    run: Run = RUN,
    compute: Compute = CPU,
    minutes: float = 1.0,
    model: nn.Module | None = None,
    **settings: Any,
) -> TrainState:
    seed_torch(3)
    model = model or compute.to_device(training.build_model(run, PICTURES))
    with (
        resuming(folder / "resume", minutes) as resume,
        Recorder(folder / "live", "test", "accuracy", run.epochs, 4) as recorder,
    ):
        arguments: dict[str, Any] = dict(lr=0.01, batches=Data(), dev=Data(augment=None), seed=7) | settings
        trainer = Trainer(task=training, run=run, compute=compute, recorder=recorder, resume=resume, **arguments)
        return trainer.train(model)


def same(one: TrainState, other: TrainState) -> bool:
    assert one.best is not None and other.best is not None
    assert one.averages.keys() == other.averages.keys()
    pairs = [(one.weights, other.weights), (one.best.weights, other.best.weights)]
    pairs += [(one.averages[name], other.averages[name]) for name in one.averages]
    return one.history == other.history and all(
        checkpoint.weights_hash(first) == checkpoint.weights_hash(second) for first, second in pairs
    )


@pytest.fixture(autouse=True)
def in_a_scratch_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.use_deterministic_algorithms(True)


def test_it_learns_forty_images_by_heart(tmp_path: Path) -> None:
    run = replace(RUN, epochs=15, model=replace(RUN.model, width=8, dropout=0.0))
    state = train(tmp_path, run, batches=Data(augment=None))
    assert state.history[-1]["train/accuracy"] > 0.95 > 0.6 > state.history[0]["train/accuracy"]


def test_one_step_is_that_of_a_plain_loop() -> None:
    seed_torch(0)
    first, second = training.build_model(RUN, PICTURES), training.build_model(RUN, PICTURES)
    second.load_state_dict(first.state_dict())
    batch = next(Data().epoch(0))
    run = replace(RUN, optimizer=SGD("sgd", lr=1.0), train=Training(clip_norm=0.5), loss=Loss(label_smoothing=0.1))
    ours = optimizers.build_optimizer(run.optimizer, first, 123.0)
    seed_torch(1)
    take_step(first, ours, CPU.grad_scaler(first), batch, training, run, CPU, 0.02)

    theirs = torch.optim.SGD(second.parameters(), lr=0.02, momentum=0.9)
    seed_torch(1)
    nn.CrossEntropyLoss(label_smoothing=0.1)(second(batch.inputs), batch.targets).backward()
    nn.utils.clip_grad_norm_(second.parameters(), 0.5)
    theirs.step()
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("network", "clip_norm"), [("convnext", None), ("resnet50", 0.5), ("pblstm", 0.5)])
def test_a_batch_in_parts_takes_the_step_of_the_whole(network: str, clip_norm: float | None) -> None:
    """In float64, of ten items in four parts. Batch norm and dropout, which depend on the parts, are in evaluation mode."""
    torch.manual_seed(0)
    inputs: Any
    if network == "pblstm":
        model: nn.Module = pblstm.Model(13, 41, hidden=4, decoder=8)
        lengths, target_lengths = torch.randint(24, 41, (10,)), torch.randint(1, 4, (10,))
        inputs = torch.randn(10, 40, 13, dtype=torch.float64)
        batch: Any = SequenceBatch(inputs, lengths, torch.randint(1, 41, (10, 3)), target_lengths, torch.arange(10))
    else:
        model = convnext.Model(7, width=4, path_dropout=0.0) if network == "convnext" else resnet50.Model(7, width=2)
        inputs = torch.randn(10, 3, 32, 32, dtype=torch.float64)
        targets = torch.randint(7, (10,))
        batch = ImageBatch(inputs, targets, torch.arange(10), targets.roll(1, 0), torch.tensor(0.3, dtype=torch.float64))
    task = speech if network == "pblstm" else training
    double = SimpleNamespace(forward=partial(in_double, network), loss=task.loss, train_metric=task.train_metric)
    results, before = [], copy.deepcopy(model.double().eval())
    for accumulate in (1, 4):
        run: Any = replace(RUN, train=Training(clip_norm=clip_norm, accumulate=accumulate), loss=Loss(label_smoothing=0.1))
        model = copy.deepcopy(before)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        losses = take_step(model, optimizer, CPU.grad_scaler(model), batch, cast(ModuleType, double), run, CPU, 0.1)
        results.append((losses, dict(model.named_parameters())))
    torch.testing.assert_close(results[1], results[0], rtol=1e-10, atol=1e-12)
    (moved, *_), (old, *_) = results[0][1].values(), before.parameters()
    assert not torch.equal(moved, old)


def in_double(network: str, model: nn.Module, batch: Any) -> Any:
    """The tasks' `forward`, without the cast to float32."""
    if network != "pblstm":
        return model(batch.inputs)
    logits, lengths = model(batch.inputs, batch.lengths)
    return speech.Output(logits.log_softmax(2), lengths)


def test_parts_are_no_more_than_items_and_hold_each_once() -> None:
    batch = next(Data(augment=None).epoch(0))
    parts = micro_batches(batch, 64)
    assert [len(part.inputs) for part in parts] == [1] * 10
    assert [len(part.targets) for part in micro_batches(batch, 4)] == [3, 3, 2, 2]
    for field in ("inputs", "targets", "indices"):
        assert torch.equal(torch.cat([getattr(part, field) for part in parts]), getattr(batch, field))
    assert parts[0].inputs.is_contiguous(memory_format=torch.channels_last)


def test_one_item_where_batch_norm_needs_two_values_is_a_sentence() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4), nn.BatchNorm1d(4))
    optimizer, data = torch.optim.SGD(model.parameters(), lr=0.1), Data(augment=None)
    data.batch_size = 1
    with pytest.raises(InputError, match=r"^batch_size: batch norm needs two values of each channel"):
        take_step(model, optimizer, CPU.grad_scaler(model), next(data.epoch(0)), training, RUN, CPU, 0.1)


def test_the_mean_loss_is_over_items_not_batches() -> None:
    seed_torch(0)
    model, data = training.build_model(RUN, PICTURES), Data(augment=None)
    data.batch_size = 16  # 16 + 16 + 8
    loss, score = loop.evaluate(model, data, training, RUN, CPU)
    data.batch_size = 40
    everything = next(data.epoch(0))
    with torch.no_grad():
        logits = model(everything.inputs)
    assert loss == pytest.approx(nn.functional.cross_entropy(logits, everything.targets).item(), rel=1e-5)
    assert score == pytest.approx((logits.argmax(1) == everything.targets).float().mean().item())


def test_the_same_run_twice_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    first, second = train(tmp_path / "a"), train(tmp_path / "b")
    assert same(first, second)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "given back"
    assert not same(first, train(tmp_path / "c", seed=8))


AVERAGES = replace(RUN, train=Training(ema=0.9, mean=2), schedule=Plateau("plateau", patience=0))


@pytest.mark.parametrize(("precision", "run"), [("fp32", AVERAGES), ("bf16", RUN), ("fp16", AVERAGES)])
def test_an_interrupted_run_continues_bit_for_bit(tmp_path: Path, precision: str, run: Run) -> None:
    compute = Compute(CPU.device, precision)
    whole = train(tmp_path / "whole", run, compute)
    for epoch, number in ((0, 1), (1, 0), (2, 3)):
        with pytest.raises(Interrupted, match=f"after step {number + 1} of epoch {epoch + 1} of 4"):
            train(tmp_path / "parts", run, compute, batches=Data(before_step=interrupt_at(epoch, number)))
    parts = train(tmp_path / "parts", run, compute)
    assert same(whole, parts)
    table = "live/plots/metrics/dev/accuracy.tsv"
    assert (tmp_path / "whole" / table).read_text() == (tmp_path / "parts" / table).read_text()


def interrupt_at(epoch: int, number: int) -> Any:
    def act(*now: int) -> None:
        if now == (epoch, number):
            os.kill(os.getpid(), signal.SIGTERM)

    return act


def test_a_killed_run_continues_bit_for_bit_from_the_state_saved_last(tmp_path: Path) -> None:
    """Saved after every step, and between epochs; here an exception that nothing handles stands for a kill."""

    class Killed(Exception):
        pass

    def kill_at(*when: int) -> Any:
        def act(*now: int) -> None:
            if now == when:
                raise Killed

        return act

    run = replace(RUN, train=Training(ema=0.9, mean=3), schedule=Plateau("plateau", patience=0))
    whole = train(tmp_path / "whole", run)
    for when in ((0, 2), (1, 0), (3, 3)):
        with pytest.raises(Killed):
            train(tmp_path / "parts", run, batches=Data(before_step=kill_at(*when)), minutes=1e-9)
    seen: list[tuple[int, int]] = []
    data = Data(before_step=lambda *now: seen.append(now))
    assert same(whole, train(tmp_path / "parts", run, batches=data, minutes=1e-9))
    assert seen == [(3, 3), *((4, number) for number in range(4))], "nothing is done twice; statistics are made at the end"


def test_a_process_whose_dvc_was_killed_saves_and_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    parents = [7, 7, 1]
    monkeypatch.setattr(stages, "PARENT", 7)
    monkeypatch.setattr(os, "getppid", lambda: parents.pop(0) if len(parents) > 1 else parents[0])
    with pytest.raises(Interrupted, match="after step 3 of epoch 1"):
        train(tmp_path)


def test_a_second_trainer_of_the_same_run_waits_and_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "WAIT", 0.1)
    with resuming(tmp_path / "resume"), pytest.raises(ValueError, match=f"process {os.getpid()} on .* is training"):
        train(tmp_path)


def test_divergence_names_the_step_the_rate_and_the_items_and_keeps_the_last_good_epoch(tmp_path: Path) -> None:
    good = train(tmp_path / "good", replace(RUN, epochs=2))
    data = Data()

    def poison(epoch: int, number: int) -> None:
        if (epoch, number) == (2, 1):
            data.mean.fill_(float("nan"))

    data.before_step = poison
    # The generator has made the inputs of batch 1 by then, so batch 2 is the first bad one.
    with pytest.raises(loop.Diverged, match=r"not finite at step 10 \(epoch 3, learning rate 0.01, items item") as caught:
        train(tmp_path / "bad", batches=data)
    assert str(caught.value).count("item") >= 9
    assert checkpoint.weights_hash(caught.value.state.weights) == checkpoint.weights_hash(good.weights)
    assert len(caught.value.state.history) == 2


def test_an_epoch_that_runs_away_stops_the_training_at_the_state_before_it(tmp_path: Path) -> None:
    with pytest.raises(
        loop.Diverged, match=r"the loss grew from \d\..* to a mean of .* in epoch 1 \(learning rate 3\).*smaller lr"
    ) as caught:
        train(tmp_path, lr=3.0)
    seed_torch(3)
    untrained = CPU.to_device(training.build_model(RUN, PICTURES)).state_dict()
    assert checkpoint.weights_hash(caught.value.state.weights) == checkpoint.weights_hash(untrained)
    assert caught.value.state.history == []


def test_the_best_epoch_is_kept(tmp_path: Path) -> None:
    state = train(tmp_path, replace(RUN, epochs=5))
    scores = [row["dev/accuracy"] for row in state.history]
    assert state.best is not None
    assert state.best.epoch == 1 + int(np.argmax(scores))
    assert state.best.score == max(scores)
    shorter = train(tmp_path / "short", replace(RUN, epochs=state.best.epoch))
    assert checkpoint.weights_hash(shorter.weights) == checkpoint.weights_hash(state.best.weights)


def test_early_stopping_waits_for_its_patience(tmp_path: Path) -> None:
    state = train(tmp_path, replace(RUN, epochs=50, train=Training(early_stopping=EarlyStopping(patience=2))), lr=1e-9)
    assert state.best is not None
    assert len(state.history) == state.best.epoch + 2 < 50


def test_the_average_of_the_weights_is_an_exponential_one(tmp_path: Path) -> None:
    """Against a naive average kept by hand over the weights of every step. Its decay grows to the run's."""
    seen: list[torch.Tensor] = []
    run = replace(RUN, epochs=2, train=Training(ema=0.5))
    seed_torch(3)
    model = CPU.to_device(training.build_model(run, PICTURES))
    head = dict(model.named_parameters())["head.weight"]
    data = Data(before_step=lambda *_: seen.append(head.detach().clone()))
    state = train(tmp_path, run, model=model, batches=data)
    seen.append(head.detach().clone())
    average = seen[1]  # the average starts with the weights after the first step
    for number, weights in enumerate(seen[2:], start=1):
        decay = min(0.5, (1 + number) / (10 + number))
        average = decay * average + (1 - decay) * weights
    torch.testing.assert_close(state.averages["ema"]["head.weight"], average)
    assert torch.equal(state.weights["head.weight"], seen[-1]), "`last` is the network itself"


def test_an_average_of_the_weights_is_what_the_dev_score_and_the_best_epoch_are_of(tmp_path: Path) -> None:
    run = replace(RUN, epochs=3, train=Training(ema=0.9))
    state = train(tmp_path, run)
    model = CPU.to_device(training.build_model(run, PICTURES))
    model.load_state_dict(state.averages["ema"])
    loss, score = loop.evaluate(model, Data(augment=None), training, run, CPU)
    assert (loss, score) == (state.history[-1]["dev/loss"], state.history[-1]["dev/accuracy"])
    assert state.best is not None
    shorter = train(tmp_path / "short", replace(run, epochs=state.best.epoch))
    assert checkpoint.weights_hash(shorter.averages["ema"]) == checkpoint.weights_hash(state.best.weights)


@pytest.mark.parametrize(("mean", "epochs"), [(2, 3), (9, 2)])
def test_the_mean_of_the_last_epochs_has_statistics_of_its_own(tmp_path: Path, mean: int, epochs: int) -> None:
    """Without dropout. Against shorter trainings' weights, and by hand the statistics of each batch norm's inputs."""
    run = replace(RUN, model=replace(RUN.model, dropout=0.0), epochs=epochs, train=Training(mean=mean))
    plain, last = replace(run, train=Training()), range(max(epochs - mean, 0) + 1, epochs + 1)
    ends = [train(tmp_path / f"{end}", replace(plain, epochs=end)).weights for end in last]
    state = train(tmp_path / "mean", run)
    assert checkpoint.weights_hash(state.weights) == checkpoint.weights_hash(ends[-1]), "it changes nothing else"
    found = state.averages["mean"]
    model = CPU.to_device(training.build_model(run, PICTURES))
    for name, _ in model.named_parameters():
        torch.testing.assert_close(found[name], sum(end[name] for end in ends) / len(ends))
    model.load_state_dict(found)
    seen: dict[str, list[torch.Tensor]] = {}
    norms = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    for name, layer in norms.items():
        layer.register_forward_pre_hook(lambda _, inputs, name=name: seen.setdefault(name, []).append(inputs[0].detach()))
    model.train()
    for batch in Data().epoch(epochs):
        model(batch.inputs)
    assert norms
    for name in norms:
        torch.testing.assert_close(found[f"{name}.running_mean"], sum(x.mean((0, 2, 3)) for x in seen[name]) / 4)
        torch.testing.assert_close(found[f"{name}.running_var"], sum(x.var((0, 2, 3)) for x in seen[name]) / 4)


def test_statistics_made_anew_are_those_of_real_frames_alone() -> None:
    """Of a network of sequences, with the padding that `update_bn` knows nothing of."""
    torch.manual_seed(0)
    model, seen = convnext1d.Model(13, 41, width=4), list[tuple[torch.Tensor, torch.Tensor]]()
    (first, *_) = (layer for layer in model.modules() if isinstance(layer, MaskedBatchNorm))
    first.register_forward_pre_hook(lambda _, inputs: seen.append((inputs[0].detach(), inputs[1])))
    batches = []
    for _ in range(3):
        inputs, lengths = torch.randn(5, 40, 13), torch.randint(24, 41, (5,))
        batches.append(SequenceBatch(inputs, lengths, torch.randint(1, 41, (5, 3)), torch.full((5,), 3), torch.arange(5)))
    momentum = first.momentum
    update_bn(([batch] for batch in batches), loop.Forward(speech, model))
    real = [x.transpose(1, 2)[keep.bool()] for x, keep in seen]
    assert first.running_mean is not None and first.running_var is not None and first.momentum == momentum
    torch.testing.assert_close(first.running_mean, sum(x.mean(0) for x in real) / 3)
    torch.testing.assert_close(first.running_var, sum(x.var(0) for x in real) / 3)


def test_dvclive_holds_every_epoch(tmp_path: Path) -> None:
    state = train(tmp_path)
    rows = (tmp_path / "live/plots/metrics/dev/accuracy.tsv").read_text().splitlines()
    assert [float(row.split("\t")[1]) for row in rows[1:]] == [row["dev/accuracy"] for row in state.history]
    assert not (tmp_path / "live/metrics.json").exists()  # one value for one name: `evaluate` writes the metrics


def test_a_range_test_leaves_model_and_random_state_as_they_were() -> None:
    seed_torch(3)
    model = CPU.to_device(training.build_model(RUN, PICTURES))
    before, random = checkpoint.weights_hash(model.state_dict()), torch.get_rng_state()
    rates, losses = range_test.range_test(model, RANGE, task=training, run=RUN, batches=Data(), compute=CPU, seed=7)
    assert checkpoint.weights_hash(model.state_dict()) == before
    assert torch.equal(torch.get_rng_state(), random)
    assert len(rates) == len(losses) <= 30 and rates[0] == 1e-5
    assert (rates, losses) == range_test.range_test(
        model, RANGE, task=training, run=RUN, batches=Data(), compute=CPU, seed=7
    )


def test_a_range_test_stops_when_the_loss_explodes() -> None:
    seed_torch(3)
    model = training.build_model(RUN, PICTURES)
    run, test = replace(RUN, optimizer=SGD("sgd", lr="find")), RangeTest(steps=200, start=1e-3, end=1e9)
    rates, losses = range_test.range_test(model, test, task=training, run=run, batches=Data(), compute=CPU, seed=7)
    assert len(rates) < 200 and np.isfinite(losses).all()


def test_a_device_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="device: 'nonsense' cannot be used here"):
        choose("nonsense", "auto", False)
    assert choose("cpu", "fp16", True).precision == "fp16"


class Means(nn.Module):
    """A network that the compiler takes seconds for, not minutes: of the colours' means, with batch norm and dropout."""

    def __init__(self, layer: nn.Module | None = None) -> None:
        super().__init__()
        self.norm, self.layer, self.head = nn.BatchNorm1d(3), layer, nn.Linear(3, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.dropout(self.norm(x.mean((2, 3))), 0.1, self.training)
        return self.head(x if self.layer is None else self.layer(x))


COMPILED = Compute(CPU.device, "fp32", compile=True)


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """PyTorch's counters of what it compiles, from zero, for networks that are Means."""
    from torch._dynamo.utils import counters

    monkeypatch.setattr(training, "build_model", lambda run, stats: Means())
    counters.clear()
    yield counters
    torch.compiler.set_stance("default")
    torch.compiler.reset()


@pytest.mark.slow
def test_a_compiled_training_is_compiled_once_and_continues_bit_for_bit(tmp_path: Path, compiler: Any) -> None:
    """Batches of 16, 16 and 8 images, the last of which the code is not for."""
    run = replace(RUN, train=Training(ema=0.9, clip_norm=1.0))

    def data(**settings: Any) -> Data:
        made = Data(**settings)
        made.batch_size = 16
        return made

    whole = train(tmp_path / "whole", run, COMPILED, batches=data())
    assert whole.compile_seconds is not None and whole.compile_seconds > 0
    for epoch, number in ((0, 2), (2, 1)):
        with pytest.raises(Interrupted, match=f"after step {number + 1} of epoch {epoch + 1} of 4"):
            train(tmp_path / "parts", run, COMPILED, batches=data(before_step=interrupt_at(epoch, number)))
    assert same(whole, train(tmp_path / "parts", run, COMPILED, batches=data()))
    eager = train(tmp_path / "eager", run, CPU, batches=data())
    assert eager.compile_seconds is None
    assert [*whole.weights] == [*eager.weights] == [*Means().state_dict()]


@pytest.mark.slow
def test_compiling_leaves_the_network_and_its_gradients_as_they_were(compiler: Any) -> None:
    from torch._inductor import config, cpu_vec_isa

    model = Means()
    before = checkpoint.weights_hash(model.state_dict())
    network, seconds = compiling.compiled(model, training, RUN, Data(), COMPILED)
    assert checkpoint.weights_hash(model.state_dict()) == before and seconds is not None
    assert all(weight.grad is None for weight in model.parameters())
    images = next(Data().epoch(0)).inputs
    torch.testing.assert_close(network.eval()(images), model.eval()(images))
    # By these settings compiled code is kept on disk, and another processor would take it for its own without the width.
    assert config.save_config_portable()["cpp.simdlen"] == cpu_vec_isa.pick_vec_isa().bit_width()


def test_a_network_of_sequences_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    model, batch = Means(), SimpleNamespace(lengths=torch.tensor([2]))
    batches: Any = SimpleNamespace(epoch=lambda epoch: iter([batch]))
    assert compiling.compiled(model, training, RUN, batches, COMPILED) == (model, None)
    assert capsys.readouterr().out == "custom_resnet is not compiled, because the lengths of its batches vary\n"


def test_a_network_that_cannot_be_compiled_is_an_error_that_names_the_key(compiler: Any) -> None:
    class Foreign(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x  # the graph would depend on the numbers

    with pytest.raises(InputError, match=r"^compile: custom_resnet cannot be compiled here \(.+\); set it to false$"):
        compiling.compiled(Means(Foreign()), training, RUN, Data(), COMPILED)


def test_a_machine_without_a_compiler_is_told_so(compiler: Any) -> None:
    from torch._inductor import config

    with (
        config.patch({"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}),
        pytest.raises(InputError, match=r"^compile: custom_resnet cannot be compiled here \(.*[Cc]ompiler.*\); set it to"),
    ):
        compiling.compiled(Means(), training, RUN, Data(), COMPILED)


@pytest.mark.parametrize("seconds", [None, 12.34])
def test_the_time_that_compiling_took_is_told_apart(tmp_path: Path, seconds: float | None) -> None:
    write_timing(tmp_path / "timing.json", [1.0, 3.0, 2.0], 40, CPU, seconds)
    timing = json.loads((tmp_path / "timing.json").read_text())
    assert (timing["train_seconds"], timing["epoch_seconds"], timing["items_per_second"]) == (6.0, 2.0, 20.0)
    assert timing.get("compile_seconds") == (None if seconds is None else 12.3)


@pytest.mark.parametrize(("before", "after"), [("fp32", "fp16"), ("fp16", "fp32")])
def test_a_state_of_another_precision_is_continued(tmp_path: Path, before: str, after: str) -> None:
    """As from a CPU or an H100 to a T4, and back: with `precision: auto` the parameters are the same."""
    run = replace(RUN, epochs=2)
    with pytest.raises(Interrupted):
        train(tmp_path, run, Compute(CPU.device, before), batches=Data(before_step=interrupt_at(0, 2)))
    state = train(tmp_path, run, Compute(CPU.device, after))
    assert [row["epoch"] for row in state.history] == [1.0, 2.0]
    assert math.isfinite(state.history[-1]["train/loss"])
