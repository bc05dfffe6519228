"""What several tests need: a scratch project to run stages in, and tiny archives in CIFAR-10's two layouts."""

import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from stages.tasks import load_params

ROOT = Path(__file__).parent.parent

# Before anything imports torch: one thread a test process, so that small tensors are not slowed down by hand-overs.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def task_settings(task: str, **changes: Any) -> Any:
    """A task's block of params.yaml, changed."""
    return replace(load_params(ROOT / "params.yaml").task(task), **changes)


class Project:
    """A folder with a copy of params.yaml, which is the working directory as long as the test runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(ROOT / "params.yaml", folder)

    def set(self, **values: Any) -> None:
        """Change params.yaml: set(tasks__cifar10__source="x") for tasks.cifar10.source."""
        yaml = YAML()
        content = yaml.load(self.folder / "params.yaml")
        for path, value in values.items():
            *parents, key = path.split("__")
            block = content
            for parent in parents:
                block = block[parent]
            block[key] = value
        yaml.dump(content, self.folder / "params.yaml")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return Project(tmp_path)


def cifar_batch(num: int, seed: int = 0, **changes: Any) -> bytes:
    """A python batch of `num` random images whose labels go round the classes, as the data set's site pickles them."""
    random = np.random.default_rng(seed)
    batch = {
        b"data": random.integers(0, 256, (num, 3072), np.uint8),
        b"labels": [index % 10 for index in range(num)],
        b"filenames": [f"image_{seed}_{index}.png".encode() for index in range(num)],
    }
    return pickle.dumps(batch | {key.encode(): value for key, value in changes.items()}, protocol=2)


@pytest.fixture
def write_zip(tmp_path: Path) -> Callable[..., Path]:
    """write_zip(name, {member: content}) -> the path of a new zip archive."""

    def write(name: str, members: dict[str, bytes]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, content)
        return path

    return write
