"""The one training loop, for every task; the learning-rate range test takes the same steps (step.py).

A task enters through its batches and a few names in its module: `forward(model, batch)` -> float32 output,
`loss(output, batch, settings)` -> (N,), `score(output, batch)` -> (N,) and `SCORE`, which says what the score is, and
`train_metric(output, batch)` -> (N,), called TRAIN_METRIC, which is cheap enough for every training step.
Sums stay on the device; the host reads them about once a second, for the progress bar, and at the end of each epoch.

A run can be stopped anywhere. Its state, after any step, says all that the steps to come depend on, because every random
draw is a function of the seed and of the step or the epoch and the item.
"""

import copy
import math
import time
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stages.compute import batch_norm, distributed
from stages.compute.device import Compute, seed_torch
from stages.config.schema import Plateau, Run
from stages.core import interrupts
from stages.core.errors import InputError, Interrupted
from stages.data.checkpoint import Resume
from stages.training import compiling, optimizers, schedules
from stages.training.protocol import Batches, Score
from stages.training.recorder import Recorder, Silence
from stages.training.step import take_step

RUNAWAY = 2.0  # an epoch whose mean loss is this many times the untrained network's has learnt nothing it could build on
NEVER = 2**62  # a step that is not reached

Weights = dict[str, Tensor]


class Diverged(InputError):
    """The loss was not finite, or ran away; `state` is the run's at the end of its last good epoch."""

    def __init__(self, message: str, state: dict[str, Any]) -> None:
        super().__init__(message)
        self.state = state


