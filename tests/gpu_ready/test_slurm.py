"""The sbatch file and the launcher of docs/GPU.md, with stand-ins for Slurm's commands: two nodes, both this machine."""

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.data import checkpoint
from tests.conftest import ROOT, Checkout, change_params, copy_project

DOCUMENT = (ROOT / "docs/GPU.md").read_text()
COMMANDS = {
    "srun": 'for node in 1 2; do "$@" & jobs="$jobs $!"; done; for job in $jobs; do wait $job || exit 1; done',
    "scontrol": "echo localhost; echo localhost",
}
SAMPLE = {"model": {"width": 2}, "epochs": 2, "batch_size": 8, "augment": {}}


def block(language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.S | re.M)
    return str(found)


def free_port() -> str:
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        return str(listening.getsockname()[1])


@pytest.mark.slow
def test_the_job_of_the_document_trains_on_two_nodes_and_its_successor_has_nothing_to_do(tmp_path: Path) -> None:
    project, commands, states = Checkout(tmp_path / "project"), tmp_path / "bin", tmp_path / "states"
    copy_project(project.folder)
    file = project.folder / "params.yaml"
    content = YAML(typ="safe").load(file)
    launcher = YAML(typ="safe").load(block("yaml"))["launcher"]
    launcher = launcher.replace("--nproc-per-node=8", "--nproc-per-node=1").replace("29500", free_port())
    task = content["tasks"]["faces"]
    # Under its name the other network of faces, which has no batch norm, and so no dozens of sums over both nodes a step.
    runs = {"resnet50": content["runs"]["convnext"] | {"sample": SAMPLE, "schedule": {"name": "constant"}}}
    few = {"identities": 3, "train": 7, "dev": 1, "test": 1, "known": 2, "unknown": 6}
    change_params(file, runs=runs, tasks={"faces": task | {"sample": few}}, reached_before={}, precision="fp32")
    change_params(file, launcher=launcher, device="cpu")
    project.run("git init -q && git add . && git commit -qm project")
    (project.folder / ".venv/bin").mkdir(parents=True)
    (project.folder / ".venv/bin/activate").touch()
    for name, script in COMMANDS.items():
        (commands / name).parent.mkdir(exist_ok=True)
        (commands / name).write_text(f"#!/bin/bash\n{script}\n")
        (commands / name).chmod(0o755)
    states.mkdir()

    (tmp_path / "resnet50.sbatch").write_text(block("sh").replace("/shared/$USER/states", str(states)))
    slurm = {"SLURM_SUBMIT_DIR": str(project.folder), "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_CPUS_PER_TASK": "1"}
    environment = project.environment() | slurm | {"OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{commands}{os.pathsep}{environment['PATH']}"
    for attempt in range(2):
        job = ["bash", str(tmp_path / "resnet50.sbatch")]
        result = subprocess.run(job, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=600)
        told = result.stdout + result.stderr
        assert result.returncode == 0, told
        assert ("2 processes" in told) == (attempt == 0), told
    assert "Data and pipelines are up to date." in told
    assert len(checkpoint.load_trained(project.folder / "models/resnet50/last.safetensors").history) == 2
    assert list((states / "resnet50").glob("*-2.lock")) and not list(states.rglob("*-2/state.pt"))
