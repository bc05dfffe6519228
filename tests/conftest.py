"""What several tests need: a scratch project to run stages in, a whole one that DVC has reproduced, and tiny archives."""

import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings
from ruamel.yaml import YAML

from stages.tasks import load_params
from tests.browser import launch

ROOT = Path(__file__).parent.parent

# Times are for benchmarks/: on a busy machine a deadline fails what is right.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Before anything imports torch: one thread a test process, so that small tensors are not slowed down by hand-overs.
os.environ.setdefault("OMP_NUM_THREADS", "1")


# `nohup make soak &` in a script has SIGINT ignored, and so would every process that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def task_settings(task: str, **changes: Any) -> Any:
    """A task's block of params.yaml, changed."""
    return replace(load_params(ROOT / "params.yaml").task(task), **changes)


def change_params(file: Path, **values: Any) -> None:
    """Change a params.yaml: change_params(file, tasks__cifar10__source="x") for tasks.cifar10.source."""
    yaml = YAML()
    content = yaml.load(file)
    for path, value in values.items():
        *parents, key = path.split("__")
        block = content
        for parent in parents:
            block = block[parent]
        block[key] = value
    yaml.dump(content, file)


class Project:
    """A folder with a copy of params.yaml, which is the working directory as long as the test runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(ROOT / "params.yaml", folder)

    def set(self, **values: Any) -> None:
        """Change params.yaml, as `change_params` does."""
        change_params(self.folder / "params.yaml", **values)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return Project(tmp_path)


# Of a learning rate so small that the networks stay as they were drawn: after an epoch of CTC they would say blank alone.
TRAINED = {"custom_resnet": ("cifar10", 1e-3), "resnet50": ("faces", 1e-3), "bilstm": ("speech", 1e-6)}
SMALL = {
    "tasks__cifar10__sample": {"train": 60, "test": 5},
    "runs__custom_resnet__sample": {"model": {"width": 2}, "epochs": 1, "batch_size": 30},
    "runs__custom_resnet__evaluate__views": ["plain", "flip"],
    "tasks__faces__sample": {"identities": 4, "train": 4, "dev": 2, "test": 2, "known": 4, "unknown": 6},
    "runs__resnet50__sample": {"model": {"width": 2}, "epochs": 1, "batch_size": 8},
    "tasks__speech__sample": {"train": 8, "dev": 4, "test": 4},
    "runs__bilstm__sample": {"model": {"hidden": 8, "num_layers": 1}, "epochs": 1, "batch_size": 4},
    "precision": "fp32",
    "device": "cpu",
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with a run of each task, trained in this process, whose params.yaml has since become another."""
    import torch

    from stages import download, evaluate, normalize, train
    from stages.core import paths

    folder = tmp_path_factory.mktemp("trained")
    project, deterministic = Project(folder), torch.are_deterministic_algorithms_enabled()
    project.set(**SMALL)
    with chdir(folder):
        for run, (task, lr) in TRAINED.items():
            download.main(task)
            normalize.main(task)
            paths.lr(run).parent.mkdir(parents=True)
            paths.lr(run).write_text(json.dumps({"lr": lr}))
            train.main(run)
            evaluate.main(run)
        for file in paths.raw("cifar10").parent.rglob("*.zip"):
            zipfile.ZipFile(file).extractall("items")
    project.set(
        runs__custom_resnet__sample={"model": {"width": 4}},
        runs__resnet50__sample={"loss": {"arcface": {"scale": 16}}},
        runs__bilstm__model__features=5,
        tasks__faces__side=99,
    )
    (folder / "data/features").rename(folder / "data/gone")
    yield folder
    torch.use_deterministic_algorithms(deterministic)


