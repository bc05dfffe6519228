"""One optimization step, in training and in the learning-rate range test."""

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
    """Take one step with the learning rate `lr`. Returns the losses and training metrics of the items, (N,) each.

    run.train.accumulate splits the batch into parts. The gradient is still that of the mean loss over the whole batch, but
    batch norm's statistics are of one part, and dropout draws differently.
    Raises InputError if the batch is too small for batch norm.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    parts, results = micro_batches(batch, run.train.accumulate), []
    num_items = len(batch.inputs) if len(parts) > 1 else None
    for part in parts:
        with distributed.averaging(model, part is parts[-1]):
            try:
                with compute.autocast():
                    output = task.forward(model, part)
            except ValueError as error:
                if "more than 1 value per channel" not in str(error):
                    raise
                raise InputError(
                    "batch_size: batch norm needs two values of each channel, but a batch has only one small item; give "
                    "another size"
                ) from None
            losses: Tensor = task.loss(output, part, run.loss)
            scaler.scale(distributed.mean_loss(losses, num_items)).backward()
        with torch.no_grad():
            results.append((losses.detach(), task.train_metric(output, part)))
    if run.train.clip_norm is not None:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), run.train.clip_norm)
    scaler.step(optimizer)
    scaler.update()
    all_losses, all_metrics = map(torch.cat, zip(*results, strict=True))
    return all_losses, all_metrics


def micro_batches(batch: Any, num: int) -> list[Any]:
    """Split a batch into `num` parts, whose sizes differ by at most one, or fewer if a process has fewer items."""
    if num == 1:
        return [batch]
    num = distributed.fewest(min(num, len(batch.inputs)))
    fields = [field.tensor_split(num) if isinstance(field, Tensor) and field.ndim else [field] * num for field in batch]
    return [type(batch)(*part) for part in zip(*fields, strict=True)]
