"""Several processes, started by torchrun, that take the same steps as one process.

Each item of a batch goes to one process. DistributedDataParallel averages the gradients, batch norm uses the statistics of
the whole batch (batch_norm.py), and sums are over all processes. The random draws of an item, such as its augmentation, do
not depend on its process. Dropout differs between processes, and MixUp and CutMix mix within a shard. Without torchrun these
functions do nothing, except `batch_ends`.
"""

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from stages.core.errors import InputError

MIN_LAST = 8  # items of the last batch of an epoch


@contextmanager
def processes(device: torch.device) -> Iterator[None]:
    """Set up the process group for the block: gloo, and NCCL for GPUs. Does nothing without torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    store, rank, size = next(rendezvous("env://"))
    if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":
        # torchrun gives restarted processes the old store with dead addresses (github.com/pytorch/pytorch/issues/135712).
        # With several hosts, each host has its own restart count.
        store = dist.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)  # type: ignore[attr-defined]
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", store=store, rank=rank, world_size=size
    )
    yield
    dist.destroy_process_group()  # not after an error, as NCCL would wait for the other processes before reporting it


def rank() -> int:
    """Return the number of this process. Rank 0 writes all files and all output."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def local_size() -> int:
    """Return the number of processes on this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if size() > 1 else 1


def batch_ends(num_items: int, batch_size: int) -> list[int]:
    """Return the end of each batch of a training epoch. A small last batch joins the one before it.

    So each process gets an item, and batch norm more than one image.
    """
    ends = [*range(batch_size, num_items, batch_size), num_items]
    if len(ends) > 1 and num_items - ends[-2] < max(min(MIN_LAST, batch_size), size()):
        del ends[-2]
    return ends


def require(smallest: int) -> None:
    """Raises InputError if a batch of `smallest` items cannot give every process one."""
    if smallest < size():
        raise InputError(
            f"batch_size: the smallest batch has {smallest} item(s) for {size()} processes; give a larger batch_size or "
            "start fewer processes"
        )


def shard(batch: Any) -> Any:
    """Return this process's shard of a batch, a tensor or an array. Shards differ by one item at most."""
    return batch[rank() :: size()]


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """Replace `tensor` by its sum over all processes, in place."""
    if size() > 1:
        dist.all_reduce(tensor)
    return tensor


def all_reduce_min(tensor: Tensor) -> Tensor:
    """Replace `tensor` by its minimum over all processes, in place."""
    if size() > 1:
        dist.all_reduce(tensor, dist.ReduceOp.MIN)
    return tensor


def any_process(wanted: Callable[[], bool]) -> Callable[[], bool]:
    """Start to ask all processes whether they want something; the returned function waits and says whether any does.

    The communication overlaps with the caller's work. A single process is asked when the function is called.
    """
    if size() == 1:
        return wanted
    flag = torch.tensor(int(wanted()))
    work = dist.all_reduce(flag, dist.ReduceOp.MAX, async_op=True)

    def answer() -> bool:
        work.wait()
        return bool(flag)

    return answer


def mean(values: Tensor) -> float:
    """Return the mean of the values (N,) of all processes; nan if there are none."""
    summed, count = all_reduce_sum(torch.stack((values.sum(), torch.ones_like(values).sum())))
    return float(summed / count)


def fewest(number: int) -> int:
    """Return the minimum of the processes' numbers."""
    return int(all_reduce_min(torch.tensor(number)))


def mean_loss(losses: Tensor, num_items: int | None = None) -> Tensor:
    """(N,) -> (): the loss for `backward`. After `wrap_model` its gradient is that of the mean over the whole batch.

    num_items: the size of this process's shard, if `losses` are only a part of it; the parts' gradients then add up.
    """
    if size() == 1:
        return losses.mean() if num_items is None else losses.sum() / num_items
    count = torch.full((), float(num_items or len(losses)), device=losses.device)
    return losses.sum() * size() / all_reduce_sum(count)


def averaging(model: nn.Module, wanted: bool) -> AbstractContextManager[None]:
    """Average the gradients over all processes in the block's backward passes only if `wanted`. model: of `wrap_model`."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) and not wanted else nullcontext()


def wrap_model(model: nn.Module, device: torch.device) -> nn.Module:
    """Return the model for training steps, which averages the gradients over several processes."""
    if size() == 1:
        return model
    is_new = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters  # the name since PyTorch 2.14
    settings: dict[str, Any] = {"forward_sync_buffers" if is_new else "broadcast_buffers": False}
    return DistributedDataParallel(model, [device] if device.type == "cuda" else None, **settings)


def broadcast(state: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the state of rank 0, so that the other processes need not share its disk."""
    if size() == 1:
        return state
    states = [state]
    dist.broadcast_object_list(states, 0, device=torch.device("cpu"))
    return states[0]
