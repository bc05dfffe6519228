"""The graph: every stage's deps cover the modules it imports, and its params the keys it uses."""

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from stages.config.schema import Params
from stages.tasks import load_params
from tests.conftest import ROOT, TUTORIAL, Checkout, copy_project, follow
from tests.tasks.test_contract import KINDS
from tests.test_imports import imports

# No result depends on these rooms: they read and check params.yaml, name paths, lock files and print errors. What they
# contribute is declared as params and outs already; so is what a task's settings.py checks.
PLUMBING = ("stages/__init__.py", "stages/core", "stages/config", "stages/tasks/__init__.py")
# The modules of a task that a stage file finds by name at run time (stages.tasks.task_module).
PARTS = {
    "download": ["sample", "public"],
    "normalize": ["raw"],
    "find_lr": ["training", "statistics"],
    "train": ["training", "statistics"],
    "evaluate": ["training", "statistics", "evaluation"],
    "ensemble": ["training", "evaluation", "ensemble"],
    "submit": ["submission"],
    "submit_ensemble": ["submission"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the blocks of docs/TUTORIAL.md, so that there is a task of every kind."""
    folder = tmp_path_factory.mktemp("graph") / "project"
    copy_project(folder)
    follow(TUTORIAL, folder)
    Checkout(folder).run("git init -q")
    return folder


@pytest.fixture(scope="module")
def params(folder: Path) -> Params:
    return load_params(folder / "params.yaml")


@pytest.fixture(scope="module")
def graph(folder: Path) -> dict[str, Any]:
    """Stage by name, as DVC resolves dvc.yaml with params.yaml."""
    return {stage.name: stage for stage in Repo(str(folder)).index.stages}


def test_there_is_a_task_of_every_kind(params: Params) -> None:
    assert {task.kind for task in params.tasks.values()} == set(KINDS)


def file_of(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def closure(modules: list[str]) -> set[str]:
    """The files of all modules that these import, directly or not, without packages that hold a docstring only."""
    waiting, seen = list(modules), set()
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += [module.rpartition(".")[0]] if "." in module else []
            waiting += imports(file_of(module))
    files = {file_of(module).relative_to(ROOT).as_posix() for module in seen}
    return {file for file in files if holds_code(ROOT / file)}


@cache
def holds_code(file: Path) -> bool:
    """Whether a module holds more than a docstring."""
    return any(not isinstance(node, ast.Expr) for node in ast.parse(file.read_text()).body)


def covers(dep: str, file: str) -> bool:
    """Whether a dep is the file or a folder that holds it."""
    return file == dep or file.startswith(f"{dep}/")


def stage_and_run(name: str) -> tuple[str, str]:
    kind, _, instance = name.partition("@")
    return kind, instance


def test_there_is_a_stage_for_every_task_and_run(graph: dict[str, Any], params: Params) -> None:
    expected = {f"{kind}@{task}" for kind in ("download", "normalize") for task in params.tasks}
    expected |= {f"{kind}@{run}" for kind in ("find_lr", "train", "evaluate", "submit") for run in params.runs}
    expected |= {f"{kind}@{name}" for kind in ("ensemble", "submit_ensemble") for name in params.ensembles}
    assert graph.keys() == expected | {"report"}


def test_deps_cover_the_modules_that_a_stage_imports(graph: dict[str, Any], params: Params) -> None:
    used, declared = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for name, stage in graph.items():
        kind, instance = stage_and_run(name)
        modules = [f"stages.{kind.removesuffix('_ensemble')}"]
        if instance:
            block = params.task(instance) if kind in ("download", "normalize") else params.system(instance)
            modules += [f"stages.tasks.{block.kind}.{part}" for part in PARTS[kind]]
        if kind in ("find_lr", "train", "evaluate"):
            modules.append(f"stages.{block.inputs}.models.{params.run(instance).model.name}")
        deps = {dep.def_path for dep in stage.deps}
        needed = closure(modules)
        used[kind] |= needed
        declared[kind] |= {dep for dep in deps if dep.startswith("stages/")}
        for file in needed:
            is_plumbing = file.endswith("/settings.py") or any(covers(dep, file) for dep in PLUMBING)
            assert is_plumbing or any(covers(dep, file) for dep in deps), f"{name}: {file} is not among its deps"
    for kind, deps in declared.items():
        for dep in deps:
            # Two files of a task that some kinds do not need in a stage that others need them in.
            is_optional = dep.endswith(("/__init__.py", "/statistics.py"))
            assert is_optional or any(covers(dep, file) for file in used[kind]), f"{kind}: no use for {dep}"


def test_every_key_of_a_run_is_a_parameter_of_some_stage(graph: dict[str, Any], params: Params) -> None:
    """A key that no stage declares could change without anything running again."""
    for run, block in params.runs.items():
        declared = {
            key
            for name, stage in graph.items()
            if stage_and_run(name)[1] == run
            for dep in stage.deps
            for key in getattr(dep, "params", [])
        }
        for key in vars(block):
            assert key in ("task", "kind", "inputs") or f"runs.{run}.{key}" in declared, (
                f"runs.{run}.{key} is declared by no stage"
            )


def test_changing_how_a_run_is_evaluated_does_not_train_it_again(graph: dict[str, Any]) -> None:
    for name, stage in graph.items():
        keys = {key for dep in stage.deps for key in getattr(dep, "params", [])}
        kind, instance = stage_and_run(name)
        assert (f"runs.{instance}.evaluate" in keys) == (kind == "evaluate")


def test_the_report_is_made_after_the_last_stages_of_every_run() -> None:
    """Its dep is the folder metrics, so that a run added to params.yaml is in it without a change of dvc.yaml."""
    index = Repo(str(ROOT)).index
    [report] = [stage for stage in index.stages if stage.name == "report"]
    before = {stage.name for stage in index.graph.successors(report)}
    assert before >= {f"{kind}@{run}" for kind in ("train", "evaluate", "submit") for run in load_params().runs}


def test_a_model_file_is_a_dep_of_its_own_runs_alone(graph: dict[str, Any]) -> None:
    file = "stages/images/models/dilated_net.py"
    users = {stage_and_run(name)[1] for name, stage in graph.items() if file in {dep.def_path for dep in stage.deps}}
    assert users == {"dilated_net"}
