"""Checkpoints from elsewhere, which PyTorch keeps as a pickle in a zip."""

import hashlib
import io
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import torch

from stages.data import checkpoint
from tests.soak.fuzz.mutate import change
from tests.soak.fuzz.targets import pickles

CONTENT: dict[str, Any] = {"weights": {"w": torch.arange(6.0).view(2, 3), "n": torch.tensor(3)}, "history": [{"epoch": 1.0}]}


def seeds() -> list[bytes]:
    content = io.BytesIO()
    torch.save(CONTENT, content)
    return [content.getvalue()]


def hostile() -> list[bytes]:
    found = []
    for zipped in (True, False):
        for call in (pickles.Foreign(eval, f"open({pickles.CANARY!r}, 'w')"), pickles.Foreign(open, pickles.CANARY, "w")):
            content = io.BytesIO()
            torch.save(CONTENT | {"extra": call}, content, _use_new_zipfile_serialization=zipped)
            found.append(content.getvalue())
    return found


def mutate(random: Random, content: bytes) -> bytes:
    """The pickle in the zip, opcode by opcode, or another member."""
    changed = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w") as new:
            for name in old.namelist():
                inner = old.read(name)
                if name.endswith("data.pkl") and random.randrange(4):
                    inner = pickles.mutate(random, inner)
                elif not random.randrange(4):
                    inner = change(random, inner, [inner])
                new.writestr(name, inner)
    except Exception:  # what was changed before is no zip any more
        return content
    return changed.getvalue()


def attempt(content: bytes, folder: Path) -> None:
    path = folder / "a.pt"
    path.write_bytes(_sealed(content))
    checkpoint.load(path)


def _sealed(content: bytes) -> bytes:
    """With a checksum that fits, as the comment of the zip."""
    place = content.rfind(b"PK\5\6")
    body = content[: place + 20] if place >= 0 else content
    digest = hashlib.sha256(body + bytes(2)).hexdigest().encode()
    return body + len(digest).to_bytes(2, "little") + digest
