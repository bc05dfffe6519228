"""The state of a training: everything that its next steps depend on, so that a stopped run can continue."""

import math
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from stages.compute.device import Compute
from stages.config.schema import Run
from stages.training.optimizers import build_optimizer
from stages.training.protocol import Score

Weights = dict[str, Tensor]


@dataclass
class Best:
    """The best dev score so far, its epoch, counted from 1, and its weights: those of `ema`, if there is one."""

    epoch: int
    score: float
    weights: Weights


@dataclass
class TrainState:
    """The network and everything that changes in training.

    Random generators have no state here: each draw is a function of the seed and the step, or of the epoch and the item.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    ema: AveragedModel | None  # exponential moving average of the weights
    mean: AveragedModel | None  # mean of the weights after each of the last epochs
    weights: Weights  # of the network after the last finished epoch
    averages: dict[str, Weights] = field(default_factory=dict)  # `ema` after that epoch; `mean` after training
    history: list[dict[str, float]] = field(default_factory=list)  # a row per epoch
    seconds: list[float] = field(default_factory=list)  # training time per epoch
    best: Best | None = None
    first_loss: float = math.nan  # of the untrained network
    # Of an unfinished epoch:
    steps: int = 0
    sums: Tensor | None = None  # RunningMeans.sums
    seconds_so_far: float = 0.0
    compile_seconds: float | None = None  # of this process; not saved

    @classmethod
    def start(cls, model: nn.Module, run: Run, lr: float, compute: Compute) -> Self:
        """Return the state before the first step."""
        ema = None if run.train.ema is None else AveragedModel(model, use_buffers=True)
        mean = None if run.train.mean is None else AveragedModel(model)
        for average in (ema, mean):
            for layer in average.modules() if average is not None else ():
                if isinstance(layer, nn.RNNBase):
                    layer.flatten_parameters()  # cuDNN would copy the weights at every step
        optimizer = build_optimizer(run.optimizer, model, lr)
        state = cls(model, optimizer, compute.grad_scaler(model), ema, mean, copy_weights(model))
        state._keep_ema()
        return state

    def average_step(self, decay: float) -> None:
        """Update the exponential average with the weights and batch norm statistics after a step.

        After t steps the decay is at most (1 + t) / (10 + t), so that the initial weights fade quickly.
        """
        assert self.ema is not None
        steps = int(self.ema.n_averaged)
        self.ema.multi_avg_fn = get_ema_multi_avg_fn(min(decay, (1 + steps) / (10 + steps)))
        self.ema.update_parameters(self.model)

    @property
    def evaluated(self) -> nn.Module:
        """The network that is evaluated on dev: `ema`, if there is one."""
        return self.model if self.ema is None else self.ema.module

    def state_dict(self) -> dict[str, Any]:
        """Return the state for torch.save and `load_state_dict`."""
        modules: dict[str, Any] = {"model": self.model, "optimizer": self.optimizer, "scaler": self.scaler}
        modules |= {name: average for name in ("ema", "mean") if (average := getattr(self, name)) is not None}
        plain = ("weights", "averages", "history", "seconds", "first_loss", "steps", "sums", "seconds_so_far")
        state = {name: module.state_dict() for name, module in modules.items()}
        state |= {name: getattr(self, name) for name in plain}
        return state | {"best": None if self.best is None else vars(self.best)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state from `state_dict`."""
        for name, value in state.items():
            if name == "scaler" and not value:
                continue  # saved without a loss scaler, as on a CPU
            if name == "optimizer":  # `fused` depends on the device
                groups = zip(value["param_groups"], self.optimizer.param_groups, strict=True)
                value = value | {"param_groups": [saved | {"fused": own["fused"]} for saved, own in groups]}
            if name in ("model", "optimizer", "scaler", "ema", "mean"):
                getattr(self, name).load_state_dict(value)
            else:
                setattr(self, name, value)
        self.best = None if state["best"] is None else Best(**state["best"])

    def pause(self, sums: Tensor, seconds: float) -> None:
        """Store the sums and seconds of an unfinished epoch before it is saved."""
        self.sums, self.seconds_so_far = sums.cpu(), seconds

    def finish_epoch(self, row: dict[str, float], seconds: float, score: float | None, by: Score) -> None:
        """Store the results of an epoch. score: on dev, if it was evaluated, compared as `by` says."""
        self.history.append(row)
        self.seconds.append(seconds)
        self.weights = copy_weights(self.model)
        self._keep_ema()
        if score is not None and (self.best is None or by.improves(score, self.best.score)):
            self.best = Best(len(self.history), score, self.averages.get("ema", self.weights))
        self.steps, self.sums, self.seconds_so_far = 0, None, 0.0

    def _keep_ema(self) -> None:
        if self.ema is not None:
            self.averages["ema"] = copy_weights(self.ema.module)

    def __str__(self) -> str:
        """Return "after epoch 3" or "after step 20 of epoch 4"."""
        epoch = len(self.history)
        return f"after step {self.steps} of epoch {epoch + 1}" if self.steps else f"after epoch {epoch}"


def copy_weights(model: nn.Module) -> Weights:
    """Return a copy of the model's tensors by name."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
