"""What a GPU would refuse or wait for, found without one: each network at its full size, on a CUDA device that is fake.

FakeTensorMode computes shapes, types and devices alone. An operation on two devices is an error there, and so is one whose
outcome the host has to read from the device (.item, .tolist, nonzero, a mask as an index), for which a GPU would stop.
Without a device it has no backward pass, no cuDNN and no CTC: LSTMs go PyTorch's other way, and a stand-in for CTC only
looks at the devices of its arguments. tests/gpu_ready/test_steps.py looks at whole steps.
"""

from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException

from benchmarks.fake_gpu import CUDA, fake_gpu, fake_network
from benchmarks.features import STATS
from benchmarks.gpu.sizes import full_params
from stages.compute.device import Compute
from stages.images.settings import CutMix, MixUp
from stages.images.training.batches import ImageBatch
from stages.tasks import task_module
from stages.tasks.faces.settings import ArcFace
from stages.training.running_means import RunningMeans
from tests.conftest import ROOT
from tests.gpu_ready.batches import first_batch

with chdir(ROOT):
    PARAMS = full_params()


@pytest.fixture(autouse=True)
def without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)  # which asks the driver
    monkeypatch.setattr(torch.nn.functional, "ctc_loss", stand_in_for_ctc)


def stand_in_for_ctc(log_probs: Tensor, targets: Tensor, lengths: Tensor, target_lengths: Tensor, **_: Any) -> Tensor:
    """(N,) where the arguments are. One device must hold them all, or PyTorch copies some of them."""
    [device] = {tensor.device for tensor in (log_probs, targets, lengths, target_lengths)}
    assert log_probs.dtype == torch.float32
    return torch.empty(log_probs.shape[1], device=device)


def computed(run: Any, folder: Path, precision: str, *, training: bool) -> RunningMeans:
    """Forward pass, loss and metric of a batch, added up as the training loop adds them."""
    task = task_module(run.task, "training")
    with fake_gpu(), torch.set_grad_enabled(training):
        model, means = fake_network(task, run, STATS[run.task]).train(training), RunningMeans(CUDA)
        batch = first_batch(run, STATS[run.task], folder, CUDA, run.augment if training else None)
        assert all(tensor.device == CUDA for tensor in (batch.inputs, batch.targets))
        with Compute(CUDA, precision).autocast():
            output = task.forward(model, batch)
        losses, metrics = task.loss(output, batch, run.loss), task.train_metric(output, batch)
        assert losses.device == metrics.device == CUDA and losses.dtype == torch.float32
        means.add(losses.detach(), metrics, 3)
    return means


@pytest.mark.parametrize("name", PARAMS.runs)
@pytest.mark.parametrize(("precision", "training"), [("bf16", True), ("fp16", False)])
def test_every_operation_is_the_devices_own(name: str, precision: str, training: bool, tmp_path: Path) -> None:
    means = computed(PARAMS.run(name), tmp_path, precision, training=training)
    assert means.sums.device == CUDA


def test_mixed_images_and_arcface_are_the_devices_own(tmp_path: Path) -> None:
    run = PARAMS.run("resnet50")
    for mix in (MixUp("mixup", alpha=0.2, p=1.0), CutMix("cutmix", alpha=1.0, p=1.0)):
        loss = replace(run.loss, arcface=ArcFace(margin=0.5, scale=64.0))
        changed = replace(run, augment=replace(run.augment, mix=mix), loss=loss)
        computed(changed, tmp_path, "bf16", training=True)


@pytest.mark.parametrize("deterministic", [False, True])
def test_ctc_finds_its_arguments_on_one_device(deterministic: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: deterministic)
    computed(PARAMS.run("convnext1d"), tmp_path, "bf16", training=True)


@pytest.mark.parametrize(
    ("wait", "error"),
    [
        (lambda batch: batch.inputs.sum().item(), DataDependentOutputException),
        (lambda batch: batch.inputs + torch.zeros(3, 1, 1), RuntimeError),
    ],
    ids=["item", "another device"],
)
def test_what_would_stop_a_gpu_is_an_error_here(wait: Any, error: type[Exception], tmp_path: Path) -> None:
    with fake_gpu():
        batch: ImageBatch = first_batch(PARAMS.run("custom_resnet"), STATS["cifar10"], tmp_path, CUDA, None)
        with pytest.raises(error):
            wait(batch)


def test_autocast_takes_effect_on_the_fake_device() -> None:
    with fake_gpu(), Compute(CUDA, "bf16").autocast():
        assert torch.nn.functional.linear(*torch.ones(2, 3, 3, device=CUDA)).dtype == torch.bfloat16
