"""What a crash may have left of our own notes: a submission's receipt, a download's part. The first byte chooses."""

import json
from pathlib import Path
from random import Random

from stages.sources.kaggle.submit import _Receipt
from stages.sources.resumable import Part

SOURCE = "https://example.org/a.zip"
VALUES = ["null", "[]", "{}", "-1", "1e999", "NaN", '"x"', "9" * 5000, "[" * 100_000, "true", '"\\ud800"', '{"a": 1}']


def seeds() -> list[bytes]:
    receipt = {
        "file": "a.csv",
        "description": "a",
        "sent": "2025-01-01T00:00:00+00:00",
        "reference": 1,
        "status": "complete",
    }
    note = {"source": SOURCE, "validator": '"abc"', "length": 10, "checksum": None}
    return [b"\0" + json.dumps(receipt).encode(), b"\1" + json.dumps(note).encode()]


def mutate(random: Random, content: bytes) -> bytes:
    parts = content.split(b":")
    place = random.randrange(len(parts))
    parts[place] = random.choice(VALUES).encode() + random.choice((b"", b",", b"}", parts[place][-10:]))
    return b":".join(parts)


def attempt(content: bytes, folder: Path) -> None:
    kind, content = content[0] % 2 if content else 0, content[1:]
    if kind == 0:
        path = folder / "receipt.json"
        path.write_bytes(content)
        receipt = _Receipt(path)
        receipt.add(reference=2)
        assert _Receipt(path).facts["reference"] == 2
    else:
        path = folder / "a.partial"
        path.write_bytes(b"0123456789"[:5])
        (folder / "a.partial.json").write_bytes(content)
        part = Part(path, SOURCE)
        assert part.position in (0, 5) and (part.length is None or part.length >= part.position)
        part.discard()
