"""sweeps.yaml: the parameters of a sweep, whose values are checked like params.yaml."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.ablating import grids
from stages.config.check import mapping, nearest
from stages.config.params import read
from stages.config.schema import Params
from stages.core import paths
from stages.core.errors import InputError

SPACES = Path("sweeps.yaml")
TOP_LEVEL = ("lr", "epochs", "batch_size")
KINDS = ("log_uniform", "uniform", "int", "choice")


@dataclass(frozen=True)
class Parameter:
    """path: as for -S. values: by label; for numbers the lowest and the highest."""

    path: str
    kind: str
    values: dict[str, Any]

    def suggest(self, trial: Any) -> Any:
        """Return the value that Optuna's trial chooses."""
        if self.kind == "choice":
            return self.values[trial.suggest_categorical(self.path, list(self.values))]
        low, high = self.values.values()
        if self.kind == "int":
            return trial.suggest_int(self.path, low, high)
        return trial.suggest_float(self.path, low, high, log=self.kind == "log_uniform")


@dataclass(frozen=True)
class Space:
    """A run's block of sweeps.yaml. block: the run's block in params.yaml."""

    run: str
    parameters: list[Parameter]
    block: Mapping[str, Any]

    def changes(self, values: Mapping[str, Any]) -> list[str]:
        """Return the arguments of -S for values by path."""
        return [word for path, value in values.items() for word in grids.overrides(path, value, self.block)]


def choose(run: str) -> tuple[Space, Params]:
    """Return the run's space, and params.yaml with the first value of each parameter.

    Raises InputError if there is no space for the run, or for a parameter that is invalid or changes nothing.
    """
    known, params = mapping(read(SPACES), str(SPACES)), read(paths.PARAMS)
    if run not in params["runs"]:
        raise InputError(f"runs.{run}: not in params.yaml; {nearest(run, params['runs'])}")
    if run not in known:
        raise InputError(f"{SPACES}: has no space of {run!r}; {nearest(run, known)}")
    content = mapping(known[run], f"{SPACES}: {run}")
    if not content:
        raise InputError(f"{SPACES}: {run}: has no parameter")
    space = Space(run, [_parse(run, path, block) for path, block in content.items()], params["runs"][run])
    return space, _check(space, params)


def _parse(run: str, path: str, block: Any) -> Parameter:
    where = f"{SPACES}: {run}: {path}"
    if not path.startswith(f"runs.{run}.") and path not in TOP_LEVEL:
        raise InputError(f"{where}: must begin with runs.{run}. or be one of {', '.join(TOP_LEVEL)}")
    if len(mapping(block, where)) != 1:
        raise InputError(
            f"{where}: must be one of {', '.join(KINDS)} with its values, such as {{log_uniform: [1.0e-4, 1.0e-2]}}"
        )
    [(kind, values)] = block.items()
    if kind not in KINDS:
        raise InputError(f"{where}: {kind!r} is not a kind of values; {nearest(kind, KINDS)}")
    if kind == "choice":
        labelled = {grids.text(value): value for value in values} if isinstance(values, list) else values
        if len(mapping(labelled, where)) < 2 or len(labelled) < len(values):
            raise InputError(f"{where}: choice must have at least two different values")
        return Parameter(path, kind, dict(labelled))
    return Parameter(path, kind, _ends(where, kind, values))


def _ends(where: str, kind: str, values: Any) -> dict[str, Any]:
    numbers = (int,) if kind == "int" else (int, float)
    if not (
        isinstance(values, list)
        and len(values) == 2
        and all(isinstance(value, numbers) and not isinstance(value, bool) and math.isfinite(value) for value in values)
    ):
        raise InputError(
            f"{where}: {kind} must have two {'whole ' if kind == 'int' else ''}numbers, the lowest and the highest"
        )
    low, high = values
    if low >= high:
        raise InputError(f"{where}: the lowest value, {low}, must be below the highest, {high}")
    if kind == "log_uniform" and low <= 0:
        raise InputError(f"{where}: the lowest value of log_uniform must be above 0, but is {low}")
    return {str(value): value for value in values}


def _check(space: Space, params: Mapping[str, Any]) -> Params:
    """Check all values and return params.yaml with the first value of each parameter."""
    first = {parameter.path: next(iter(parameter.values.values())) for parameter in space.parameters}
    resolved = _apply(space, first, params, f"{SPACES}: {space.run}")
    for parameter in space.parameters:
        where, seen = f"{SPACES}: {space.run}: {parameter.path}", [grids.carried_out(resolved, space.run)]
        for label, value in list(parameter.values.items())[1:]:
            changed = _apply(space, {**first, parameter.path: value}, params, f"{where}: the value {label}")
            seen.append(grids.carried_out(changed, space.run))
        if len(set(seen)) < len(seen):
            key = parameter.path.removeprefix(f"runs.{space.run}.")
            hiding = [str(item) for item in changed.hidden[space.run] if f"{key}.".startswith(f"{item.key}.")]
            why = f"runs.{space.run}.{hiding[0]}" if hiding else "something else in params.yaml decides it"
            raise InputError(f"{where}: its values would give the same run: {why}")
    return resolved


def _apply(space: Space, values: Mapping[str, Any], params: Mapping[str, Any], where: str) -> Params:
    try:
        return grids.apply(space.run, space.changes(values), params)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
