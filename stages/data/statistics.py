"""stats.json: what `normalize` found in a task's data, in the folder of the packed arrays. Torch-free.

stages/tasks/<kind>/statistics.py names a kind's class: `Stats` here, with what its data have besides.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from stages.config.check import build
from stages.core.errors import InputError


@dataclass(frozen=True)
class Understood:
    """layout: its name. classes: what they are and how many. items: the number of items per split.

    submissions: the header of each submission file. verification: the data for face verification, if any.
    """

    layout: str
    classes: str
    items: dict[str, int]
    submissions: dict[str, list[str]]
    verification: str = ""


@dataclass(frozen=True)
class LeftOut:
    """An item that was left out: the archive and the name in it, or the line, and what is wrong with it."""

    item: str
    reason: str


@dataclass(frozen=True)
class Stats:
    """What is known of any data. num: items per split. rejected: bad items, with `on_bad: skip`."""

    num: dict[str, int]
    understood: Understood
    rejected: list[LeftOut]

    @classmethod
    def write(cls, features: Path, content: Mapping[str, Any]) -> Self:
        """Write stats.json and return it. content: all fields of this class, in the file's order."""
        assert content.keys() == {field.name for field in fields(cls)}, content.keys()
        (features / "stats.json").write_text(json.dumps(content, default=asdict, indent=2) + "\n")
        return cls.read(features)

    @classmethod
    def read(cls, features: Path) -> Self:
        """Read stats.json, which may have more fields than this class. Raises InputError if it is missing or has fewer."""
        file = features / "stats.json"
        try:
            return cls.of(json.loads(file.read_text()), str(file))
        except FileNotFoundError:
            raise InputError(f"{file}: is missing; `dvc repro normalize@{features.name}` makes it") from None
        except KeyError as key:
            raise InputError(f"{file}: has no {key}; `dvc repro -f normalize@{features.name}` makes it again") from None

    @classmethod
    def of(cls, content: Mapping[str, Any], where: str) -> Self:
        """Build from the content of stats.json. Raises KeyError for a missing field, InputError for one of a wrong type."""
        found: Self = build(cls, {field.name: content[field.name] for field in fields(cls)}, where)
        return found
