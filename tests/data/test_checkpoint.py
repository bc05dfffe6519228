"""Checkpoints: whole or not there, read without executing anything."""

import os
import pickle
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import InputError
from stages.data import checkpoint
from stages.training.resume import STATE, resuming


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
    checkpoint.save(Path("hostile.pt"), {"weights": Hostile()})  # its checksum is right
    with pytest.raises(InputError, match=r"hostile\.pt: not a readable checkpoint"):
        checkpoint.load(Path("hostile.pt"))
    assert not Path("executed").exists()


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_a_flipped_bit_or_a_missing_end_is_noticed_wherever_it_is(place: float, bit: int, cut: bool) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.pt"
        checkpoint.save(path, {"weights": {"w": torch.arange(200.0)}, "epoch": 3})
        content = bytearray(path.read_bytes())
        at = int(place * len(content))
        content[at] ^= 1 << bit
        path.write_bytes(content[:at] if cut else content)
        with pytest.raises(InputError, match=r"a\.pt: damaged or foreign"):
            checkpoint.load(path)


def test_a_checkpoint_is_read_by_plain_pytorch(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.pt", {"weights": torch.arange(3.0)})
    assert torch.equal(torch.load(tmp_path / "a.pt")["weights"], torch.arange(3.0))
    assert torch.equal(torch.load(tmp_path / "a.pt", mmap=True)["weights"], torch.arange(3.0))


def test_a_damaged_state_is_told_and_forgotten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with resuming(tmp_path / "run" / "abc") as resume:
        resume.save({"epoch": 3})
        file = tmp_path / "run" / "abc" / STATE
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        assert resume.load() is None
    told = capsys.readouterr().out
    assert "state.pt: damaged or foreign: its checksum does not match: training starts from the beginning" in told


@pytest.mark.parametrize("content", [{"a": 1}, {"weights": {}, "epoch": 3}, {"training": "def", "state": {"epoch": 3}}])
def test_a_state_of_something_else_is_told_and_the_next_one_takes_its_place(
    content: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run" / "abc" / STATE
    checkpoint.save(file, content)
    with resuming(file.parent) as resume:
        assert resume.load() is None
        assert capsys.readouterr().out == f"{file}: is not a state of this training: training starts from the beginning\n"
        resume.save({"epoch": 4})
        assert resume.load() == {"epoch": 4}


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut short", bytes(100)])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.pt: damaged or foreign"):
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
    before = checkpoint.fingerprint({"lr": 0.1}, tmp_path, [file])
    assert before == checkpoint.fingerprint({"lr": 0.1}, tmp_path, [file])
    assert before != checkpoint.fingerprint({"lr": 0.2}, tmp_path, [file])
    elsewhere = tmp_path / "copy" / "code.py"
    elsewhere.parent.mkdir()
    elsewhere.write_text("1")
    assert before == checkpoint.fingerprint({"lr": 0.1}, elsewhere.parent, [elsewhere]), "a copy of the project is no other"
    assert before != checkpoint.fingerprint({"lr": 0.1}, tmp_path, [elsewhere])
    file.write_text("2")
    assert before != checkpoint.fingerprint({"lr": 0.1}, tmp_path, [file])


def test_a_finished_run_leaves_no_state(tmp_path: Path) -> None:
    with resuming(tmp_path / "run" / "abc") as resume:
        assert resume.load() is None
        resume.save({"epoch": 3})
        assert resume.load() == {"epoch": 3}
        resume.discard()
    with resuming(tmp_path / "run" / "abc") as resume:
        assert resume.load() is None
