"""stats.json: what `normalize` found in a task's data. stages/tasks/<kind>/statistics.py has the class of each kind."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from stages.config.check import build
from stages.core.errors import InputError


@dataclass(frozen=True)
class Understood:
    """A source as `normalize` understood it."""

    layout: str  # its name
    classes: str  # what they are and how many
    items: dict[str, int]  # by split
    submissions: dict[str, list[str]]  # the header of each file
    verification: str = ""  # the data for face verification, if any


@dataclass(frozen=True)
class LeftOut:
    """A bad item of the source."""

    item: str  # the archive, and the name or the line in it
    reason: str


@dataclass(frozen=True)
class Stats:
    """What is known of any data."""

    num: dict[str, int]  # items by split
    understood: Understood
    rejected: list[LeftOut]

    @classmethod
    def write(cls, features: Path, content: Mapping[str, Any]) -> Self:
        """Write stats.json and return it. content: all fields, in the file's order."""
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
        """Take the content of stats.json. Raises KeyError for a missing field, InputError for one of a wrong type."""
        found: Self = build(cls, {field.name: content[field.name] for field in fields(cls)}, where)
        return found
