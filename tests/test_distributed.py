"""Two processes do what one does: the same steps on the same batches, each item once, and one of them writes."""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from stages import download, find_lr, normalize, predict, train
from stages.compute import distributed
from stages.compute.batch_norm import SharedBatchNorm2d
from stages.core import paths
from stages.core.errors import InputError
from stages.data import checkpoint
from stages.tasks import load_params
from tests.conftest import ROOT, Project


def plain(lr: float) -> dict[str, Any]:
    return {"name": "sgd", "lr": lr, "momentum": 0.9}


# No dropout, which differs. Of 100 training images the last four join the batch before; 21 faces and 22 utterances make
# batches of odd sizes. A larger rate for custom_resnet lets rounding grow too fast for a comparison.
SETTINGS: dict[str, Any] = {
    "precision": "fp32",
    "tasks__cifar10__sample": {"train": 110, "test": 10},
    "tasks__faces__sample": {"identities": 3, "train": 7, "dev": 1, "test": 1, "known": 2, "unknown": 6},
    "tasks__speech__sample": {"train": 22, "dev": 5, "test": 2},
    "runs__custom_resnet__model": {"name": "custom_resnet", "width": 2, "dropout": 0.0},
    "runs__custom_resnet__optimizer": plain(1e-4),
    "runs__custom_resnet__sample": {"epochs": 2, "batch_size": 16},
    "runs__custom_resnet__train": {"ema": 0.9, "mean": 2},
    "runs__custom_resnet__evaluate__weights": "mean",
    "runs__resnet50__sample": {
        "model": {"width": 2},
        "optimizer": plain(0.01),
        "epochs": 2,
        "batch_size": 8,
        "loading": "workers",
    },
    "runs__bilstm__sample": {"model": {"hidden": 8, "num_layers": 1, "dropout": 0.0}, "epochs": 2, "batch_size": 8},
    "runs__bilstm__optimizer": plain(0.02),
    "runs__bilstm__train__clip_norm": 1.0,
}
RUNS = {"custom_resnet": "cifar10", "resnet50": "faces", "bilstm": "speech"}


