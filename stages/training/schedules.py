"""Learning-rate schedules as pure functions of the step and the dev scores, without a state to save."""

import math
from collections.abc import Callable

from stages.config import schema
from stages.config.schema import Constant, Cosine, CosineRestarts, OneCycle, Plateau


def depends_on_epochs(schedule: schema.Schedule) -> bool:
    """Whether the learning rate of a step depends on the total number of epochs."""
    return isinstance(schedule, OneCycle | Cosine)


def lr_factor(schedule: schema.Schedule, step: int, steps_per_epoch: int, epochs: int) -> float:
    """Return the factor of the learning rate. step: counted from 0 over all epochs."""
    total = steps_per_epoch * epochs
    match schedule:
        case Constant() | Plateau():
            return 1.0
        case OneCycle(_, peak_epoch, initial, final):
            # Each phase ends at its last step, as in torch.optim.lr_scheduler.OneCycleLR.
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


def plateau_factor(schedule: Plateau, scores: list[float], improves: Callable[[float, float], bool]) -> float:
    """Return the factor of the learning rate after epochs with these dev scores. improves(new, old): new is better.

    The same as torch.optim.lr_scheduler.ReduceLROnPlateau with `threshold=0`: any improvement counts, even of a single edit.
    """
    factor, waited = 1.0, 0
    best = scores[0] if scores else 0.0
    for score in scores[1:]:
        if improves(score, best):
            best, waited = score, 0
        elif (waited := waited + 1) > schedule.patience:
            factor, waited = factor * schedule.factor, 0
    return factor
