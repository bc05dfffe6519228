"""ablations.yaml -> the values to compare, checked like params.yaml, with their arguments for `dvc exp run -S`."""

import dataclasses
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ruamel.yaml import YAML

from stages.config.check import mapping, nearest
from stages.config.params import read
from stages.config.schema import Params
from stages.core import paths
from stages.core.errors import InputError
from stages.tasks import load_params

GRIDS = Path("ablations.yaml")


@dataclass(frozen=True)
class Value:
    """One value of a grid. key: within the run's block; overrides: arguments of -S; seed: None for that of params.yaml."""

    run: str
    grid: str
    key: str
    label: str
    overrides: tuple[str, ...]
    seed: int | None = None

    @property
    def name(self) -> str:
        """The name of its experiment."""
        return f"{self.run}-{self.grid}-{self.label}" + ("" if self.seed is None else f"-seed-{self.seed}")

    @property
    def arguments(self) -> list[str]:
        """The arguments of `dvc exp run`."""
        overrides = self.overrides if self.seed is None else (*self.overrides, f"seed={self.seed}")
        return [*(word for override in overrides for word in ("-S", override)), f"evaluate@{self.run}"]

    def with_seed(self, seed: int) -> Self:
        return dataclasses.replace(self, seed=seed)


def present(run: str, seed: int) -> Value:
    """Return the unchanged run with another seed."""
    return Value(run, "seed", "seed", str(seed), (f"seed={seed}",))


def folds(run: str, task: str, of: int) -> list[Value]:
    """Return the run with each of `of` parts of its task's training data as the dev split."""
    path, block = f"tasks.{task}.fold", read(paths.PARAMS)["tasks"][task]
    changes = [overrides(path, {"of": of, "number": number}, block) for number in range(of)]
    return [Value(run, "fold", path, f"{number}-of-{of}", change) for number, change in enumerate(changes)]


def choose(run: str, grid: str | None = None) -> list[Value]:
    """Return the values of one grid, or of all grids of the run.

    A grid without an effect, such as one whose key the run's sample block hides, is left out with a message.
    Raises InputError if `grid` has no effect, for an unknown run or grid, or for a value that is invalid in params.yaml.
    """
    known = mapping(read(GRIDS), str(GRIDS))
    if run not in known:
        raise InputError(f"{GRIDS}: has no grids of {run!r}; {nearest(run, known)}")
    blocks, params = mapping(known[run], f"{GRIDS}: {run}"), read(paths.PARAMS)
    if run not in params["runs"]:
        raise InputError(f"{GRIDS}: {run}: there is no such run; {nearest(run, params['runs'])}")
    if grid and grid not in blocks:
        raise InputError(f"{GRIDS}: {run} has no grid {grid!r}; {nearest(grid, blocks)}")
    chosen: list[Value] = []
    for name in [grid] if grid else blocks:
        values = parse(run, name, blocks[name], params["runs"][run])
        no_effect = _find_duplicate(values, params)
        if no_effect and grid:
            raise InputError(no_effect)
        if no_effect:
            print(f"left out: {no_effect}")
        chosen += [] if no_effect else values
    if not chosen:
        raise InputError(f"{GRIDS}: {run}: none of its grids changes anything")
    return chosen


def parse(run: str, grid: str, content: Any, block: Mapping[str, Any]) -> list[Value]:
    """Return a grid's values. block: of the run. Raises InputError unless it is one key with values of different names."""
    where = f"{GRIDS}: {run}.{grid}"
    if len(mapping(content, where)) != 1:
        raise InputError(f"{where}: must be one key of the run with its values, such as {{model.dropout: [0.1, 0.2]}}")
    [(key, given)] = content.items()
    if isinstance(given, list):
        labels = [text(value) for value in given]
        given = dict(zip(labels, given, strict=True))
        if len(given) < len(labels):
            raise InputError(f"{where}: {key} has one value twice: {', '.join(labels)}")
    if len(mapping(given, f"{where}: {key}")) < 2:
        raise InputError(f"{where}: {key} must have at least two values")
    values = [Value(run, grid, key, label, overrides(f"runs.{run}.{key}", value, block)) for label, value in given.items()]
    for value in values:
        if not re.fullmatch(r"\w+([.-]\w+)*", value.name, re.ASCII):
            signs = "letters, digits and _, and single points and hyphens between them"
            raise InputError(f"{where}: {value.name!r} cannot name an experiment ({signs}); name the values: {{a: …, b: …}}")
    return values


def overrides(path: str, value: Any, block: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the arguments of -S, in Hydra's grammar, that set `path` to `value`. A block replaces an old one.

    path: of a key of the run or task whose block is `block`, or of a top-level one.
    """
    old: Any = block
    for name in path.split(".")[2:]:
        old = old.get(name) if isinstance(old, Mapping) else None
    if isinstance(old, Mapping) and isinstance(value, Mapping):
        return f"~{path}", f"+{path}={text(value)}"
    return (f"{'++' if old is None else ''}{path}={text(value)}",)


def text(value: Any) -> str:
    """Return a value in Hydra's grammar."""
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{text(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{','.join(map(text, value))}]"
    return json.dumps(value) if value is None or isinstance(value, bool) else str(value)


def _find_duplicate(values: Sequence[Value], params: Mapping[str, Any]) -> str | None:
    """Return a sentence why two values would be the same run, or None. Raises InputError for an invalid value."""
    seen, hiding = dict[str, str](), list[str]()
    for value in values:
        try:
            resolved = apply(value.run, value.overrides, params)
        except InputError as error:
            raise InputError(f"{GRIDS}: {value.run}.{value.grid}: the value {value.label}: {error}") from error
        hiding += [f"runs.{value.run}.{item}" for item in resolved.hidden[value.run] if item.key.startswith(value.key)]
        content = carried_out(resolved, value.run)
        if content in seen:
            why = hiding[0] if hiding else "something else in params.yaml decides it"
            return f"{GRIDS}: {value.run}.{value.grid}: {seen[content]} and {value.label} would be the same run: {why}"
        seen[content] = value.label
    return None


def carried_out(params: Params, name: str) -> str:
    """Return all settings of a run as text, to compare."""
    run = params.run(name)
    optimizer = dataclasses.replace(run.optimizer, lr=params.lr or run.optimizer.lr)
    return repr(dataclasses.replace(run, optimizer=optimizer, sample={}))


def apply(run: str, changes: Sequence[str], params: Mapping[str, Any]) -> Params:
    """Return the run and its task after `changes`, the arguments of -S. params: the content of params.yaml.

    Raises InputError for a change that is invalid in params.yaml.
    """
    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides

    block = params["runs"][run]
    alone = {
        "tasks": {block["task"]: params["tasks"][block["task"]]},
        "runs": {run: block},
        "ensembles": {},
        "reached_before": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / paths.PARAMS.name
        YAML().dump({**params, **alone}, file)
        try:
            apply_overrides(file, list(changes))
        except DvcException as error:
            raise InputError(str(error)) from error
        return load_params(file)
