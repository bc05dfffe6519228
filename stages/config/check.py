"""YAML values -> frozen dataclasses, with every key and value checked against the annotations.

`build(Run, {...}, "runs.pblstm")` returns a `Run` or raises an error with the full path of the key:
"runs.pblstm.epoch: unknown key; did you mean 'epochs'?". Supported annotations: dataclasses, unions of them with different
literal `name`s, `X | None`, `Literal`, `list[X]`, `tuple[X, Y]`, `dict[str, X]`, `float`, `int`, `bool`, `str`, `Any`, and
`Annotated[X, Rule(...)]` for ranges. Conditions on several keys belong in a dataclass's `__post_init__`, which raises a
ValueError that begins with a key's name. Torch-free.
"""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from stages.core.errors import InputError


@dataclass(frozen=True)
class Rule:
    """A condition on a number, with the words for its error message."""

    words: str
    holds: Callable[[float], bool]


Positive = Rule("must be greater than 0", lambda value: value > 0)
NotNegative = Rule("must not be negative", lambda value: value >= 0)
Share = Rule("must lie between 0 and 1", lambda value: 0 <= value <= 1)
BelowOne = Rule("must be at least 0 and below 1", lambda value: 0 <= value < 1)
InsideUnit = Rule("must lie strictly between 0 and 1", lambda value: 0 < value < 1)

PositiveInt = Annotated[int, Positive]
PositiveFloat = Annotated[float, Positive]


def nearest(name: object, known: Iterable[str]) -> str:
    """Return a hint for a misspelt name: the nearest known name, or all of them."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"


def build(kind: Any, value: Any, where: str) -> Any:
    """Return `value` as an instance of the annotation `kind`. where: its full path in params.yaml.

    Raises InputError for an unknown or missing key, a wrong type or a value out of range.
    """
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is Annotated:
        built = build(args[0], value, where)
        for rule in args[1:]:
            if not rule.holds(built):
                raise InputError(f"{where}: {rule.words}, but is {value!r}")
        return built
    if origin in (types.UnionType, typing.Union):
        return _build_union(args, value, where)
    if origin is Literal:
        if value not in args or isinstance(value, bool) != isinstance(args[0], bool):
            raise InputError(f"{where}: {value!r} is not a choice here; {nearest(value, map(str, args))}")
        return value
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(typing.cast(type, kind), value, where)
    if origin is list:
        if not isinstance(value, list):
            raise InputError(f"{where}: must be a list, but is {value!r}")
        return [build(args[0], item, f"{where}[{index}]") for index, item in enumerate(value)]
    if origin is tuple:
        if not isinstance(value, (list, tuple)) or len(value) != len(args):
            raise InputError(f"{where}: must be a list of {len(args)}, but is {value!r}")
        return tuple(
            build(kind, item, f"{where}[{index}]") for index, (kind, item) in enumerate(zip(args, value, strict=True))
        )
    if origin is dict:
        return {key: build(args[1], item, f"{where}.{key}") for key, item in mapping(value, where).items()}
    return _build_scalar(kind, value, where)


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """Return `value` if it is a block of keys, else raise InputError."""
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: must be a block of keys, but is {value!r}")
    for key in value:
        if not isinstance(key, str):
            raise InputError(f"{where}.{key}: the key must be text; put it in quotes")
    return value


def _build_scalar(kind: type, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 1e300 else math.inf
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        words = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}[kind]
        raise InputError(f"{where}: must be {words}, but is {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}: must be finite, but is {value!r}")
    return value


def _build_union(options: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    options = tuple(option for option in options if option is not type(None))
    blocks = [option for option in options if dataclasses.is_dataclass(option)]
    if len(blocks) > 1:
        named = {get_args(typing.get_type_hints(block)["name"])[0]: block for block in blocks}
        name = mapping(value, where).get("name")
        if name is None:
            raise InputError(f"{where}.name: missing; {nearest('', named)}")
        if not isinstance(name, str) or name not in named:
            raise InputError(f"{where}.name: {name!r} is not a choice here; {nearest(name, named)}")
        return build(named[name], value, where)
    if blocks and isinstance(value, Mapping):
        return build(blocks[0], value, where)
    problems = []
    for option in options:
        try:
            return build(option, value, where)
        except InputError as problem:
            problems.append(problem)
    raise problems[0]


def _build_dataclass(kind: type, value: Any, where: str) -> Any:
    block = mapping(value, where)
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.metadata.get("yaml", True)}
    prefix = f"{where}." if where else ""
    for key in block:
        if key not in fields:
            raise InputError(f"{prefix}{key}: unknown key; {nearest(key, fields)}")
    built = {}
    for name, field in fields.items():
        if name in block:
            built[name] = build(hints[name], block[name], f"{prefix}{name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"{prefix}{name}: missing; add it to params.yaml")
    try:
        return kind(**built)
    except ValueError as error:
        raise InputError(f"{prefix}{error}") from None
