"""Small whole projects, for what is tried many times over: git, DVC, and one run of each task."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.conftest import Checkout, change_params, copy_project

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
    copy_project(folder)
    small, file = RUNS[run], folder / "params.yaml"
    content = YAML(typ="safe").load(file)
    block = content["runs"][run] | {"train": {"ema": 0.99}, "sample": content["runs"][run]["sample"] | small["run"]}
    tasks = {small["task"]: content["tasks"][small["task"]] | {"sample": small["sample"]}}
    change_params(file, runs={run: block}, tasks=tasks, reached_before={}, ensembles={}, precision="fp32", lr=0.002)
    change_params(file, **params)
    checkout = Checkout(folder)
    checkout.run("git init -q && git add . && git commit -qm project")
    return checkout


def results(folder: Path) -> dict[str, str]:
    """Everything that equal runs have in common, by path: metrics, histories, pictures, predictions, weights' hashes."""
    kept = [*folder.glob("metrics/**/*"), *folder.glob("data/predictions/**/*"), *folder.glob("models/**/*.safetensors")]
    files = [file for file in kept if file.is_file()]
    return {file.relative_to(folder).as_posix(): file.read_bytes().hex() for file in sorted(files)}
