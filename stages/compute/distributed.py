"""Several processes, started by torchrun, that together take the steps that one process would take.

Each item of a batch goes to one process. DistributedDataParallel averages the gradients, batch norm takes its statistics
over the whole batch (batch_norm.py), and sums are over all processes. The random draws of an item, such as its augmentation,
do not depend on the process that gets it. Dropout differs between processes, and MixUp and CutMix mix within a shard.
Without torchrun these functions leave everything as it is, except `batch_ends`.
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
    """The process group of the block: gloo, and NCCL for GPUs. Nothing without torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    store, rank, size = next(rendezvous("env://"))
    if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":
        # torchrun gives restarted processes the store of the old ones, which holds dead addresses
        # (github.com/pytorch/pytorch/issues/135712). With several hosts each host counts restarts for itself.
        store = dist.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)  # type: ignore[attr-defined]
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", store=store, rank=rank, world_size=size
    )
    yield
    dist.destroy_process_group()  # not after an error: NCCL would wait for the other processes before it is reported


def rank() -> int:
    """The number of this process. Rank 0 writes all files and talks to the user."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def local_size() -> int:
    """How many of the processes share this machine's cores."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if size() > 1 else 1


def batch_ends(num_items: int, batch_size: int) -> list[int]:
    """The end of each batch of a training epoch. A small last batch joins the one before it.

    So each process gets an item, and batch norm more than a single image.
    """
    ends = [*range(batch_size, num_items, batch_size), num_items]
    if len(ends) > 1 and num_items - ends[-2] < max(min(MIN_LAST, batch_size), size()):
        del ends[-2]
    return ends


def require(smallest: int) -> None:
    """Raises InputError if a batch of `smallest` items cannot give every process one."""
    if smallest < size():
        raise InputError(
            f"batch_size: the smallest batch has {smallest} item(s) for {size()} processes; give a larger batch_size, or "
            "let the launcher start fewer"
        )


def shard(batch: Any) -> Any:
    """This process's part of a batch, a tensor or an array. The parts differ by one item at most."""
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
    """Ask every process whether it wants something. The function returned waits for the answers: does any want it?

    The answers travel while the caller computes. A single process is asked when the function is called.
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
    """The mean of the values (N,) of all processes; nan if there are none."""
    summed, count = all_reduce_sum(torch.stack((values.sum(), torch.ones_like(values).sum())))
    return float(summed / count)


def fewest(number: int) -> int:
    """The least of the numbers that the processes have."""
    return int(all_reduce_min(torch.tensor(number)))


def mean_loss(losses: Tensor, num_items: int | None = None) -> Tensor:
    """(N,) -> (): the loss for `backward`. After `wrap_model` its gradient is that of the mean over the whole batch.

    num_items: of this process's share of the batch, where `losses` are those of a part of it; the gradients then add up.
    """
    if size() == 1:
        return losses.mean() if num_items is None else losses.sum() / num_items
    count = torch.full((), float(num_items or len(losses)), device=losses.device)
    return losses.sum() * size() / all_reduce_sum(count)


def averaging(model: nn.Module, wanted: bool) -> AbstractContextManager[None]:
    """Whether backward passes in the block average the gradients over all processes, where `wrap_model` made `model`."""
    return model.no_sync() if isinstance(model, DistributedDataParallel) and not wanted else nullcontext()


def wrap_model(model: nn.Module, device: torch.device) -> nn.Module:
    """The model for training steps. With several processes it averages the gradients over all of them."""
    if size() == 1:
        return model
    is_new = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters  # its name since PyTorch 2.14
    settings: dict[str, Any] = {"forward_sync_buffers" if is_new else "broadcast_buffers": False}
    return DistributedDataParallel(model, [device] if device.type == "cuda" else None, **settings)


def broadcast(state: dict[str, Any] | None) -> dict[str, Any] | None:
    """The state that the process of rank 0 gave. The others need not see its disk."""
    if size() == 1:
        return state
    states = [state]
    dist.broadcast_object_list(states, 0, device=torch.device("cpu"))
    return states[0]
