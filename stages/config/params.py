"""params.yaml -> the dataclasses of schema.py, everything checked. Nothing else reads params.yaml.

Three rules that a reader of params.yaml needs:
  - a run's `sample` block is laid over the run when, and only when, its task's source is `sample`;
  - the top-level `epochs` and `batch_size`, where not null, override every run (after `sample`);
  - the top-level `lr` does too, but in the stage find_lr, which decides every learning rate.
Torch-free, because download and submit read it too.
"""

import ast
import dataclasses
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from stages.config.check import Positive, Share, build, mapping, nearest
from stages.config.schema import Params, Run
from stages.core import paths
from stages.core.errors import InputError

MAX_VALUES = 100_000


def load(settings: Callable[[str], ModuleType], models: Callable[[str], Path], path: Path = paths.PARAMS) -> Params:
    """Read and check all of params.yaml.

    settings: the module `settings` of a task by name; it raises InputError for an unknown task.
    models: the folder with a task's model files.
    Raises InputError with the full path of the first key that is wrong.
    """
    top = dict(mapping(read(path), str(path)))
    for key in ("tasks", "runs"):
        if key not in top:
            raise InputError(f"{key}: missing; add it to {path}")
    top["tasks"] = {
        name: build(settings(name).Settings, block, f"tasks.{name}")
        for name, block in mapping(top["tasks"], "tasks").items()
    }
    blocks, top["runs"] = mapping(top["runs"], "runs"), {}
    base = build(Params, top, "")
    resolved = {
        name: _resolve(name, mapping(block, f"runs.{name}"), base, settings, models) for name, block in blocks.items()
    }
    runs = {name: run for name, (run, _) in resolved.items()}
    return dataclasses.replace(base, runs=runs, hidden={name: lines for name, (_, lines) in resolved.items()})


def read(path: Path) -> Any:
    """The content of a YAML file. Raises InputError if there is none, it is not YAML, or its aliases make too much of it."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; run from the project's root")
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(path.read_text())
        fits = node is None or _size(node, {}) <= MAX_VALUES
        text = yaml.constructor.construct_document(node) if fits and node is not None else None
    except Exception as error:  # besides its own, ruamel lets through whatever a strange number or date raises
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not fits:
        raise InputError(
            f"{path}: has aliases that make more than {MAX_VALUES:,} values of it; write out what they stand for"
        )
    return text


def _size(node: Node, sizes: dict[int, int]) -> int:
    """The values of a YAML node with its aliases written out: nine lines of nine aliases each are a billion."""
    if id(node) not in sizes:
        sizes[id(node)] = MAX_VALUES + 1  # while it is being counted, so that what holds itself is too large
        parts = chain(*node.value) if isinstance(node, MappingNode) else node.value if isinstance(node, SequenceNode) else ()
        sizes[id(node)] = 1 + sum(_size(part, sizes) for part in parts)
    return sizes[id(node)]


def _resolve(
    name: str, block: Mapping[str, Any], base: Params, settings: Callable[[str], ModuleType], models: Callable[[str], Path]
) -> tuple[Run, list[str]]:
    """The run after its sample block and the top-level overrides, and a line for each value that they changed."""
    where = f"runs.{name}"
    task = block.get("task")
    if not isinstance(task, str) or task not in base.tasks:
        raise InputError(f"{where}.task: {task!r} is not in tasks; {nearest(task, base.tasks)}")
    if block.get("inputs") != (kind := base.tasks[task].inputs):
        raise InputError(f"{where}.inputs: must be {kind}, as in tasks.{task}")
    sample = mapping(block.get("sample") or {}, f"{where}.sample")
    overlaid, changed = _overlay(block, sample, where, f"{where}.sample")
    # Both forms are checked whatever the source is, so that a slip in the one not in use shows today.
    plain = _build_run(block, where, settings(task), models(task))
    small = _build_run(overlaid, f"{where}.sample", settings(task), models(task))
    run, lines = (small, changed) if base.tasks[task].source == "sample" else (plain, [])
    for key in ("epochs", "batch_size"):
        value = getattr(base, key)
        if value is not None and value != getattr(run, key):
            lines.append(f"{where}.{key}: {getattr(run, key)} -> {value} (the top-level {key})")
            run = dataclasses.replace(run, **{key: value})
    return run, lines


def _overlay(block: Mapping[str, Any], over: Mapping[str, Any], where: str, source: str) -> tuple[dict[str, Any], list[str]]:
    """`over` laid on `block`, block by block, and a line for each value it hides."""
    result, lines = dict(block), []
    for key, value in over.items():
        old = block.get(key)
        if key in ("sample", "task", "inputs"):
            raise InputError(f"{source}.{key}: cannot be changed by a sample block")
        if isinstance(value, Mapping) and isinstance(old, Mapping) and value.get("name", old.get("name")) == old.get("name"):
            result[key], more = _overlay(old, value, f"{where}.{key}", f"{source}.{key}")
            lines += more
        elif key not in block or (type(value), value) != (type(old), old):
            result[key] = value
            lines.append(f"{where}.{key}: {old} -> {value} (the sample block, since the source is sample)")
    return result, lines


def _build_run(block: Mapping[str, Any], where: str, settings: ModuleType, models: Path) -> Run:
    run = build(Run, block, where)
    _check_model(run.model, models, f"{where}.model")
    own = {
        "batch_size": settings.BatchSize,
        "augment": settings.Augment,
        "loss": settings.Loss,
        "evaluate": settings.Evaluate,
    }
    return dataclasses.replace(run, **{key: build(kind, getattr(run, key), f"{where}.{key}") for key, kind in own.items()})


def _check_model(model: Mapping[str, Any], models: Path, where: str) -> None:
    """Check the keys under `model` against the keyword-only arguments of the model file's constructor.

    Its source is parsed, not imported: a misspelt `dropout` should stop `download`, which has no need of torch.
    """
    names = [file.stem for file in models.glob("[!_]*.py")]
    if model.get("name") not in names:
        raise InputError(
            f"{where}.name: {model.get('name')!r} is no model of this task; {nearest(model.get('name'), names)}"
        )
    tree = ast.parse((models / f"{model['name']}.py").read_text())
    [init] = [
        item
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == "Model"
        for item in node.body
        if isinstance(item, ast.FunctionDef) and item.name == "__init__"
    ]
    kinds: dict[str, Any] = {"int": int, "float": float, "bool": bool, "str": str, "int | None": int | None}
    arguments = {argument.arg: ast.unparse(argument.annotation or ast.Name("str")) for argument in init.args.kwonlyargs}
    for key, value in model.items():
        if key == "name":
            continue
        if key not in arguments:
            raise InputError(f"{where}.{key}: unknown key; {nearest(key, arguments)}")
        built = build(kinds[arguments[key]], value, f"{where}.{key}")
        if isinstance(built, (int, float)) and not isinstance(built, bool):
            rule = Share if "dropout" in key else Positive
            build(Annotated[float, rule], built, f"{where}.{key}")
