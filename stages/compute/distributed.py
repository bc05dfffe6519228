"""Several processes, as torchrun starts them, which together take the steps that one process would take.

Every batch is shared out, each item to one process; DistributedDataParallel averages the gradients; batch norm takes its
statistics over all shares (batch_norm.py); sums are over all processes. What is drawn for an item, such as its augmentation,
is the same wherever the item goes. Dropout draws differ between processes, and MixUp and CutMix mix within a share.
In a process of its own, without torchrun, only `cut` does anything here.
"""

import inspect
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.nn.functional import all_reduce
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from stages.core.errors import InputError

MIN_LAST = 8  # items of the last batch of an epoch


@contextmanager
def processes(device: torch.device) -> Iterator[None]:
    """Within the block the processes that torchrun started know each other: through gloo, and NCCL where there are GPUs."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    store, rank, size = next(rendezvous("env://"))
    if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":
        # torchrun gives processes that it starts again the store of those that have gone, with their addresses in it
        # (github.com/pytorch/pytorch/issues/135712). Of several hosts each counts restarts for itself.
        store = dist.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)  # type: ignore[attr-defined]
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", store=store, rank=rank, world_size=size
    )
    yield
    dist.destroy_process_group()  # not after an error, which it would hold back: NCCL waits for the other processes first


def rank() -> int:
    """Which of the processes this is. The one of rank 0 writes all files and talks to the user."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def local_size() -> int:
    """How many of the processes share this machine's cores."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if size() > 1 else 1


def cut(num_items: int, batch_size: int) -> list[int]:
    """Where each batch of an epoch of training ends. A small rest joins the batch before, so that each process has an item.

    It does so in one process as well: batch norm learns nothing from a single image.
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


def share(places: Any) -> Any:
    """This process's part of a batch, a tensor or an array; the parts differ by one item at most."""
    return places[rank() :: size()]


def total(tensor: Tensor) -> Tensor:
    """`tensor`, in place the sum of all processes' own."""
    if size() > 1:
        dist.all_reduce(tensor)
    return tensor


def differentiable_sum(tensor: Tensor) -> Tensor:
    """The sum of all processes' own, through which gradients flow back to each of them."""
    return all_reduce(tensor) if size() > 1 else tensor


def least(tensor: Tensor) -> Tensor:
    """`tensor`, in place the smallest of all processes' own."""
    if size() > 1:
        dist.all_reduce(tensor, dist.ReduceOp.MIN)
    return tensor


def ask(wanted: Callable[[], bool]) -> Callable[[], bool]:
    """Ask all processes, past their GPUs; what is returned waits for the answers, and says whether any wants it.

    They come while something else is computed. A process of its own is asked only then.
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
    """Over the values (N,) of all processes; nan if there are none."""
    summed, count = total(torch.stack((values.sum(), torch.ones_like(values).sum())))
    return float(summed / count)


def mean_loss(losses: Tensor) -> Tensor:
    """(N,) -> (): what to call backward on, so that after `join` the gradient is that of the mean over all shares."""
    if size() == 1:
        return losses.mean()
    return losses.sum() * size() / total(torch.full((), float(len(losses)), device=losses.device))


def join(model: nn.Module, device: torch.device) -> nn.Module:
    """The model to step with: itself, or one with the same parameters whose gradients are means over all processes."""
    if size() == 1:
        return model
    is_new = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters  # PyTorch 2.14 calls it so
    settings: dict[str, Any] = {"forward_sync_buffers" if is_new else "broadcast_buffers": False}
    return DistributedDataParallel(model, [device] if device.type == "cuda" else None, **settings)


def from_first(state: dict[str, Any] | None, device: torch.device) -> dict[str, Any] | None:
    """The state that the process of rank 0 gave, which need not be on a disk that the others can see."""
    if size() == 1:
        return state
    buffer = io.BytesIO()
    torch.save(state, buffer)
    length = torch.tensor(buffer.tell(), device=device)
    dist.broadcast(length, 0)
    content = torch.empty(int(length), dtype=torch.uint8, device=device)
    if rank() == 0:
        content.copy_(torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8))
    dist.broadcast(content, 0)
    received: dict[str, Any] | None = torch.load(
        io.BytesIO(content.cpu().numpy().tobytes()), map_location="cpu", weights_only=True
    )
    return received