class Means:
    """Sums on the device: mean loss and score over items, and the first step whose loss was not finite."""

    def __init__(self, device: torch.device, sums: Tensor | None = None) -> None:
        kind = torch.float64 if device.type != "mps" else torch.float32
        self._sums = torch.zeros(3, device=device, dtype=kind) if sums is None else sums.clone().to(device)
        self._bad = torch.tensor(NEVER, device=device)

    def add(self, losses: Tensor, scores: Tensor, step: int = 0) -> None:
        """losses, scores: (N,)."""
        self._sums += torch.stack((losses.sum(), scores.sum(), torch.ones_like(losses).sum()))
        self._bad = torch.where(losses.isfinite().all(), self._bad, self._bad.clamp(max=step))

    def gather(self) -> None:
        """Take in what all processes have added up; each of them has to call this."""
        distributed.total(self._sums)
        distributed.least(self._bad)

    def read(self) -> tuple[float, float]:
        loss, score, count = self._sums.tolist()
        return loss / count, score / count

    def sums(self) -> Tensor:
        return self._sums.clone().cpu()

    def first_bad_step(self) -> int | None:
        bad = int(self._bad)
        return None if bad == NEVER else bad


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
    recorder: Recorder | Silence,
    resume: Resume,
    minutes_between_saves: float,
) -> dict[str, Any]:
    """Train `model` in place for run.epochs epochs, or fewer with early stopping.

    Returns the state at the end: `history` (a row an epoch), `seconds` of training (an epoch), `weights` (where an average
    is kept, the averaged ones) and `best` (epoch, score, weights); and `compile_seconds` if the network was compiled.
    Raises Diverged on a non-finite loss, naming the step, the rate and the items, and on an epoch's mean loss of more than
    twice the untrained network's; Interrupted on Ctrl-C or SIGTERM, after saving the state, with several processes that of
    the last whole epoch.
    """
    score: Score = task.SCORE
    batch_norm.synchronize(model)
    optimizer = optimizers.build_optimizer(run.optimizer, model, lr)
    scaler = compute.grad_scaler(model)
    decay = get_ema_multi_avg_fn(run.train.ema or 0.0)
    average = AveragedModel(model, multi_avg_fn=decay, use_buffers=True) if run.train.ema is not None else None
    evaluated = model if average is None else average.module
    for layer in evaluated.modules():
        if isinstance(layer, nn.RNNBase):
            layer.flatten_parameters()  # a copy's lie apart, which cuDNN would mend at every step
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "scaler": scaler} | (
        {"average": average} if average else {}
    )

    def capture(**progress: Any) -> dict[str, Any]:
        return copy.deepcopy({name: part.state_dict() for name, part in parts.items()}) | progress

    state = distributed.from_first(resume.load(), compute.device)
    if state is None:
        progress: dict[str, Any] = {"history": [], "seconds": [], "plateau": {}, "first_loss": math.nan, "best": None}
        state = capture(**progress, weights=_weights(evaluated), unfinished=None)
    else:
        for name, part in parts.items():
            part.load_state_dict(copy.deepcopy(state[name]))  # optimizers would go on to change the state's own tensors
        recorder.replay(state["history"])
        print(f"continuing {_where(state)}", flush=True)
    plateau = schedules.PlateauState(**state["plateau"])
    steps, first_loss, saved = len(batches), state["first_loss"], time.monotonic()
    network, compile_seconds = compiling.compiled(model, task, run, batches, compute)
    alone = distributed.size() == 1  # several processes do not agree on the time: they look and save between epochs only

    def rate_at(step: int) -> float:
        return lr * plateau.scale * schedules.lr_factor(run.schedule, step, steps, run.epochs)

    def in_the_middle(done: int, sums: Tensor, seconds: float) -> dict[str, Any]:
        assert state is not None
        last = {key: state[key] for key in ("history", "seconds", "plateau", "best", "weights")}
        return capture(**last, first_loss=first_loss, unfinished={"steps": done, "sums": sums, "seconds": seconds})

    with interrupts.noticed() as interrupted:
        for epoch in range(len(state["history"]), run.epochs):
            stopping = run.train.early_stopping
            if stopping and state["best"] and epoch - state["best"]["epoch"] >= stopping.patience:
                print(f"early stopping: the best dev {score.name} is that of epoch {state['best']['epoch']}")
                break
            begun = state["unfinished"] or {"steps": 0, "sums": None, "seconds": 0.0}
            done = begun["steps"]
            recorder.begin(epoch, done)
            model.train()
            # Anew in each epoch, as after an interruption: its first step changes the order in which it adds gradients up.
            stepped = distributed.join(network, compute.device)
            means = Means(compute.device, begun["sums"])
            compute.synchronize()
            noted = time.monotonic()
            began = noted - begun["seconds"]
            stopped = False
            try:
                for step, batch in enumerate(batches.epoch(epoch, done), start=epoch * steps + done):
                    to_stop = distributed.ask(interrupted)
                    seed_torch(seed, step, distributed.rank())
                    losses, metrics = take_step(stepped, optimizer, scaler, batch, task, run, compute, rate_at(step))
                    if average is not None:
                        average.update_parameters(model)
                    means.add(losses, metrics, step)
                    if step == 0:
                        first_loss = distributed.mean(losses[losses > 0])  # CTC is zero where the frames are too few
                    done += 1
                    recorder.step()
                    if stopped := to_stop():
                        break
                    now = time.monotonic()
                    if now - noted > 1:
                        noted = now
                        recorder.note(f"loss {means.read()[0]:.4g}")
                        if alone and means.first_bad_step() is not None:
                            break
                    if alone and now - saved > 60 * minutes_between_saves and means.first_bad_step() is None:
                        resume.save(in_the_middle(done, means.sums(), now - began))
                        saved = time.monotonic()
            except RuntimeError:
                if alone or not interrupted():
                    raise  # else another process has gone, and torchrun stops this one
                stopped = True
            if alone or not stopped:  # what the device still does with a process that has gone has no end
                compute.synchronize()
            seconds = time.monotonic() - began
            if not stopped:
                means.gather()
            if (bad := means.first_bad_step()) is not None:
                raise Diverged(_describe(batches, bad, epoch, steps, rate_at(bad)), state)
            if stopped:
                if alone:
                    state = in_the_middle(done, means.sums(), seconds)
                resume.save(state)
                raise Interrupted(f"`dvc repro` continues {_where(state)} of {run.epochs}")

            train_loss, train_metric = means.read()
            if train_loss > RUNAWAY * first_loss:
                grew = f"the loss grew from {first_loss:.3g} at the first step to {train_loss:.3g} in the mean of"
                raise Diverged(f"{grew} epoch {epoch + 1} (learning rate {lr:.3g}); try a smaller lr or a clip_norm", state)
            dev_loss, dev_score = measure(evaluated, dev, task, run, compute)
            if not math.isfinite(dev_loss):
                raise Diverged(f"the dev loss is {dev_loss} after epoch {epoch + 1}; try a smaller lr or clip_norm", state)
            row = {"epoch": epoch + 1.0, "lr": rate_at((epoch + 1) * steps - 1)}
            row |= {"train/loss": train_loss, "dev/loss": dev_loss}
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
                unfinished=None,
            )
            if time.monotonic() - saved > 60 * minutes_between_saves:
                resume.save(state)
                saved = time.monotonic()
    return state if compile_seconds is None else state | {"compile_seconds": compile_seconds}


@torch.no_grad()
def measure(model: nn.Module, batches: Batches, task: ModuleType, run: Run, compute: Compute) -> tuple[float, float]:
    """Mean loss and score over all items of `batches`, in evaluation mode."""
    model.eval()
    means = Means(compute.device)
    for batch in batches.epoch(0):
        with compute.autocast():
            output = task.forward(model, batch)
        means.add(task.loss(output, batch, run.loss), task.score(output, batch))
    means.gather()
    return means.read()


def _where(state: dict[str, Any]) -> str:
    """How far a state has come: "after epoch 3", or "after step 20 of epoch 4"."""
    epoch = len(state["history"])
    return (
        f"after step {state['unfinished']['steps']} of epoch {epoch + 1}" if state["unfinished"] else f"after epoch {epoch}"
    )


def _weights(model: nn.Module) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _describe(batches: Batches, bad: int, epoch: int, steps: int, rate: float) -> str:
    names = batches.items(epoch, bad - epoch * steps)
    return (
        f"the loss is not finite at step {bad} (epoch {epoch + 1}, learning rate {rate:.3g}, items {', '.join(names[:8])}"
        f"{', …' if len(names) > 8 else ''}); try a smaller lr or a clip_norm"
    )