def torchrun(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_ALBUMENTATIONS_UPDATE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def outcome(run: str) -> tuple[dict[str, torch.Tensor], dict[str, np.ndarray], Path]:
    """The weights that `evaluate` takes, and every column of the history."""
    weights = safetensors.torch.load_file(predict.weights_file(run, load_params().run(run)))
    tables = {
        str(file): np.loadtxt(file, skiprows=1, ndmin=2)[:, 1] for file in Path(f"metrics/{run}/train/plots").rglob("*.tsv")
    }
    return weights, tables, paths.timing(checkpoint.weights_hash(weights))


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_two_processes_train_as_one_does(project: Project, run: str, capsys: pytest.CaptureFixture[str]) -> None:
    project.set(**SETTINGS)
    download.main(RUNS[run])
    normalize.main(RUNS[run])
    find_lr.main(run)
    train.main(run)
    weights, tables, _ = outcome(run)
    capsys.readouterr()

    process = torchrun("-m", "stages.train", run)
    told, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert told.count("epoch 2/2") == 1 and "2 processes" in told, "only the first process tells"
    together, history, timing = outcome(run)
    assert history.keys() == tables.keys() and len(history) >= 5
    for name, column in tables.items():
        np.testing.assert_allclose(history[name], column, rtol=2e-4, atol=1e-6, err_msg=name)
    torch.testing.assert_close(together, weights, rtol=2e-4, atol=2e-5)
    assert json.loads(timing.read_text())["epochs"] == 2
    assert not list(Path(".resume").rglob("*-2/*.pt")) and not list(Path().rglob("*.partial"))


@pytest.mark.slow
def test_two_processes_that_take_their_shares_in_parts_train_as_one_does(project: Project) -> None:
    """A network without batch norm, whose statistics would be those of other parts. 21 faces make batches of 8 and 13."""
    sample = {"model": {"width": 2, "path_dropout": 0.0}, "optimizer": plain(0.01), "epochs": 2, "batch_size": 8}
    project.set(**SETTINGS, runs__convnext__sample=sample, runs__convnext__augment={})
    download.main("faces")
    normalize.main("faces")
    find_lr.main("convnext")
    train.main("convnext")
    weights, _, _ = outcome("convnext")
    project.set(runs__convnext__train__accumulate=3)
    process = torchrun("-m", "stages.train", "convnext")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    torch.testing.assert_close(outcome("convnext")[0], weights, rtol=2e-4, atol=2e-5)


RESTARTED = """
import os, sys, time
import torch
from stages.compute import distributed

attempt, rank = os.environ["TORCHELASTIC_RESTART_COUNT"], os.environ["RANK"]
time.sleep(float(rank) if attempt == "1" else 0)
with distributed.processes(torch.device("cpu")):
    distributed.all_reduce_sum(torch.ones(1))
    if attempt == "0":
        os._exit(1)
    os.write(1, f"process {rank} of {distributed.size()}\\n".encode())  # at once: `print` may write text and end apart
"""


@pytest.mark.slow
def test_processes_that_torchrun_starts_again_do_not_look_for_the_dead(tmp_path: Path) -> None:
    """One that is a little late finds the other waiting, not gone to the address that its predecessor had."""
    script = tmp_path / "restarted.py"
    script.write_text(RESTARTED)
    process = torchrun("--max-restarts=1", str(script))
    told, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert sorted(told.splitlines()) == ["process 0 of 2", "process 1 of 2"]


@pytest.mark.slow
def test_all_processes_stop_at_the_step_at_which_one_is_interrupted(project: Project) -> None:
    project.set(**SETTINGS | {"runs__custom_resnet__sample": {"epochs": 500, "batch_size": 16}})
    download.main("cifar10")
    normalize.main("cifar10")
    find_lr.main("custom_resnet")
    process = torchrun("-m", "stages.train", "custom_resnet")
    assert process.stdout is not None
    assert any(line.startswith("epoch 2/500") for line in process.stdout)
    workers = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
    (second,) = [worker for worker in workers if b"\0RANK=1\0" in Path(f"/proc/{worker}/environ").read_bytes()]
    os.kill(second, signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode != 0
    # torchrun may end one of them while it says so
    assert "interrupted: `dvc repro` continues after epoch" in errors and "RuntimeError" not in errors
    (state,) = Path(".resume/custom_resnet").rglob("state.pt")
    assert len(torch.load(state, weights_only=True)["state"]["history"]) >= 2


def test_a_share_is_every_item_of_a_batch_once(monkeypatch: pytest.MonkeyPatch) -> None:
    places, shares = torch.arange(11), []
    monkeypatch.setattr(distributed, "size", lambda: 4)
    for rank in range(4):
        monkeypatch.setattr(distributed, "rank", partial(int, rank))
        shares.append(distributed.shard(places))
    assert sorted(torch.cat(shares).tolist()) == places.tolist()
    assert {len(share) for share in shares} == {2, 3}
    with pytest.raises(InputError, match=r"^batch_size: the smallest batch has 3 item\(s\) for 4 processes; give a larger"):
        distributed.require(3)


def test_the_gradient_of_shared_batch_norm_is_that_of_the_whole_batch() -> None:
    """The closed form, in one process, against PyTorch's own layer in float64."""
    torch.manual_seed(0)
    ours, theirs = SharedBatchNorm2d(3).double(), torch.nn.BatchNorm2d(3).double()
    theirs.load_state_dict(ours.state_dict())
    results = []
    for layer in (ours, theirs):
        x = torch.randn(5, 3, 4, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
        y = layer(x)
        y.mul(torch.arange(y.numel(), dtype=torch.float64).view(y.shape)).sum().backward()
        results.append(
            (y, x.grad, layer.weight.grad, layer.bias.grad, layer.running_mean, layer.running_var, layer.eval()(x))
        )
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize(
    ("num", "size", "processes"), [(100, 16, 1), (100, 16, 8), (96, 16, 3), (5, 8, 2), (17, 8, 1), (70, 64, 7)]
)
def test_batches_are_of_the_size_asked_for_but_a_small_rest_joins_the_last(
    num: int, size: int, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "size", lambda: processes)
    sizes = np.diff(distributed.batch_ends(num, size), prepend=0).tolist()
    assert sum(sizes) == num
    assert all(batch == size for batch in sizes[:-1])
    assert sizes[-1] < size + max(8, processes)
    assert sizes[-1] >= min(8, size) or len(sizes) == 1
