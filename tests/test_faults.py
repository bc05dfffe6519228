"""What can go wrong around a stage: a full disk, one that is read-only, a limit, a worker killed. The real thing each."""

import errno
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages import download
from stages.core.errors import InputError, Interrupted, describe, naming, run_stage
from stages.data import checkpoint
from stages.images.training.batches import WorkerBatches
from tests.conftest import ROOT, Project
from tests.soak.disk import Disk, NotAllowed
from tests.sources.test_http import BODY, SHA256, Answer, Site, site  # noqa: F401  (a fixture)
from tests.test_pipeline import TINY


@pytest.fixture
def disk(project: Project) -> Iterator[Disk]:
    """A disk of 2 MB with a params.yaml of tiny data."""
    project.set(**TINY | {"lr": 0.001})
    try:
        made = Disk(project.folder, "2m")
    except NotAllowed as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    (made.view / "params.yaml").write_bytes((project.folder / "params.yaml").read_bytes())
    yield made
    made.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence on stderr of a stage that failed."""
    assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("error: ").rstrip()


# Disks.


def test_a_full_disk_stops_normalize_with_the_old_features_whole_and_with_room_it_succeeds(disk: Disk) -> None:
    for name in ("download", "normalize"):
        assert disk.stage(name, "cifar10").returncode == 0
    features = contents(disk.view / "data/features")
    disk.fill(leaving=100_000)
    assert "images.npy: no space left on device; make room" in refusal(disk.stage("normalize", "cifar10"))
    assert contents(disk.view / "data/features") == features
    assert not list(disk.view.rglob("*.partial"))
    disk.make_room()
    assert disk.stage("normalize", "cifar10").returncode == 0
    assert contents(disk.view / "data/features") == features


def test_a_full_disk_stops_a_download_of_unknown_length_which_then_goes_on(disk: Disk, site: Site) -> None:  # noqa: F811
    program = f"""
from pathlib import Path
from stages.core.errors import run_stage
from stages.sources import http
run_stage(lambda url: print(http.fetch(url, Path("out"), Path("cache"), checksum={SHA256!r})))
"""
    site.then = Answer(claim=-1)
    disk.fill(leaving=300_000)
    command = [sys.executable, "-c", program, site.url]
    assert "cache/set.tar.gz.partial: no space left on device; make room" in refusal(disk.run(*command))
    have = (disk.view / "cache/set.tar.gz.partial").stat().st_size
    assert have > 200_000 and not list((disk.view / "out").iterdir())
    disk.make_room()
    done = disk.run(*command)
    assert done.returncode == 0, done.stderr
    assert (disk.view / "out/set.tar.gz").read_bytes() == BODY
    assert site.asked[-1] == f"bytes={have}-"


def test_a_read_only_workspace_is_one_sentence(disk: Disk) -> None:
    disk.protect()
    assert "read-only file system" in refusal(disk.stage("download", "cifar10"))


# Limits on a file's size, which need no disk.


@contextmanager
def limited(num_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(project: Project) -> None:
    def save(size: int) -> None:
        checkpoint.save(Path("models/last.safetensors"), {"weights": {"w": torch.full((size,), 1.0)}})

    save(100)
    before = contents(project.folder / "models")
    with limited(200_000), pytest.raises(OSError) as caught:
        save(100_000)
    said = "models/last.safetensors: file too large; a limit (ulimit -f) forbids this process files of that size"
    assert describe(caught.value) == said
    assert contents(project.folder / "models") == before
    save(100_000)
    assert contents(project.folder / "models") != before


def test_an_archive_that_cannot_be_written_leaves_nothing(project: Project) -> None:
    project.set(**TINY)
    with limited(100_000), pytest.raises(OSError) as caught:
        download.main("cifar10")
    assert "file too large" in str(describe(caught.value))
    assert not list(project.folder.rglob("*.partial")) and not list(project.folder.rglob("*.zip"))


# Workers.

ENDLESS = """
import multiprocessing
from stages.core.errors import run_stage
from tests.test_faults import two_workers

def main(name):
    batches = two_workers()
    for epoch in range(1_000_000):
        for number, _ in enumerate(batches.epoch(epoch)):
            if number + epoch == 1:
                print(*(child.pid for child in multiprocessing.active_children()), flush=True)

