"""Whole training steps on the CPU as an older GPU takes them: through float16, with loss scaling and fused optimizers."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.features import STATS
from stages.compute.device import Compute, seed_torch
from stages.config.schema import Run, Training
from stages.tasks import load_params, task_module
from stages.training.running_means import RunningMeans
from stages.training.state import TrainState
from stages.training.step import take_step
from tests.conftest import ROOT
from tests.gpu_ready.batches import first_batch

PARAMS = load_params(ROOT / "params.yaml")
SMALL: dict[str, dict[str, Any]] = {
    "custom_resnet": {"width": 4},
    "dilated_net": {},
    "resnet50": {"width": 4},
    "convnext": {"width": 4},
    "pblstm": {"hidden": 8, "decoder": 16},
    "bilstm": {"hidden": 8},
    "conv_bilstm": {"hidden": 8},
    "convnext1d": {"width": 4},
}
FP16 = Compute(torch.device("cpu"), "fp16")


def small(name: str, **changes: Any) -> Run:
    run = PARAMS.run(name)
    return replace(run, model=replace(run.model, **SMALL[name]), batch_size=8, **changes)


def start(run: Run) -> TrainState:
    seed_torch(0)
    model = FP16.to_device(task_module(run.task, "training").build_model(run, STATS[run.task]))
    return TrainState.start(model, run, 1e-3, FP16)


def step(state: TrainState, run: Run, batch: Any) -> torch.Tensor:
    """The losses, as in the training loop's step."""
    task = task_module(run.task, "training")
    losses, metrics = take_step(state.model, state.optimizer, state.scaler, batch, task, run, FP16, 1e-3)
    if state.ema is not None:
        state.average_step(0.999)
    RunningMeans(FP16.device).add(losses, metrics, 1)
    return losses


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As build_optimizer makes them on a GPU."""
    for name in ("SGD", "Adam", "AdamW"):
        monkeypatch.setattr(torch.optim, name, partial(getattr(torch.optim, name), fused=True))


def test_there_is_a_small_one_of_every_run() -> None:
    assert SMALL.keys() == PARAMS.runs.keys()


@pytest.mark.parametrize("name", SMALL)
def test_steps_through_float16_learn_and_stay_finite(name: str, tmp_path: Path, fused: None) -> None:
    run = small(name, train=Training(clip_norm=5.0))
    stats: Any = STATS[run.task]
    if name == "dilated_net":  # which comes in one size; the others' layers want 32 pixels
        run, stats = replace(run, batch_size=4), replace(stats, side=16)
    state, batch = start(run), first_batch(run, stats, tmp_path, FP16.device, run.augment)
    state.model.train()
    losses = [step(state, run, batch) for _ in range(12)]
    assert all(row.isfinite().all() for row in losses)
    assert losses[-1].mean() < losses[0].mean()
    assert state.scaler.is_enabled() and all(weight.isfinite().all() for weight in state.model.state_dict().values())


# What PyTorch documents as an error under use_deterministic_algorithms on CUDA, by the names inside.
# Of NLLLoss that of images of classes; that of single classes has an order.
WITHOUT_ORDER = {
    "avg_pool3d_backward",
    "_adaptive_avg_pool2d_backward",
    "_adaptive_avg_pool3d_backward",
    "adaptive_max_pool2d_backward",
    "adaptive_max_pool3d_backward",
    "fractional_max_pool2d_backward",
    "fractional_max_pool3d_backward",
    "max_pool3d_with_indices_backward",
    "max_unpool2d",
    "max_unpool3d",
    "upsample_bilinear2d_backward",
    "reflection_pad1d_backward",
    "reflection_pad2d_backward",
    "reflection_pad3d_backward",
    "nll_loss2d_forward",
    "_ctc_loss_backward",
    "_embedding_bag",
    "put_",
    "histc",
    "bincount",
    "kthvalue",
    "median",
    "grid_sampler_2d_backward",
    "scatter_reduce",
    "cumsum",
    "resize_",
}


class Operations(TorchDispatchMode):
    """The names of all operations, and of those whose outcome the host reads."""

    READ = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "bincount")

    def __init__(self) -> None:
        super().__init__()
        self.used, self.waits = set[str](), list[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.used.add(name)
        by_mask = name in ("index", "index_put_") and any(mask is not None and mask.dtype == torch.bool for mask in args[1])
        if name in self.READ or by_mask:
            self.waits.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", SMALL)
def test_the_host_waits_for_nothing_in_a_step_and_no_operation_lacks_an_order(
    name: str, tmp_path: Path, fused: None
) -> None:
    """Forward, loss, backward, clipping, loss scaling, optimizer, running means.

    CTC takes its gradient on the CPU under use_deterministic_algorithms, which adds up in order.
    """
    run = small(name, train=Training(clip_norm=5.0))
    state, batch = start(run), first_batch(run, STATS[run.task], tmp_path, FP16.device, run.augment)
    state.model.train()
    with Operations() as operations:
        step(state, run, batch)
    assert not operations.waits
    assert operations.used & WITHOUT_ORDER == ({"_ctc_loss_backward"} if run.task == "speech" else set())


@pytest.mark.parametrize(  # of SGD, Adam and AdamW
    ("name", "there"), [("resnet50", "from a CPU"), ("bilstm", "from a GPU"), ("convnext", "from a GPU")]
)
def test_a_state_moves_between_fused_optimizers_and_others(
    name: str, there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small(name, train=Training(ema=0.9))
    batch = first_batch(run, STATS[run.task], tmp_path, FP16.device, run.augment)
    kind = type(run.optimizer).__name__
    plain, as_on_gpu = getattr(torch.optim, kind), partial(getattr(torch.optim, kind), fused=True)
    states = []
    for first, second in ((plain, plain), (plain, as_on_gpu) if there == "from a CPU" else (as_on_gpu, plain)):
        monkeypatch.setattr(torch.optim, kind, first)
        before = start(run)
        step(before, run, batch)
        monkeypatch.setattr(torch.optim, kind, second)
        after = start(run)
        after.load_state_dict(before.state_dict())
        assert after.optimizer.param_groups[0]["fused"] == (True if second is as_on_gpu else None)
        step(after, run, batch)
        states.append(after)
    weights, moved = (state.model.state_dict() for state in states)
    torch.testing.assert_close(moved, weights, rtol=1e-4, atol=1e-5)
