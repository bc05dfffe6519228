"""The one training loop, for every task, and the learning-rate range test, which takes the same steps.

A task enters through its batches and a few names in its module: `forward(model, batch)` -> float32 output,
`loss(output, batch, settings)` -> (N,), `score(output, batch)` -> (N,) and `SCORE`, which says what the score is, and
`train_metric(output, batch)` -> (N,), called TRAIN_METRIC, which is cheap enough for every training step.
Sums stay on the device; the host reads them about once a second, for the progress bar, and at the end of each epoch.
"""

import copy
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stages.engine import optim
from stages.engine.checkpoint import Resume
from stages.engine.compute import Compute, seed_torch
from stages.engine.errors import InputError, Interrupted
from stages.engine.record import Recorder
from stages.engine.schema import Plateau, RangeTest, Run

SECONDS_BETWEEN_SAVES = 30.0  # what a killed run loses at most, besides its unfinished epoch
RUNAWAY = 2.0  # an epoch whose mean loss is this many times the untrained network's has learnt nothing it could build on

Weights = dict[str, Tensor]


class Score(NamedTuple):
    """What a task's score is called, and which direction is better."""

    name: str
    higher_is_better: bool

    def improves(self, new: float, old: float) -> bool:
        return new > old if self.higher_is_better else new < old


class Batches(Protocol):
    num_items: int

    def __len__(self) -> int: ...
    def epoch(self, epoch: int) -> Iterator[Any]: ...
    def items(self, epoch: int, number: int) -> list[str]: ...


class Diverged(InputError):
    """The loss was not finite, or ran away; `state` is the run's at the end of its last good epoch."""

    def __init__(self, message: str, state: dict[str, Any]) -> None:
        super().__init__(message)
        self.state = state


class Means:
    """Sums on the device: mean loss and score over items, and the first step whose loss was not finite."""

    def __init__(self, device: torch.device) -> None:
        self._sums = torch.zeros(3, device=device, dtype=torch.float64 if device.type != "mps" else torch.float32)
        self._bad = torch.tensor(-1, device=device)

    def add(self, losses: Tensor, scores: Tensor, step: int = 0) -> None:
        """losses, scores: (N,)."""
        self._sums += torch.stack((losses.sum(), scores.sum(), torch.ones_like(losses).sum()))
        self._bad = torch.where((self._bad < 0) & ~losses.isfinite().all(), step, self._bad)

    def read(self) -> tuple[float, float]:
        loss, score, count = self._sums.tolist()
        return loss / count, score / count

    def first_bad_step(self) -> int | None:
        bad = int(self._bad)
        return None if bad < 0 else bad


def train(
    model: nn.Module,
    *,
    task: ModuleType,
    run: Run,
    lr: float,
    batches: Batches,
    dev: Batches,
    compute: Compute,
    seed: int,
    recorder: Recorder,
    resume: Resume,
) -> dict[str, Any]:
    """Train `model` in place for run.epochs epochs, or fewer with early stopping.

    Returns the state at the end: `history` (a row an epoch), `seconds` of training (an epoch), `weights` (where an average
    is kept, the averaged ones) and `best` (epoch, score, weights).
    Raises Diverged on a non-finite loss, naming the step, the rate and the items, and on an epoch's mean loss of more than
    twice the untrained network's; Interrupted on Ctrl-C or SIGTERM, after saving the state of the last whole epoch.
    """
    score: Score = task.SCORE
    optimizer = optim.build_optimizer(run.optimizer, model, lr)
    scaler = compute.grad_scaler()
    decay = get_ema_multi_avg_fn(run.ema or 0.0)
    average = AveragedModel(model, multi_avg_fn=decay, use_buffers=True) if run.ema is not None else None
    evaluated = model if average is None else average.module
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "scaler": scaler} | (
        {"average": average} if average else {}
    )

    def capture(**progress: Any) -> dict[str, Any]:
        return copy.deepcopy({name: part.state_dict() for name, part in parts.items()}) | progress

    state = resume.load()
    if state is None:
        state = capture(history=[], seconds=[], plateau={}, first_loss=math.nan, best=None, weights=_weights(evaluated))
    else:
        for name, part in parts.items():
            part.load_state_dict(state[name])
        recorder.replay(state["history"])
        print(f"continuing after epoch {len(state['history'])}")
    plateau = optim.PlateauState(**state["plateau"])
    steps, saved, first_loss = len(batches), time.monotonic(), state["first_loss"]

    with _interrupts() as interrupted:
        for epoch in range(len(state["history"]), run.epochs):
            if run.early_stopping and state["best"] and epoch - state["best"]["epoch"] >= run.early_stopping.patience:
                print(f"early stopping: the best dev {score.name} is that of epoch {state['best']['epoch']}")
                break
            recorder.begin(epoch)
            model.train()
            means = Means(compute.device)
            compute.synchronize()
            began = noted = time.monotonic()
            for step, batch in enumerate(batches.epoch(epoch), start=epoch * steps):
                rate = lr * plateau.scale * optim.lr_factor(run.schedule, step, steps, run.epochs)
                seed_torch(seed, step)
                losses, metrics = take_step(model, optimizer, scaler, batch, task, run, compute, rate)
                if average is not None:
                    average.update_parameters(model)
                means.add(losses, metrics, step)
                if step == 0:
                    first_loss = losses[losses > 0].mean().item()  # CTC is zero where the frames are too few
                recorder.step()
                if interrupted():
                    break
                if time.monotonic() - noted > 1:
                    noted = time.monotonic()
                    recorder.note(f"loss {means.read()[0]:.4g}")
                    if means.first_bad_step() is not None:
                        break
            compute.synchronize()
            seconds = time.monotonic() - began
            if (bad := means.first_bad_step()) is not None:
                rate = lr * plateau.scale * optim.lr_factor(run.schedule, bad, steps, run.epochs)
                raise Diverged(_describe(batches, bad, epoch, steps, rate), state)
            if interrupted():
                resume.save(state)
                raise Interrupted(f"`dvc repro` continues after epoch {len(state['history'])} of {run.epochs}")

            train_loss, train_metric = means.read()
            if train_loss > RUNAWAY * first_loss:
                grew = f"the loss grew from {first_loss:.3g} at the first step to {train_loss:.3g} in the mean of"
                raise Diverged(f"{grew} epoch {epoch + 1} (learning rate {lr:.3g}); try a smaller lr or a clip_norm", state)
            dev_loss, dev_score = measure(evaluated, dev, task, run, compute)
            if not math.isfinite(dev_loss):
                raise Diverged(f"the dev loss is {dev_loss} after epoch {epoch + 1}; try a smaller lr or clip_norm", state)
            row = {"epoch": epoch + 1.0, "lr": rate, "train/loss": train_loss, "dev/loss": dev_loss}
            row |= {f"train/{task.TRAIN_METRIC}": train_metric, f"dev/{score.name}": dev_score}
            recorder.epoch(row, seconds)
            if isinstance(run.schedule, Plateau):
                plateau.update(run.schedule, dev_score, score.higher_is_better)
            weights, best = _weights(evaluated), state["best"]
            if best is None or score.improves(dev_score, best["score"]):
                best = {"epoch": epoch + 1, "score": dev_score, "weights": weights}
            state = capture(
                history=[*state["history"], row],
                seconds=[*state["seconds"], seconds],
                plateau=vars(plateau).copy(),
                first_loss=first_loss,
                best=best,
                weights=weights,
            )
            if time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                resume.save(state)
                saved = time.monotonic()
    return state


