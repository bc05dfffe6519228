"""The list of trainings that did not end: what is kept, what is in use, what is removed."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from stages import interrupted
from stages.core import paths
from stages.core.errors import InputError
from stages.core.locks import locked
from stages.training.resume import resuming
from tests.conftest import Project, change_params, copy_project


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
    with pytest.raises(InputError, match=r"\.resume/bilsm: no saved state; did you mean 'bilstm'"):
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
                time.sleep(0.3)
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


def test_states_lie_where_resume_dir_says(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESUME_DIR", "drive")
    with pytest.raises(InputError, match=r"^RESUME_DIR: drive: no such folder; mount it, or make it$"):
        paths.resume("bilstm")
    Path("drive").mkdir()
    leave("bilstm", "aaa")
    assert Path("drive/bilstm/aaa/state.pt").is_file() and not Path(".resume").exists()
    assert run(capsys, monkeypatch, "--remove")[0].endswith("removed") and not Path("drive/bilstm/aaa").exists()


def test_a_state_of_another_kind_of_machine_is_told(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    folder = paths.resume("bilstm") / "aaa"
    with resuming(folder, machine="Tesla T4, fp16") as resume:
        resume.save({"history": []})
        assert resume.load() == {"history": []} and not capsys.readouterr().out
    with resuming(folder, machine="NVIDIA L4, bf16") as resume:
        assert resume.load() == {"history": []}
    told = capsys.readouterr().out
    assert told.startswith("the saved state is from Tesla T4, fp16; this is NVIDIA L4, bf16: ")


def test_a_file_system_without_locks_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(InputError, match=r"a\.lock: cannot be locked here \(Operation not supported\)"),
        locked(tmp_path / "a.lock"),
    ):
        pass


# A training of less than a second an epoch, whose state is saved after every step.
SMALL = {
    "checkpoint_minutes": 1e-9,
    "tasks__cifar10__sample": {"train": 60, "test": 10},
    "runs__custom_resnet__optimizer__lr": 0.01,
    "runs__custom_resnet__sample": {"model": {"width": 2}, "epochs": 12, "batch_size": 16},
}


def stage(folder: Path, name: str, argument: str, drive: Path) -> subprocess.Popen[str]:
    """A stage of the clone in `folder`, started by itself."""
    environment = os.environ | {"RESUME_DIR": str(drive), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", f"stages.{name}", argument]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.slow
def test_a_training_that_was_killed_continues_in_another_clone_with_equal_bits(tmp_path: Path) -> None:
    clones, drives = [tmp_path / "one", tmp_path / "a long way off/two"], [tmp_path / "drive", tmp_path / "mnt/drive"]
    for folder in (*clones, *drives):
        folder.mkdir(parents=True)
    first, second = clones
    for clone in clones:
        copy_project(clone)
        change_params(clone / "params.yaml", **SMALL)
    for name, argument in (("download", "cifar10"), ("normalize", "cifar10"), ("find_lr", "custom_resnet")):
        assert stage(first, name, argument, drives[0]).wait(120) == 0
    for made in ("data", "metrics"):
        shutil.copytree(first / made, second / made)
    killed = stage(first, "train", "custom_resnet", drives[0])
    assert killed.stdout is not None and any(line.startswith("epoch 3/12") for line in killed.stdout)
    killed.kill()
    killed.wait()
    shutil.copytree(drives[0], drives[1], dirs_exist_ok=True)

    told, _ = (continued := stage(second, "train", "custom_resnet", drives[1])).communicate(timeout=300)
    assert continued.returncode == 0, told
    assert "continuing after " in told and "another kind of machine" not in told
    assert not list(drives[1].rglob("state.pt")), "a finished run leaves no state"
    shutil.rmtree(drives[0] / "custom_resnet")
    told, _ = (whole := stage(first, "train", "custom_resnet", drives[0])).communicate(timeout=300)
    assert whole.returncode == 0 and "continuing" not in told, told
    for file in ("last.safetensors", "best.safetensors"):
        one, other = ((clone / "models/custom_resnet" / file).read_bytes() for clone in clones)
        assert one == other, file
