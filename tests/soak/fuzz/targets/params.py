"""params.yaml: YAML, and the values in it."""

import re
from pathlib import Path
from random import Random

from stages.config.schema import Params
from stages.tasks import load_params
from tests.config.test_params import SNIPPETS
from tests.conftest import ROOT

TEXT = (ROOT / "params.yaml").read_text()
ANCHORS = [
    "&a [*a]",
    "&a {b: *a}",
    "*a",
    "&a [x,x,x,x,x,x,x,x,x]",
    "&b [*a,*a,*a,*a,*a,*a,*a]",
    "<<: *a",
    "[" * 200 + "]" * 200,
]
VALUES = [
    *SNIPPETS,
    *ANCHORS,
    "~",
    "''",
    "1.0",
    "[]",
    "{}",
    "0",
    "1e308",
    "!!binary aaaa",
    "!!set {a}",
    "!!omap [a: 1]",
    "2001-01-01",
    "../x",
]


def seeds() -> list[bytes]:
    return [TEXT.encode()]


def mutate(random: Random, content: bytes) -> bytes:
    """Another value for a key, another key for a value, a line more or less."""
    lines = content.decode("utf-8", "replace").split("\n")
    for _ in range(random.randint(1, 3)):
        place = random.randrange(len(lines))
        match random.randrange(5):
            case 0 | 1:
                lines[place] = re.sub(r"(:\s).*", lambda match: match[1] + random.choice(VALUES), lines[place], count=1)
            case 2:
                lines[place] = re.sub(r"[^\s:]+:", lambda match: random.choice(VALUES) + ":", lines[place], count=1)
            case 3:
                lines.insert(place, random.choice(lines))
            case 4:
                del lines[place : place + random.choice((1, 1, 5))]
                lines.append("")
    return "\n".join(lines).encode()


def attempt(content: bytes, folder: Path) -> None:
    path = folder / "params.yaml"
    path.write_bytes(content)
    assert isinstance(load_params(path), Params)
