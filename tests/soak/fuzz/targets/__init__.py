"""What is fuzzed. The module's name is the target's; all have

seeds() -> list[bytes]              inputs that are accepted, of which the others are made
hostile() -> list[bytes]            more of them, refused or not; optional
attempt(content, folder)            read it; raises InputError if it is refused; `folder` is empty and may be written to
mutate(random, content) -> bytes    a change that knows the format; optional, and then made in half of the cases
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from random import Random
from typing import NamedTuple

NAMES = sorted(file.stem for file in Path(__file__).parent.glob("[!_]*.py"))


class Target(NamedTuple):
    seeds: Callable[[], list[bytes]]
    hostile: Callable[[], list[bytes]]
    attempt: Callable[[bytes, Path], None]
    mutate: Callable[[Random, bytes], bytes] | None


def find(name: str) -> Target:
    """The target of this name."""
    module = import_module(f"{__name__}.{name}")
    return Target(module.seeds, getattr(module, "hostile", list), module.attempt, getattr(module, "mutate", None))