run_stage(main)
"""


def two_workers() -> WorkerBatches:
    """Of four batches of 300 kB."""
    images, labels = np.zeros((400, 32, 32, 3), np.uint8), np.zeros(400, np.int64)
    settings = {"device": torch.device("cpu"), "mean": [0.0] * 3, "std": [1.0] * 3, "batch_size": 100, "seed": 0}
    return WorkerBatches(images, labels, [""] * 400, num_workers=2, **settings)


def test_a_worker_that_is_killed_is_one_sentence_and_no_hang() -> None:
    """Which of the words depends on what PyTorch hears of first."""
    environment, pipe = os.environ | {"PYTHONPATH": str(ROOT)}, subprocess.PIPE
    command = [sys.executable, "-c", ENDLESS, "x"]
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            workers = [int(number) for number in process.stdout.readline().split()]
            os.kill(workers[0], signal.SIGKILL)
            _, errors = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == 1 and errors.count("\n") == 1, errors
    gone = "a data loading process (is killed by signal: Killed|exited unexpectedly|died), as happens when memory runs out"
    assert re.match(f"error: {gone}", errors), errors
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_a_worker_without_shared_memory_for_its_batch_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    share = torch.UntypedStorage._share_fd_cpu_

    def no_room(storage: torch.UntypedStorage) -> Any:
        if storage.nbytes() < 1e5:
            return share(storage)
        raise RuntimeError(f"unable to mmap {storage.nbytes()} bytes from file </torch_1>: Cannot allocate memory (12)")

    monkeypatch.setattr(torch.UntypedStorage, "_share_fd_cpu_", no_room)
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("the trainer waits for ever"))
    signal.alarm(60)
    try:
        with pytest.raises(RuntimeError) as caught:
            next(two_workers().epoch(0))
    finally:
        signal.alarm(0)
    words = "not enough memory for a data loading process (RuntimeError: unable to mmap 307200 bytes"
    assert str(describe(caught.value)).startswith(words)


# Words.


def from_worker(error: Exception) -> Exception:
    """As PyTorch raises it where a worker raised `error`."""
    from torch._utils import ExceptionWrapper

    try:
        try:
            raise error
        except Exception:
            wrapper = ExceptionWrapper(where="in DataLoader worker process 0")
        wrapper.reraise()
    except Exception as raised:
        return raised
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (InputError("a.zip: is empty"), "a.zip: is empty"),
        (OSError(errno.EACCES, "Permission denied", "a/b"), "a/b: permission denied"),
        (
            OSError(errno.ENOSPC, "No space left on device", "a"),
            "a: no space left on device; make room, and the same command",
        ),
        (OSError(errno.EIO, "Input/output error"), f"{Path.cwd()}: input/output error"),
        (OSError("the connection broke"), "the connection broke"),
        (MemoryError(), "not enough memory for this process (MemoryError); a smaller batch_size"),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 2 GiB."),
            "not enough memory for this process (CUDA out",
        ),
        (
            RuntimeError("DataLoader worker (pid(s) 5, 6) exited unexpectedly"),
            "a data loading process exited unexpectedly",
        ),
        (from_worker(InputError("train/1.jpg: is not a readable image")), "train/1.jpg: is not a readable image"),
        (
            from_worker(MemoryError("Unable to allocate 3 GiB")),
            "not enough memory for a data loading process (Mem",
        ),
    ],
)
def test_what_a_person_is_told_is_one_sentence(error: Exception, words: str) -> None:
    said = describe(error)
    assert said is not None and said.startswith(words) and "\n" not in said


def test_a_name_with_a_space_which_the_shell_takes_apart_reaches_the_check_of_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = list[str]()
    monkeypatch.setattr(sys, "argv", ["find_lr", "my", "resnet"])
    run_stage(taken.append)
    assert taken == ["my resnet"]


@pytest.mark.parametrize("error", [Interrupted("`dvc repro` continues"), KeyboardInterrupt()])
def test_an_interrupted_stage_exits_as_the_shell_expects(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(name: str) -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["train", "pblstm"])
    with pytest.raises(SystemExit) as stopped:
        run_stage(main)
    assert stopped.value.code == 130
    assert capsys.readouterr().err.startswith("interrupted: ")


@pytest.mark.parametrize("error", [KeyError("a"), RuntimeError("shapes differ"), from_worker(ValueError("a bug"))])
def test_a_bug_keeps_its_traceback(error: Exception) -> None:
    assert describe(error) is None


def test_a_system_error_that_names_no_file_gets_the_name_of_the_one_in_work(tmp_path: Path) -> None:
    for given, expected in ((None, str(tmp_path)), ("other", "other")):
        with pytest.raises(OSError) as caught, naming(tmp_path):
            raise OSError(errno.ENOSPC, "No space left on device", given)
        assert caught.value.filename == expected
