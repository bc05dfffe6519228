"""Faults that take longer: a disk that fills up while a run trains, a DVC cache in which a bit has flipped."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.soak.disk import Disk, NotAllowed
from tests.test_faults import contents, refusal
from tests.test_pipeline import TINY

RUN = "custom_resnet"


@pytest.fixture
def disk(project: Project) -> Iterator[Disk]:
    """A disk of 8 MB with a run that is ready to train."""
    project.set(**TINY | {"lr": 0.001})
    try:
        made = Disk(project.folder, "8m")
    except NotAllowed as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    shutil.copy("params.yaml", made.view)
    for name, argument in (("download", "cifar10"), ("normalize", "cifar10"), ("find_lr", RUN)):
        assert made.stage(name, argument).returncode == 0
    yield made
    made.close()


@pytest.mark.parametrize("leaving", [0, 4096, 20_000, 40_000])
def test_a_disk_that_fills_up_while_a_run_trains_leaves_the_model_before(disk: Disk, leaving: int) -> None:
    """Wherever in the writing of states, models, metrics and pictures the room ends."""
    assert disk.stage("train", RUN).returncode == 0
    text = (disk.view / "params.yaml").read_text()
    (disk.view / "params.yaml").write_text(text.replace("seed: 11785", "seed: 5", 1))
    before = contents(disk.view / "models")
    disk.fill(leaving)
    assert "no space left on device; make room, and the same command continues" in refusal(disk.stage("train", RUN))
    assert not list(disk.view.rglob("*.partial"))
    after = contents(disk.view / "models")
    assert after.keys() == before.keys()
    disk.make_room()
    done = disk.stage("train", RUN)
    assert done.returncode == 0, done.stderr
    assert contents(disk.view / "models").keys() == before.keys() and contents(disk.view / "models") != before
    assert disk.stage("evaluate", RUN).returncode == 0


# DVC (3.67) takes what is in its cache for what it was: it is read-only, and so is not looked at again.

PIPELINE = """
stages:
  make: {cmd: mkdir -p made && cp given made/file, deps: [given], outs: [made]}
  use: {cmd: cp made/file used, deps: [made], outs: [used]}
"""


def dvc(*arguments: str) -> int:
    return subprocess.run(["dvc", *arguments], capture_output=True, timeout=60).returncode


def flip(file: Path) -> Path:
    """One bit, as a disk may."""
    times, content = file.stat(), bytearray(file.read_bytes())
    content[0] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)
    file.chmod(0o444)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    return file


@pytest.fixture
def cache(project: Project) -> Path:
    """That of a small project, made and pushed to a remote."""
    (project.folder / "given").write_text("good\n")
    (project.folder / "dvc.yaml").write_text(PIPELINE)
    for command in ("init --no-scm -q", "remote add -q -d remote remote", "repro -q", "push -q"):
        assert dvc(*command.split()) == 0
    return Path(".dvc/cache/files/md5")


def entry(folder: Path) -> Path:
    [found] = [file for file in folder.rglob("*") if file.is_file() and file.read_bytes() == b"good\n"]
    return found


def test_a_remote_that_is_told_to_be_verified_yields_no_flipped_bit(cache: Path) -> None:
    flip(entry(Path("remote")))

    def forget() -> None:
        for output in (".dvc/cache", "made"):
            shutil.rmtree(output, ignore_errors=True)
        Path("used").unlink(missing_ok=True)

    forget()
    assert dvc("pull") == 0 and Path("used").read_text() != "good\n", "DVC looks itself now: shorten docs/RELIABILITY.md"
    forget()
    assert dvc("remote", "modify", "remote", "verify", "true") == 0
    assert dvc("pull") == 1 and not Path("used").exists()
    assert dvc("repro", "--pull") == 0 and Path("used").read_text() == "good\n"
