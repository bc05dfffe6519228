"""A parameter, a file of code or data that changes while a stage runs: the stage fails, so that DVC records nothing."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.core import dependencies, paths
from stages.core.dependencies import Snapshot
from stages.core.errors import InputError
from tests.conftest import ROOT, Checkout, Project, change_params


@pytest.fixture
def stage(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The stage that DVC seems to run, with code of its own to edit."""
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    monkeypatch.setattr(dependencies, "ROOT", tmp_path)
    monkeypatch.setenv("DVC_STAGE", "train@custom_resnet")
    return "train@custom_resnet"


def test_a_parameter_or_code_of_the_stage(stage: str, project: Project, tmp_path: Path) -> None:
    snapshot, file = Snapshot(), tmp_path / "stages/training/loop.py"
    snapshot.check()
    file.write_text(file.read_text() + "# edited\n")
    with pytest.raises(InputError, match=r"^stages/training/loop\.py: changed while"):
        snapshot.check()
    snapshot = Snapshot()
    project.set(runs__custom_resnet__epochs=3)
    with pytest.raises(InputError, match=r"^params\.yaml: runs\.custom_resnet\.epochs: changed while train@"):
        snapshot.check()


def test_parameters_and_code_of_others_may_change(stage: str, project: Project, tmp_path: Path) -> None:
    snapshot, file = Snapshot(), tmp_path / "stages/sequences/storage.py"
    project.set(runs__pblstm__epochs=3, runs__custom_resnet__evaluate__views=["plain", "flip"])
    file.write_text(file.read_text() + "# edited\n")
    snapshot.check()


@pytest.mark.parametrize("gone", [False, True])
def test_data_of_the_stage(stage: str, gone: bool) -> None:
    file = paths.features("cifar10") / "stats.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    snapshot = Snapshot()
    file.unlink() if gone else file.write_text('{"classes": 3}')
    with pytest.raises(InputError, match=r"^data/features/cifar10/stats\.json: changed while"):
        snapshot.check()


def test_without_dvc_nothing_is_compared(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE", raising=False)
    snapshot = Snapshot()
    project.set(runs__custom_resnet__epochs=3)
    snapshot.check()


def test_a_result_is_not_recorded_under_a_value_that_was_edited_meanwhile(checkout: Checkout) -> None:
    params = checkout.folder / "params.yaml"
    history = checkout.folder / "metrics/digit_resnet/train/plots/metrics/dev/accuracy.tsv"
    change_params(params, runs__digit_resnet__sample__epochs=12)
    before, command = recorded(checkout), ["dvc", "repro", "train@digit_resnet"]
    history.unlink()
    process = subprocess.Popen(
        command, cwd=checkout.folder, env=checkout.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while process.poll() is None and not history.is_file():
        time.sleep(0.05)
    change_params(params, runs__digit_resnet__sample__epochs=3)
    told = process.communicate()[0]
    assert process.returncode != 0, told
    assert "error: params.yaml: runs.digit_resnet.sample: changed while train@digit_resnet ran" in told
    assert recorded(checkout) == before
    change_params(params, runs__digit_resnet__sample__epochs=12)
    told = checkout.run(" ".join(command))
    assert "continuing after epoch 12" in told and "epoch 12/12" not in told


def recorded(checkout: Checkout) -> Any:
    """What dvc.lock says of the training."""
    return YAML(typ="safe").load((checkout.folder / "dvc.lock").read_text())["stages"]["train@digit_resnet"]
