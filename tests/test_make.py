"""What `make` asks before it installs anything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from stages import repro
from stages.core.errors import InputError
from stages.tasks import load_params
from tests.conftest import ROOT, Checkout, Project


def test_a_folder_that_git_does_not_know_is_told_before_anything_is_installed(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    done = subprocess.run(["make", "repro"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "error: DVC needs a git repository here: clone the project, or git init && git add ." in done.stdout
    assert not (tmp_path / ".venv").exists()


def test_the_plan_names_the_runs_and_what_is_given_to_dvc(project: Project) -> None:
    params = load_params()
    assert "8 runs: custom_resnet, dilated_net, " in repro.plan(params, "")
    assert "sample data" in repro.plan(params, "speech")
    assert repro.targets(params, "faces") == ["submit@resnet50", "submit@convnext"]
    project.set(tasks__faces__source="faces.zip")
    params = load_params()
    assert "real data for faces" in repro.plan(params, "") and "real data" not in repro.plan(params, "cifar10")
    with pytest.raises(
        InputError, match=r"no run in params.yaml belongs to the task face; give one of cifar10, faces, speech"
    ):
        repro.plan(params, "face")


def test_the_first_time_two_tasks_run_at_once_and_give_what_one_dvc_repro_gave(checkout: Checkout) -> None:
    shutil.rmtree(checkout.folder / "data")
    shutil.rmtree(checkout.folder / "models")
    assert "runs beside the others" in checkout.run("python -m stages.repro")
    assert checkout.run("git status --porcelain") == ""
    assert checkout.run("dvc status").endswith("up to date.\n")
    assert "runs beside the others" not in checkout.run("python -m stages.repro")
