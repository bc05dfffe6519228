"""notebooks/gpu.ipynb: its cells run from the top, as far as they need neither a GPU nor a network."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT, Checkout, change_params, copy_project

CELLS: list[dict[str, Any]] = json.loads((ROOT / "notebooks/gpu.ipynb").read_text())["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
SAMPLE = {"model": {"width": 2}, "epochs": 1, "batch_size": 30}


def script(cells: list[dict[str, Any]]) -> str:
    """A Python script of the cells; a line with an exclamation mark in front goes to the shell, as in Jupyter."""
    lines = ["import subprocess"]
    for cell in cells:
        for line in "".join(cell["source"]).splitlines():
            lines.append(f"subprocess.run(['bash', '-c', {line[1:]!r}], check=True)" if line.startswith("!") else line)
    return "\n".join(lines)


def test_every_cell_says_what_it_needs_and_holds_no_output() -> None:
    for cell in CODE:
        tags = set(cell["metadata"]["tags"])
        assert tags == {"anywhere"} or (tags and tags <= {"network", "gpu", "account", "jupyter"}), cell["id"]
        assert cell["outputs"] == [] and cell["execution_count"] is None, cell["id"]
    assert len({cell["id"] for cell in CELLS}) == len(CELLS) <= 14


@pytest.mark.slow
def test_cells_that_need_no_gpu_run_from_the_top(tmp_path: Path) -> None:
    project = Checkout(tmp_path / "project")
    copy_project(project.folder)
    file = project.folder / "params.yaml"
    content = YAML(typ="safe").load(file)
    run, task = content["runs"]["custom_resnet"], content["tasks"]["cifar10"]
    runs = {"custom_resnet": run | {"optimizer": run["optimizer"] | {"lr": 0.01}, "sample": SAMPLE}}
    tasks = {"cifar10": task | {"sample": {"train": 60, "test": 20}}}
    change_params(file, runs=runs, tasks=tasks, reached_before={}, precision="fp32")
    project.run("git init -q && git add . && git commit -qm project")

    cells = [cell for cell in CODE if cell["metadata"]["tags"] == ["anywhere"]]
    command = [sys.executable, "-c", script(cells)]
    result = subprocess.run(
        command, cwd=project.folder, env=project.environment(), capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 0, f"{result.stdout}{result.stderr}"
    assert "metrics/custom_resnet.json" in result.stdout and "1 of 1 runs evaluated" in result.stdout
    kept = tmp_path / "kept"
    assert list((kept / "states/custom_resnet").glob("*.lock"))

    there = Checkout(tmp_path / "there")
    project.run(f"git clone -q {kept / 'project.bundle'} {there.folder}")
    there.run(f"dvc remote add --local -d kept {kept / 'storage'} && dvc pull")
    assert there.run("dvc repro").splitlines()[-1] == "Data and pipelines are up to date."
