"""Small whole projects, for what is tried many times over: git, DVC, and one run of each task."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.conftest import ROOT, Checkout, change_params

# Enough steps to be killed in, small enough to be trained in seconds.
RUNS: dict[str, dict[str, Any]] = {
    "custom_resnet": {
        "task": "cifar10",
        "sample": {"train": 600, "test": 40},
        "run": {"model": {"width": 4}, "epochs": 6, "batch_size": 16, "loading": "workers"},
    },
    "resnet50": {
        "task": "faces",
        "sample": {"identities": 6, "train": 24, "dev": 4, "test": 2, "known": 8, "unknown": 12},
        "run": {"model": {"width": 4}, "epochs": 8, "batch_size": 8},
    },
    "bilstm": {
        "task": "speech",
        "sample": {"train": 200, "dev": 20, "test": 10},
        "run": {"model": {"hidden": 16, "num_layers": 2}, "epochs": 8, "batch_size": 8},
    },
}


def make(folder: Path, run: str, **params: Any) -> Checkout:
    """A committed project in `folder` with nothing but `run`, made small; `params` as for change_params."""
    listed = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("metrics/", "benchmarks/")) and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    small, file = RUNS[run], folder / "params.yaml"
    content = YAML(typ="safe").load(file)
    block = content["runs"][run] | {"ema": 0.99, "sample": content["runs"][run]["sample"] | small["run"]}
    tasks = {small["task"]: content["tasks"][small["task"]] | {"sample": small["sample"]}}
    change_params(file, runs={run: block}, tasks=tasks, reached_before={}, precision="fp32", lr=0.002)
    change_params(file, **params)
    graph = (folder / "dvc.yaml").read_text()
    (folder / "dvc.yaml").write_text(graph[: graph.index("\n# What `dvc artifacts get`")])  # it names runs that are gone
    checkout = Checkout(folder)
    checkout.run("git init -q && git add . && git commit -qm project")
    return checkout


def results(folder: Path) -> dict[str, str]:
    """Everything that equal runs have in common, by path: metrics, histories, pictures, predictions, weights' hashes."""
    kept = [*folder.glob("metrics/**/*"), *folder.glob("data/predictions/**/*"), *folder.glob("models/**/*.pt")]
    files = [file for file in kept if file.is_file() and file.name != "timing.json"]
    return {file.relative_to(folder).as_posix(): file.read_bytes().hex() for file in sorted(files)}
