"""Checkpoints: whole or not there, read without executing anything."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from stages.engine import checkpoint
from stages.engine.errors import InputError


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    content = {"weights": {"w": torch.arange(3.0)}, "history": [{"epoch": 1.0}], "best": None}
    checkpoint.save(tmp_path / "new" / "a.pt", content)
    loaded = checkpoint.load(tmp_path / "new" / "a.pt")
    assert torch.equal(loaded.pop("weights")["w"], torch.arange(3.0))
    assert loaded == {"history": [{"epoch": 1.0}], "best": None}
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["a.pt"]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    checkpoint.save(path, {"epoch": 1})
    with pytest.raises((AttributeError, pickle.PicklingError)):
        checkpoint.save(path, {"epoch": lambda: None})
    assert checkpoint.load(path) == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def test_a_checkpoint_from_elsewhere_cannot_execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weights": Hostile()}, "hostile.pt")
    with pytest.raises(InputError, match=r"hostile\.pt: not a readable checkpoint"):
        checkpoint.load(Path("hostile.pt"))
    assert not Path("executed").exists()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut short"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.pt: not a readable checkpoint"):
        checkpoint.load(path)
    with pytest.raises(InputError, match="no such checkpoint"):
        checkpoint.load(tmp_path / "b.pt")


def test_the_weights_hash_sees_names_shapes_and_every_bit() -> None:
    base = {"a": torch.zeros(2, 3), "b": torch.ones(1, dtype=torch.int64)}
    others = [
        {"a": torch.zeros(3, 2), "b": base["b"]},
        {"c": base["a"], "b": base["b"]},
        {"a": torch.zeros(2, 3).index_fill(0, torch.tensor(1), 1e-45), "b": base["b"]},
    ]
    assert len({checkpoint.weights_hash(weights) for weights in (base, *others)}) == 4
    assert checkpoint.weights_hash(dict(reversed(base.items()))) == checkpoint.weights_hash(base)
    assert checkpoint.weights_hash({"a": torch.tensor(5)}) != checkpoint.weights_hash({"a": torch.tensor(6)})


def test_the_fingerprint_sees_settings_and_files(tmp_path: Path) -> None:
    file = tmp_path / "code.py"
    file.write_text("1")
    before = checkpoint.fingerprint({"lr": 0.1}, [file])
    assert before == checkpoint.fingerprint({"lr": 0.1}, [file])
    assert before != checkpoint.fingerprint({"lr": 0.2}, [file])
    file.write_text("2")
    assert before != checkpoint.fingerprint({"lr": 0.1}, [file])


def test_a_finished_run_leaves_no_state(tmp_path: Path) -> None:
    with checkpoint.resuming(tmp_path / "run" / "abc") as resume:
        assert resume.load() is None
        resume.save({"epoch": 3})
        assert resume.load() == {"epoch": 3}
        resume.discard()
    with checkpoint.resuming(tmp_path / "run" / "abc") as resume:
        assert resume.load() is None
