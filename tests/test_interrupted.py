"""The list of trainings that did not end: what is kept, what is in use, what is removed."""

import fcntl
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from stages import interrupted
from stages.core import paths
from stages.core.errors import InputError
from stages.training.resume import resuming
from tests.conftest import Project


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["interrupted", *arguments])
    interrupted.main()
    return capsys.readouterr().out.splitlines()


def leave(name: str, fingerprint: str) -> Path:
    """A state that no process holds any more."""
    folder = paths.resume(name) / fingerprint
    with resuming(folder) as resume:
        resume.save({"history": []})
    return folder


def test_states_are_listed_and_removed_unless_in_use(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(capsys, monkeypatch) == []
    dead, other = leave("bilstm", "aaa"), leave("pblstm", "bbb")
    with resuming(paths.resume("pblstm") / "ccc") as resume:
        resume.save({"history": []})
        lines = run(capsys, monkeypatch)
        assert [line.split()[0] for line in lines] == [str(dead), str(other), ".resume/pblstm/ccc"]
        assert f"in use by process {os.getpid()}" in lines[2]
        assert run(capsys, monkeypatch, "pblstm", "--remove")[0].endswith("removed")
        assert dead.is_dir() and not other.exists() and resume.load() == {"history": []}
    assert [line.split()[0] for line in run(capsys, monkeypatch)] == [str(dead), ".resume/pblstm/ccc"]
    with resuming(paths.resume("pblstm") / "ddd") as resume:
        resume.save({"history": []})
        resume.discard()
    assert len(run(capsys, monkeypatch)) == 2, "a training that ended has left nothing to tell"
    run(capsys, monkeypatch, "--remove")
    assert run(capsys, monkeypatch) == [] and not list(Path(".resume").rglob("*.lock"))


def test_a_run_without_states_is_named(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    leave("bilstm", "aaa")
    with pytest.raises(InputError, match=r"\.resume/bilsm: there is no state of such a run; did you mean 'bilstm'"):
        run(capsys, monkeypatch, "bilsm")


def test_a_lock_that_is_removed_while_a_trainer_waits_for_it_is_not_trusted(project: Project) -> None:
    folder = paths.resume("bilstm") / "aaa"
    lock = folder.with_name("aaa.lock")
    with ThreadPoolExecutor(2) as pool, ExitStack() as removing:
        lock.parent.mkdir(parents=True)
        held = removing.enter_context(lock.open("w"))
        fcntl.flock(held, fcntl.LOCK_EX)

        def train() -> tuple[float, float]:
            with resuming(folder) as resume:
                began = time.monotonic()
                resume.save({"history": []})
                time.sleep(1)
                assert resume.load() == {"history": []}
                resume.discard()
                return began, time.monotonic()

        waiting = pool.submit(train)
        time.sleep(0.1)
        lock.unlink()
        new = pool.submit(train)
        removing.close()
        first, second = sorted(trainer.result(60) for trainer in (waiting, new))
    assert first[1] < second[0], "both at a time"