class Checkout:
    """A whole project in a folder of its own: the code, git, DVC."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def environment(self) -> dict[str, str]:
        """For the user's commands. Neither the user's own DVC settings nor git's have a say."""
        private = {name: str(self.folder.parent / "dvc") for name in ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR")}
        identity = {f"GIT_{who}_{what}": "test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # of `python` and `dvc`
        environment = os.environ | private | identity | {"PATH": path, "GIT_CONFIG_GLOBAL": os.devnull}
        environment.pop("DVC_ROOT", None)
        return environment

    def run(self, command: str) -> str:
        """What a user's command line prints; it must succeed."""
        result = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=600
        )
        assert result.returncode == 0, f"{command}:\n{result.stdout}{result.stderr}"
        return result.stdout + result.stderr


EXTENDING, TUTORIAL = ROOT / "docs/EXTENDING.md", ROOT / "docs/TUTORIAL.md"
# A fenced block after a line that ends in a file's name, or says below or in place of which of its lines the block belongs.
FENCED = re.compile(
    r"(?:`(?P<file>[\w/.]+)`(?:, (?P<how>below|in place of) the line `(?P<line>[^`]+)`)?:?\n\n)?"
    r"^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.S | re.M,
)


def commands_of(document: Path) -> list[str]:
    """The command lines of a document."""
    blocks = [block["text"] for block in FENCED.finditer(document.read_text()) if block["language"] == "sh"]
    return "".join(blocks).splitlines()


def follow(document: Path, folder: Path) -> None:
    """Make the files of a document in `folder`, and put its other blocks where they belong."""
    for name, how, line, language, text in FENCED.findall(document.read_text()):
        file = folder / name
        if line:
            old = file.read_text()
            assert old.count(f"\n{line}\n") == 1, f"{name}: one line {line}"
            kept = f"{line}\n" if how == "below" else ""
            file.write_text(old.replace(f"\n{line}\n", f"\n{kept}{text}", 1))
        elif language not in ("sh", "text"):  # commands, and what they print
            assert name and not file.exists(), f"a block of {language} for a new file, {name!r}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that reproduce a whole project or open a browser are slow."""
    for item in items:
        if {"checkout", "extended", "browser"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def extended(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A project that has followed docs/EXTENDING.md and was reproduced, for all test processes together: only to be copied.

    It has the document's two runs alone, so that the whole of it is reproduced in the time that its stages take to start.
    """
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "extended"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _extend(folder / "project")
            (folder / "done").touch()
    return folder / "project"


def copy_project(folder: Path) -> None:
    """The files of this project that git knows or would add, without results, to `folder`.

    Without `artifacts:`, too: DVC resolves the names of runs there, and knows none of those that a test takes out.
    """
    listed = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file() and not name.startswith("metrics/") and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    graph = (folder / "dvc.yaml").read_text()
    (folder / "dvc.yaml").write_text(graph[: graph.index("\nartifacts:")])


def _extend(folder: Path) -> None:
    copy_project(folder)
    before = YAML(typ="safe").load(folder / "params.yaml")
    follow(EXTENDING, folder)
    content = YAML(typ="safe").load(folder / "params.yaml")
    runs = {name: block for name, block in content["runs"].items() if name not in before["runs"]}
    used = {block["task"] for block in runs.values()}
    tasks = {name: block for name, block in content["tasks"].items() if name in used}
    change_params(folder / "params.yaml", runs=runs, tasks=tasks, reached_before={}, ensembles={}, precision="fp32")
    small = {"tasks__cifar10__sample": {"train": 120, "test": 20}, "runs__conv_mixer__sample__epochs": 2}
    change_params(folder / "params.yaml", **small)
    checkout = Checkout(folder)
    checkout.run("git init -q && git add . && git commit -qm code")
    for command in commands_of(EXTENDING):
        if command.startswith("dvc "):
            checkout.run(command)
    checkout.run("dvc repro")
    checkout.run("git add . && git commit -qm results")


@pytest.fixture
def checkout(extended: Path, tmp_path: Path) -> Checkout:
    """A copy of the extended project with its outputs and its cache, to do anything with."""
    return Checkout(Path(shutil.copytree(extended, tmp_path / "project", symlinks=True)))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launch() as chromium:
        yield chromium


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
