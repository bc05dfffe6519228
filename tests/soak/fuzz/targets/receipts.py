"""What a crash may have left of a submission's receipt."""

import json
from pathlib import Path
from random import Random

from stages.sources.kaggle.receipt import Receipt

VALUES = ["null", "[]", "{}", "-1", "1e999", "NaN", '"x"', "9" * 5000, "[" * 100_000, "true", '"\\ud800"', '{"a": 1}']


def seeds() -> list[bytes]:
    receipt = {
        "file": "a.csv",
        "description": "a",
        "sent": "2025-01-01T00:00:00+00:00",
        "reference": 1,
        "status": "complete",
    }
    return [json.dumps(receipt).encode()]


def mutate(random: Random, content: bytes) -> bytes:
    parts = content.split(b":")
    place = random.randrange(len(parts))
    parts[place] = random.choice(VALUES).encode() + random.choice((b"", b",", b"}", parts[place][-10:]))
    return b":".join(parts)


def attempt(content: bytes, folder: Path) -> None:
    path = folder / "receipt.json"
    path.write_bytes(content)
    receipt = Receipt(path)
    receipt.add(reference=2)
    assert Receipt(path).facts.reference == 2
