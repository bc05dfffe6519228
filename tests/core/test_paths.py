"""Outputs take their names whole, by one process at a time, and never from a stage whose DVC is gone."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from stages.core import paths
from stages.core.errors import InputError


@pytest.fixture
def other() -> Iterator[int]:
    """A process that lives as long as a test."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


def ended() -> int:
    """The number of a process that there was."""
    with subprocess.Popen(["true"]) as process:
        return process.pid


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    final = tmp_path / "plots"
    final.mkdir()
    (final / "old").touch()
    with pytest.raises(InputError), paths.replacing(final) as partial:
        partial.mkdir()
        raise InputError("no")
    assert [path.name for path in tmp_path.rglob("*")] == ["plots", "old"]


def test_what_was_there_is_replaced_whole(tmp_path: Path) -> None:
    for name in ("old", "new"):
        with paths.replacing(tmp_path / "plots") as partial:
            partial.mkdir()
            (partial / name).touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["plots", "new"]


def test_a_second_process_at_the_same_output_disturbs_neither(tmp_path: Path, other: int) -> None:
    theirs = tmp_path / f".plots.{other}.partial"
    theirs.mkdir()
    (theirs / "picture").touch()
    with paths.replacing(tmp_path / "plots") as partial:
        partial.mkdir()
    assert (theirs / "picture").exists() and (tmp_path / "plots").is_dir()


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    folder, file, own = (tmp_path / f".out.{process}.partial" for process in (ended(), ended(), os.getpid()))
    folder.mkdir()
    (folder / "picture").touch()
    file.touch()
    own.touch()  # in a container every process has the number that the last one had
    (tmp_path / ".out.mine.partial").touch()  # somebody else's
    with paths.replacing(tmp_path / "out") as partial:
        partial.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.mine.partial", "out"]


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the system does not say what a process is")
@pytest.mark.parametrize("command", ["true", "sleep 60"], ids=["a zombie", "another program"])
def test_a_number_that_no_process_of_ours_has_is_a_dead_ones(command: str, tmp_path: Path) -> None:
    with subprocess.Popen(command.split()) as process:
        if command == "true":
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # and leave the zombie
        while command != "true" and b"sleep" not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
            time.sleep(0.01)
        (tmp_path / f".out.{process.pid}.partial").mkdir()
        with paths.replacing(tmp_path / "out") as partial:
            partial.touch()
        process.kill()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


STAGE = """
import time
from pathlib import Path
from stages.core import errors, paths

def main(name):
    with paths.output(Path(name)) as partial:
        partial.touch()
        print(flush=True)
        while not Path(name).with_name("go").exists():
            time.sleep(0.01)
    print("replaced", flush=True)

errors.run_stage(main)
"""


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_stage_whose_dvc_was_killed_replaces_nothing(tmp_path: Path, is_killed: bool) -> None:
    final = tmp_path / "out"
    with ExitStack() as stack:
        read, write = os.pipe()
        log = stack.enter_context(os.fdopen(read))
        # As DVC does: a process that starts the stage and waits for it.
        start = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"
        command = [sys.executable, "-c", start, STAGE, str(final)]
        environment = os.environ | {"DVC_ROOT": str(Path.cwd())}
        dvc = stack.enter_context(subprocess.Popen(command, stdout=write, stderr=write, env=environment))
        os.close(write)
        log.readline()
        if is_killed:
            dvc.kill()
            dvc.wait()
        (tmp_path / "go").touch()
        told = log.read()  # to the end of the last process
    assert final.exists() != is_killed and ("replaced" in told) != is_killed
    assert ("interrupted: DVC, which started this process, is gone; `dvc repro` starts it again" in told) == is_killed
    assert not list(tmp_path.glob(".*"))