def take_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    batch: Any,
    task: ModuleType,
    run: Run,
    compute: Compute,
    lr: float,
) -> tuple[Tensor, Tensor]:
    """One step of gradient descent at the rate `lr`: the items' losses and training metrics, (N,) each."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    with compute.autocast():
        output = task.forward(model, batch)
    losses: Tensor = task.loss(output, batch, run.loss)
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(losses.mean()).backward()
    if run.clip_norm is not None:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), run.clip_norm)
    scaler.step(optimizer)
    scaler.update()
    with torch.no_grad():
        return losses.detach(), task.train_metric(output, batch)


@torch.no_grad()
def measure(model: nn.Module, batches: Batches, task: ModuleType, run: Run, compute: Compute) -> tuple[float, float]:
    """Mean loss and score over all items of `batches`, in evaluation mode."""
    model.eval()
    means = Means(compute.device)
    for batch in batches.epoch(0):
        with compute.autocast():
            output = task.forward(model, batch)
        means.add(task.loss(output, batch, run.loss), task.score(output, batch))
    return means.read()


def range_test(
    model: nn.Module, *, task: ModuleType, run: Run, batches: Batches, compute: Compute, seed: int
) -> tuple[list[float], list[float]]:
    """Leslie Smith's learning-rate range test (arXiv:1506.01186): steps at exponentially growing rates.

    Returns the rates and the losses, up to the step where the smoothed loss is four times its minimum. The model and
    the state of the random generators are as before the call.
    """
    test: RangeTest = run.range_test
    before = copy.deepcopy(model.state_dict())
    optimizer, scaler = optim.build_optimizer(run.optimizer, model, test.start), compute.grad_scaler()
    rates: list[float] = []
    losses: list[float] = []
    devices = [compute.device] if compute.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        model.train()
        for step, batch in enumerate(_endless(batches)):
            seed_torch(seed, step)
            rate = optim.sweep_lr(test, step)
            step_losses, _ = take_step(model, optimizer, scaler, batch, task, run, compute, rate)
            loss = step_losses.mean().item()
            if not math.isfinite(loss):
                break
            rates.append(rate)
            losses.append(loss)
            smooth = optim.smooth(losses)
            if len(rates) == test.steps or smooth[-1] > 4 * min(smooth):
                break
    model.load_state_dict(before)
    return rates, losses


def _endless(batches: Batches) -> Iterator[Any]:
    epoch = 0
    while True:
        yield from batches.epoch(epoch)
        epoch += 1


def _weights(model: nn.Module) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _describe(batches: Batches, bad: int, epoch: int, steps: int, rate: float) -> str:
    names = batches.items(epoch, bad - epoch * steps)
    return (
        f"the loss is not finite at step {bad} (epoch {epoch + 1}, learning rate {rate:.3g}, items {', '.join(names[:8])}"
        f"{', …' if len(names) > 8 else ''}); try a smaller lr or a clip_norm"
    )


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Within the block Ctrl-C and SIGTERM only raise a flag, which the loop looks at; a second Ctrl-C stops at once."""
    asked: list[int] = []

    def ask(number: int, frame: Any) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
