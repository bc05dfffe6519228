"""Learning-rate schedules as pure functions of the step, so that a resumed run needs no scheduler's state.

The one schedule with a state is reduce-on-plateau, which listens to the dev score: `PlateauState`.
"""

import math
from dataclasses import dataclass

from stages.config import schema
from stages.config.schema import Constant, Cosine, CosineRestarts, OneCycle, Plateau


def lr_factor(schedule: schema.Schedule, step: int, steps_per_epoch: int, epochs: int) -> float:
    """What to multiply the learning rate by in the step `step`, counted from 0 over all epochs."""
    total = steps_per_epoch * epochs
    match schedule:
        case Constant() | Plateau():
            return 1.0
        case OneCycle(_, peak_epoch, initial, final):
            # Each phase ends in its last step, as in torch.optim.lr_scheduler.OneCycleLR.
            peak, last = max(peak_epoch * steps_per_epoch - 1, 0.0), max(total - 1.0, 1.0)
            if step < peak:
                return initial + (1 - initial) * step / peak
            return 1 - (1 - final) * (step - peak) / (last - peak)
        case Cosine(_, warmup_epochs):
            warmup = warmup_epochs * steps_per_epoch
            if step < warmup:
                return (step + 1) / (warmup + 1)
            return (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1))) / 2
        case CosineRestarts(_, t_0, t_mult):
            length, since = float(t_0), step / steps_per_epoch
            while since >= length:
                since, length = since - length, length * t_mult
            return (1 + math.cos(math.pi * since / length)) / 2


@dataclass
class PlateauState:
    """Reduce-on-plateau: `scale` multiplies the learning rate; `update` takes each epoch's dev score."""

    scale: float = 1.0
    best: float | None = None
    waited: int = 0

    def update(self, schedule: Plateau, score: float, higher_is_better: bool) -> None:
        if self.best is None or (score > self.best if higher_is_better else score < self.best):
            self.best, self.waited = score, 0
            return
        self.waited += 1
        if self.waited > schedule.patience:
            self.scale, self.waited = self.scale * schedule.factor, 0
