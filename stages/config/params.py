"""params.yaml -> the dataclasses of schema.py, fully checked.

  - A run's `sample` block overrides the run's values only if its task's source is `sample`.
  - The top-level `epochs` and `batch_size`, if set, override every run, after its `sample` block.
  - If either changes the epochs but not the schedule, the peak of a one-cycle schedule moves in proportion.
  - The top-level `lr`, if set, overrides every run in the stage find_lr, which decides all learning rates.
Torch-free, because download and submit read it too.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ruamel.yaml import YAML

from stages.config.check import build, mapping, nearest
from stages.config.schema import SAMPLE_BLOCK, Epochs, Hidden, Params, Run
from stages.core import paths
from stages.core.errors import InputError

# Names of tasks and runs are part of commands, paths, and DVC's names of stages and parameters.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


def load(settings: Callable[[str], ModuleType], path: Path = paths.PARAMS) -> Params:
    """Read and check all of params.yaml.

    settings: returns the module `settings` of a kind of task, or raises InputError for an unknown kind.
    Raises InputError with the full path of the first wrong key.
    """
    content = mapping(read(path), str(path))
    for key in ("tasks", "runs"):
        if key not in content:
            raise InputError(f"{key}: missing; add it to {path}")
    blocks = {key: mapping(content[key], key) for key in ("tasks", "runs")}
    for key, block in blocks.items():
        for name in block:
            if not NAME.fullmatch(name):
                raise InputError(f"{key}.{' '.join(name.split())}: a name may have letters, digits, _ and - (not in front)")
    tasks = {name: _task(name, mapping(block, f"tasks.{name}"), settings) for name, block in blocks["tasks"].items()}
    params: Params = build(Params, {**content, "tasks": tasks, "runs": {}}, "")
    for name, block in blocks["runs"].items():
        params.runs[name], params.hidden[name] = _resolve(name, mapping(block, f"runs.{name}"), params, settings)
    for name in params.ensembles:
        _check_ensemble(name, params)
    return params


def _check_ensemble(name: str, params: Params) -> None:
    """Raise InputError if the name is taken or invalid, or a member is unknown, of another task or contains it."""
    where, ensemble = f"ensembles.{name}", params.ensembles[name]
    if not NAME.fullmatch(name):
        raise InputError(f"ensembles.{' '.join(name.split())}: a name may have letters, digits, _ and - (not in front)")
    if name in params.runs:
        raise InputError(f"{where}: there is a run of this name; give the ensemble another")
    for key in ("kind", "inputs"):
        if getattr(ensemble, key) != (expected := getattr(params.task(ensemble.task), key)):
            raise InputError(f"{where}.{key}: must be {expected}, as in tasks.{ensemble.task}")
    known: dict[str, Any] = {**params.runs, **params.ensembles}
    for member in ensemble.members:
        if member not in known:
            raise InputError(f"{where}.members: there is no run or ensemble {member!r}; {nearest(member, known)}")
        if (task := known[member].task) != ensemble.task:
            raise InputError(f"{where}.members: {member} belongs to the task {task}, the ensemble to {ensemble.task}")
    below = list(ensemble.members)
    for member in below:  # grows
        if member == name:
            raise InputError(f"{where}.members: {name} would be a member of itself")
        below += [item for item in getattr(known[member], "members", ()) if item not in below]


def read(path: Path) -> Any:
    """Return the content of a YAML file. Raises InputError if there is no such file or it is not YAML."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; run from the project's root")
    try:
        return YAML(typ="safe", pure=True).load(path.read_text())
    except Exception as error:  # ruamel raises many kinds, as for a strange number or date
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error


def _task(name: str, block: Mapping[str, Any], settings: Callable[[str], ModuleType]) -> Any:
    try:
        kind = settings(block.get("kind", "")).Settings
    except InputError as error:
        raise InputError(f"tasks.{name}.kind: {error}") from None
    return build(kind, block, f"tasks.{name}")


def _resolve(
    name: str, block: Mapping[str, Any], params: Params, settings: Callable[[str], ModuleType]
) -> tuple[Run, list[Hidden]]:
    """Return the run after its sample block and the top-level overrides, and each value that they changed."""
    where, task = f"runs.{name}", block.get("task")
    if not isinstance(task, str) or task not in params.tasks:
        raise InputError(f"{where}.task: {task!r} is not in tasks; {nearest(task, params.tasks)}")
    for key in ("kind", "inputs"):
        if block.get(key) != (expected := getattr(params.tasks[task], key)):
            raise InputError(f"{where}.{key}: must be {expected}, as in tasks.{task}")
    kind = settings(params.tasks[task].kind).Run
    # The run is checked with and without its sample block, whatever the source.
    run: Run = build(kind, block, where)
    sample, source = mapping(run.sample, f"{where}.sample"), f"{where}.sample"
    if "epochs" in sample and "schedule" not in sample:
        shorter = run.with_epochs(build(Epochs, sample["epochs"], f"{source}.epochs"))
        moved = {key: value for key, value in vars(shorter.schedule).items() if value != getattr(run.schedule, key)}
        sample = {**sample, "schedule": moved}
    overlaid, hidden = _overlay(block, sample, "", source)
    small: Run = build(kind, overlaid, source)
    run, hidden = (small, hidden) if params.tasks[task].source == "sample" else (run, [])
    if params.epochs not in (None, run.epochs):
        hidden.append(Hidden("epochs", run.epochs, params.epochs, "the top-level epochs"))
        run = run.with_epochs(params.epochs)
    if params.batch_size not in (None, run.batch_size):
        hidden.append(Hidden("batch_size", run.batch_size, params.batch_size, "the top-level batch_size"))
        run = dataclasses.replace(run, batch_size=params.batch_size)
    return run, hidden


def _overlay(
    block: Mapping[str, Any], over: Mapping[str, Any], prefix: str, source: str
) -> tuple[dict[str, Any], list[Hidden]]:
    """Merge `over` into `block`, recursively. Returns the result and each value that changed.

    A block with another `name` replaces the old one. prefix: of the keys, within the run. source: the path of `over`.
    """
    result, hidden = dict(block), list[Hidden]()
    for key, value in over.items():
        old = block.get(key)
        if key in ("sample", "task", "kind", "inputs"):
            raise InputError(f"{source}.{key}: cannot be changed by a sample block")
        if isinstance(value, Mapping) and isinstance(old, Mapping) and value.get("name", old.get("name")) == old.get("name"):
            result[key], more = _overlay(old, value, f"{prefix}{key}.", f"{source}.{key}")
            hidden += more
        elif key not in block or (type(value), value) != (type(old), old):
            result[key] = value
            hidden.append(Hidden(f"{prefix}{key}", old, value, SAMPLE_BLOCK))
    return result, hidden
