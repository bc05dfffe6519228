"""One step of gradient descent, which training and the learning-rate range test share."""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from stages.compute import distributed
from stages.compute.device import Compute
from stages.config.schema import Run
from stages.core.errors import InputError


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
    """One step of gradient descent at the rate `lr`: the items' losses and training metrics, (N,) each.

    Raises InputError where the batch is too small for batch norm.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr
    try:
        with compute.autocast():
            output = task.forward(model, batch)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise InputError(
            "batch_size: batch norm needs two values of each channel, which one small item does not leave; give another size"
        ) from None
    losses: Tensor = task.loss(output, batch, run.loss)
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(distributed.mean_loss(losses)).backward()
    if run.train.clip_norm is not None:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), run.train.clip_norm)
    scaler.step(optimizer)
    scaler.update()
    with torch.no_grad():
        return losses.detach(), task.train_metric(output, batch)
