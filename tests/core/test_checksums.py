"""The list of an output folder's checksums: what it accepts, and what it finds."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.core import checksums
from stages.core.errors import InputError

FILES = {"stats.json": b"{}", "a table.csv": b"id\n", "train/images.npy": bytes(1000), "dev/empty.npy": b""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = tmp_path / "features"
    for name, content in FILES.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    checksums.write(out)
    return out


def test_the_list_is_that_of_sha256sum(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert lines == [f"{hashlib.sha256(FILES[name]).hexdigest()}  {name}" for name in sorted(FILES)]
    if shutil.which("sha256sum"):
        done = subprocess.run(["sha256sum", "--strict", "--check", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_whole_files_give_a_digest_of_all_of_them(folder: Path) -> None:
    before = checksums.check(folder)
    assert checksums.check(folder) == before
    (folder / "train/images.npy").write_bytes(bytes(999) + b"\1")
    (folder / "SHA256SUMS").unlink()
    checksums.write(folder)
    assert checksums.check(folder) != before


def flip(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)

    return damage


@pytest.mark.parametrize(
    "damage, named",
    [
        (flip("train/images.npy"), "train/images.npy: is damaged or gone"),
        (lambda folder: (folder / "a table.csv").unlink(), "a table.csv: is damaged or gone"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "SHA256SUMS: is missing"),
        (lambda folder: (folder / "SHA256SUMS").write_bytes(b"\xff\n"), "SHA256SUMS: is damaged"),
    ],
)  # fmt: skip
def test_whatever_is_not_as_it_was_written_is_named(folder: Path, damage: Callable[[Path], None], named: str) -> None:
    damage(folder)
    with pytest.raises(InputError) as error:
        checksums.check(folder)
    assert str(error.value).startswith(f"{folder}/{named}") and f"remove {folder}, and" in str(error.value)


def test_the_large_files_can_be_left_out(folder: Path) -> None:
    flip("train/images.npy")(folder)
    checksums.check(folder, below=False)
    flip("stats.json")(folder)
    with pytest.raises(InputError, match=r"stats\.json"):
        checksums.check(folder, below=False)
