"""One step of gradient descent, which training and the learning-rate range test share."""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from stages.compute import distributed
from stages.compute.device import Compute
from stages.config.schema import Run


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
    scaler.scale(distributed.mean_loss(losses)).backward()
    if run.train.clip_norm is not None:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), run.train.clip_norm)
    scaler.step(optimizer)
    scaler.update()
    with torch.no_grad():
        return losses.detach(), task.train_metric(output, batch)
