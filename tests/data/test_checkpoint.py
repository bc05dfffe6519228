"""Checkpoints: whole or not there, and equal bytes for equal content."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from stages.core.errors import InputError
from stages.data import checkpoint

WEIGHTS = {"w": torch.arange(200.0), "num": torch.tensor(7), "half": torch.ones(2, 3, dtype=torch.bfloat16)}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    content = {"weights": WEIGHTS, "history": [{"epoch": 1.0, "loss": 0.1 + 0.2}], "best": None, "name": "Zoë"}
    checkpoint.save(tmp_path / "new" / "a.safetensors", content)
    loaded = checkpoint.load(tmp_path / "new" / "a.safetensors")
    torch.testing.assert_close(loaded.pop("weights"), WEIGHTS, rtol=0, atol=0)
    assert loaded == {key: value for key, value in content.items() if key != "weights"}
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["a.safetensors"]


def test_the_bytes_depend_on_values_alone(tmp_path: Path) -> None:
    """Not on the order of names, on how a tensor lies in memory, or on which strings are one object."""
    first, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    image = torch.arange(24.0).view(1, 2, 3, 4)
    checkpoint.save(first, {"a": "loss", "history": [{"loss": 1.0}] * 2, "weights": WEIGHTS | {"image": image}})
    weights = {"image": image.to(memory_format=torch.channels_last)} | dict(reversed(WEIGHTS.items()))
    again: dict[str, Any] = {"weights": weights, "history": [{"".join(("lo", "ss")): 1.0} for _ in range(2)], "a": "loss"}
    checkpoint.save(other, again)
    assert first.read_bytes() == other.read_bytes()
    for change in ({"history": [{"loss": 1.0}, {"loss": 1.0 + 1e-15}]}, {"weights": weights | {"num": torch.tensor(8)}}):
        checkpoint.save(other, again | change)
        assert first.read_bytes() != other.read_bytes()


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_a_flipped_bit_or_a_missing_end_is_noticed_wherever_it_is(place: float, bit: int, cut: bool) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.safetensors"
        checkpoint.save(path, {"weights": WEIGHTS, "epoch": 3, "history": [{"loss": 0.1 + 0.2}]})
        content = bytearray(path.read_bytes())
        at = int(place * len(content))
        content[at] ^= 1 << bit
        path.write_bytes(content[:at] if cut else content)
        with pytest.raises(InputError, match=r"a\.safetensors: damaged or foreign"):
            checkpoint.load(path)


def test_the_weights_are_read_by_plain_safetensors(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a.safetensors", {"weights": WEIGHTS})
    torch.testing.assert_close(load_file(tmp_path / "a.safetensors"), WEIGHTS, rtol=0, atol=0)


def foreign(metadata: dict[str, str] | None = None) -> bytes:
    return safetensors.torch.save({"w": torch.ones(3)}, metadata)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", bytes(100), foreign(), foreign({checkpoint.KEY: "["}), foreign({checkpoint.KEY: "{}"})),
        foreign({checkpoint.KEY: "[" * 100_000}),
    ],
)
def test_a_damaged_or_foreign_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.safetensors: damaged or foreign"):
        checkpoint.load(path)
    with pytest.raises(InputError, match="no such checkpoint"):
        checkpoint.load(tmp_path / "b.safetensors")


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
