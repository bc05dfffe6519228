"""What `make` asks before it installs anything."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages import plan
from stages.core.errors import InputError
from tests.conftest import ROOT, Project


def test_a_folder_that_git_does_not_know_is_told_before_anything_is_installed(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    done = subprocess.run(["make", "repro"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "error: DVC needs a git repository here: clone the project, or git init && git add ." in done.stdout
    assert not (tmp_path / ".venv").exists()


def test_the_plan_names_the_runs_and_what_is_given_to_dvc(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def plan_of(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["plan", *arguments])
        plan.main()
        return capsys.readouterr().out

    assert "8 runs: custom_resnet, dilated_net, " in plan_of() and "sample data" in plan_of("speech")
    assert plan_of("faces", "--targets") == "submit@resnet50 submit@convnext\n"
    project.set(tasks__faces__source="faces.zip")
    assert "real data for faces" in plan_of() and "real data" not in plan_of("cifar10")
    with pytest.raises(
        InputError, match=r"no run in params.yaml belongs to the task face; give one of cifar10, faces, speech"
    ):
        plan_of("face")
