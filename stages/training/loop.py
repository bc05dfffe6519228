"""The training loop of all tasks.

A task provides its batches and a module with `forward(model, batch)` -> float32 output, `loss(output, batch, settings)` ->
(N,), `score(output, batch)` -> (N,), described by `SCORE`, and `train_metric(output, batch)` -> (N,), named by TRAIN_METRIC
and cheap enough for every training step. An optional `check_epoch(train_metric)` raises InputError after an epoch in which
the network learnt nothing.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from stages.compute import batch_norm, distributed
from stages.compute.device import Compute, seed_torch
from stages.config.schema import Plateau, Run
from stages.core import interrupts
from stages.core.errors import InputError, Interrupted
from stages.training import compiling, schedules
from stages.training.protocol import Batches
from stages.training.recorder import NullRecorder, Recorder
from stages.training.resume import Resume
from stages.training.running_means import RunningMeans
from stages.training.state import TrainState, copy_weights
from stages.training.step import take_step

RUNAWAY = 2.0  # an epoch diverged if its mean loss is this many times the untrained network's; not used with start_from
SECONDS_PER_READ = 1.0  # how often the host reads the loss from the device


class Diverged(InputError):
    """The loss was not finite or grew too large. `state` has the weights, best and history of the last good epoch."""

    def __init__(self, message: str, state: TrainState) -> None:
        super().__init__(message)
        self.state = state


class Forward(nn.Module):
    """A network called with whole batches, as `update_bn` calls it, because sequences need their lengths."""

    def __init__(self, task: ModuleType, model: nn.Module) -> None:
        super().__init__()
        self.task, self.model = task, model

    def forward(self, batch: Any) -> Any:
        return self.task.forward(self.model, batch)


@dataclass
class Trainer:
    """Everything that training needs besides the network."""

    task: ModuleType
    run: Run
    lr: float
    batches: Batches
    dev: Batches | None  # None: no evaluation, and no best epoch
    compute: Compute
    seed: int
    recorder: Recorder | NullRecorder
    resume: Resume

    def train(self, model: nn.Module) -> TrainState:
        """Train `model` in place for run.epochs epochs, or fewer with early stopping.

        Raises Diverged; Interrupted on Ctrl-C or SIGTERM, after saving the state; and InputError from the task's
        check_epoch.
        """
        batch_norm.synchronize(model)
        state = TrainState.start(model, self.run, self.lr, self.compute)
        if (saved := distributed.broadcast(self.resume.load())) is not None:
            state.load_state_dict(saved)
            self.recorder.replay(state.history)
            print(f"continuing {state}", flush=True)
        network, state.compile_seconds = compiling.compiled(model, self.task, self.run, self.batches, self.compute)
        with interrupts.noticed() as interrupted:
            for epoch in range(len(state.history), self.run.epochs):
                stopping = self.run.train.early_stopping
                if stopping and state.best and epoch - state.best.epoch >= stopping.patience:
                    print(f"early stopping: the best dev {self.task.SCORE.name} was in epoch {state.best.epoch}")
                    break
                means, seconds = self.train_epoch(network, state, epoch, interrupted)
                train_loss, train_metric = means.read()
                if hasattr(self.task, "check_epoch"):
                    self.task.check_epoch(train_metric)
                if train_loss > RUNAWAY * state.first_loss and self.run.train.start_from is None:
                    growth = f"the loss grew from {state.first_loss:.3g} at the first step to a mean of {train_loss:.3g}"
                    advice = f"in epoch {epoch + 1} (learning rate {self.lr:.3g}); try a smaller lr or a clip_norm"
                    raise Diverged(f"{growth} {advice}", state)
                row = {"epoch": epoch + 1.0, "lr": self.rate(state, (epoch + 1) * len(self.batches) - 1)}
                row |= {"train/loss": train_loss}
                dev_score = None
                if self.dev is not None:
                    dev_loss, dev_score = evaluate(state.evaluated, self.dev, self.task, self.run, self.compute)
                    if not math.isfinite(dev_loss):
                        advice = "try a smaller lr or clip_norm"
                        raise Diverged(f"the dev loss is {dev_loss} after epoch {epoch + 1}; {advice}", state)
                    row |= {"dev/loss": dev_loss}
                row |= {f"train/{self.task.TRAIN_METRIC}": train_metric}
                row |= {} if dev_score is None else {f"dev/{self.task.SCORE.name}": dev_score}
                if state.mean is not None and epoch >= self.run.epochs - (self.run.train.mean or 0):
                    state.mean.update_parameters(state.model)
                state.finish_epoch(row, seconds, dev_score, self.task.SCORE)
                self.recorder.epoch(row, state.best.score if state.best else None, seconds)
                if self.resume.is_due or distributed.size() > 1:
                    self.resume.save(state.state_dict())
        if state.mean is not None:
            seed_torch(self.seed, self.run.epochs * len(self.batches), distributed.rank())
            with self.compute.autocast():
                update_bn(([batch] for batch in self.batches.epoch(self.run.epochs)), Forward(self.task, state.mean.module))
            state.averages["mean"] = copy_weights(state.mean.module)
        return state

    def train_epoch(
        self, network: nn.Module, state: TrainState, epoch: int, interrupted: Callable[[], bool]
    ) -> tuple[RunningMeans, float]:
        """Take the remaining steps of an epoch. Returns the means over its items and the seconds it took."""
        alone = distributed.size() == 1  # clocks of several processes differ, so they save only after each epoch
        means = RunningMeans(self.compute.device, state.sums)
        self.recorder.begin(epoch, state.steps)
        network.train()
        # A wrapper fixes the order of gradient sums in its first step; a new one each epoch gives restarts the same order.
        wrapped = distributed.wrap_model(network, self.compute.device)
        self.compute.synchronize()
        last_read = time.monotonic()
        began = last_read - state.seconds_so_far
        stopped, first = False, epoch * len(self.batches) + state.steps
        try:
            for step, batch in enumerate(self.batches.epoch(epoch, state.steps), start=first):
                stop = distributed.any_process(interrupted)
                seed_torch(self.seed, step, distributed.rank())
                lr = self.rate(state, step)
                losses, metrics = take_step(
                    wrapped, state.optimizer, state.scaler, batch, self.task, self.run, self.compute, lr
                )
                if self.run.train.ema is not None:
                    state.average_step(self.run.train.ema)
                means.add(losses, metrics, step)
                if step == 0:
                    state.first_loss = distributed.mean(losses[losses > 0])  # CTC is zero for too few frames
                state.steps += 1
                self.recorder.step()
                if stopped := stop():
                    break
                if time.monotonic() - last_read > SECONDS_PER_READ:
                    last_read = time.monotonic()
                    self.recorder.note(means.read()[0])
                    if alone:
                        self.check_finite(means, state, epoch)
                if alone and self.resume.is_due:
                    self.check_finite(means, state, epoch)
                    state.pause(means.sums, time.monotonic() - began)
                    self.resume.save(state.state_dict())
        except RuntimeError:
            if alone or not interrupted():
                raise
            stopped = True  # another process ended, and torchrun stops this one
        if stopped and not alone:
            state.steps = 0
            raise Interrupted(f"`dvc repro` continues {state} of {self.run.epochs}")
        means.all_reduce()
        self.compute.synchronize()
        seconds = time.monotonic() - began
        self.check_finite(means, state, epoch)
        if stopped:
            state.pause(means.sums, seconds)
            self.resume.save(state.state_dict())
            raise Interrupted(f"`dvc repro` continues {state} of {self.run.epochs}")
        return means, seconds

    def rate(self, state: TrainState, step: int) -> float:
        """Return the learning rate of a step. step: counted from 0 over all epochs."""
        factor = schedules.lr_factor(self.run.schedule, step, len(self.batches), self.run.epochs)
        if isinstance(self.run.schedule, Plateau):
            scores = [row[f"dev/{self.task.SCORE.name}"] for row in state.history]
            factor *= schedules.plateau_factor(self.run.schedule, scores, self.task.SCORE.improves)
        return self.lr * factor

    def check_finite(self, means: RunningMeans, state: TrainState, epoch: int) -> None:
        """Raise Diverged with the step, the learning rate and the items if a loss of the epoch was not finite."""
        if (step := means.first_bad_step()) is None:
            return
        names = self.batches.item_names(epoch, step - epoch * len(self.batches))
        items = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        where = f"step {step} (epoch {epoch + 1}, learning rate {self.rate(state, step):.3g}, items {items})"
        raise Diverged(f"the loss is not finite at {where}; try a smaller lr or a clip_norm", state)


@torch.no_grad()
def evaluate(model: nn.Module, batches: Batches, task: ModuleType, run: Run, compute: Compute) -> tuple[float, float]:
    """Return the mean loss and score over all items of `batches`, in evaluation mode."""
    model.eval()
    means = RunningMeans(compute.device)
    for batch in batches.epoch(0):
        with compute.autocast():
            output = task.forward(model, batch)
        means.add(task.loss(output, batch, run.loss), task.score(output, batch))
    means.all_reduce()
    return means.read()
