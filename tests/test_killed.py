"""A training that is killed and continued leaves the very files of one that was left alone: DVC compares bytes."""

from typing import Any

import pytest

from stages import download, find_lr, normalize, train
from stages.core import paths
from stages.training import loop
from stages.training.step import take_step
from tests.conftest import Project

pytestmark = pytest.mark.slow

SETTINGS: dict[str, Any] = {
    "precision": "fp32",
    "lr": 0.001,
    "checkpoint_minutes": 1e-9,  # a state is saved after every step
    "tasks__cifar10__sample": {"train": 110, "test": 10},
    "runs__custom_resnet__train": {"ema": 0.9},
    "runs__custom_resnet__sample": {"model": {"width": 2}, "epochs": 3, "batch_size": 30},
    "tasks__faces__sample": {"identities": 4, "train": 6, "dev": 2, "test": 1, "known": 2, "unknown": 4},
    "runs__resnet50__sample": {"model": {"width": 2}, "epochs": 3, "batch_size": 8},
    "tasks__speech__sample": {"train": 24, "dev": 4, "test": 2},
    "runs__bilstm__sample": {"model": {"hidden": 8, "num_layers": 1}, "epochs": 3, "batch_size": 8},
}


class Killed(BaseException):
    """What no part of a training catches."""


@pytest.mark.parametrize(("task", "run"), [("cifar10", "custom_resnet"), ("faces", "resnet50"), ("speech", "bilstm")])
def test_a_killed_training_leaves_the_bytes_of_one_that_was_not(
    project: Project, task: str, run: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the first epoch; right after it, where all that is saved is of a whole epoch; in the middle one and the last."""
    project.set(**SETTINGS)
    download.main(task)
    normalize.main(task)
    find_lr.main(run)
    steps, fatal = 0, -1

    def step(*arguments: Any) -> Any:
        nonlocal steps, fatal
        if steps == fatal:
            fatal = -1
            raise Killed
        steps += 1
        return take_step(*arguments)

    monkeypatch.setattr(loop, "take_step", step)
    train.main(run)
    whole = {file.name: file.read_bytes() for file in paths.model(run).iterdir()}
    assert whole.keys() >= {"best.safetensors", "last.safetensors", "summary.txt"}
    num = steps
    assert num % 3 == 0 and num >= 9
    for moment in (1, num // 3, num // 2, num - 1):
        steps, fatal = 0, moment
        with pytest.raises(Killed):
            train.main(run)
        capsys.readouterr()
        train.main(run)
        assert "continuing after" in capsys.readouterr().out and steps == num
        assert {file.name: file.read_bytes() for file in paths.model(run).iterdir()} == whole, f"killed at step {moment}"
