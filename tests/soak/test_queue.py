"""Experiments in DVC's own queue, with its own workers, in a small project whose stages take a second."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.ablating import queue
from stages.ablating.grids import Value
from stages.core.errors import InputError
from stages.reporting.environment import git

TRAIN = """
import json, os, pathlib, time
start = time.time()
x = json.load(open("params.json"))["x"]
assert x != 13, "thirteen"
time.sleep({seconds})
out = pathlib.Path("metrics/net")
out.mkdir(parents=True, exist_ok=True)
(out / "evaluate.json").write_text(json.dumps(dict(twice=2 * x)))
with open(os.environ["DVC_ROOT"] + "/.journal", "a") as journal:
    print(x, start, time.time(), os.getcwd(), file=journal)
"""
GRAPH = """
stages:
  evaluate:
    foreach: [net]
    do:
      cmd: python train.py
      deps: [train.py]
      params: [params.json: [x]]
      metrics: [metrics/net/evaluate.json: {cache: false}]
"""


def value(x: int) -> Value:
    return Value("net", "x", "x", str(x), (f"params.json:x={x}",))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "a")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "a@b.c")
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", "config", "user.name", "a"], check=True)
    subprocess.run(["git", "config", "user.email", "a@b.c"], check=True)
    queue.dvc("init", "-q")
    queue.dvc("config", "core.analytics", "false")
    write_stage(seconds=6)
    Path("params.json").write_text('{"x": 0}')
    Path("dvc.yaml").write_text(GRAPH)
    Path(".gitignore").write_text(".journal\n")
    subprocess.run(["git", "add", "."], check=True)
    subprocess.run(["git", "commit", "-qm", "x"], check=True)
    yield tmp_path
    queue.dvc("queue", "stop", "--kill")


def write_stage(seconds: int) -> None:
    Path("train.py").write_text(TRAIN.replace("{seconds}", str(seconds)))


def journal() -> list[list[str]]:
    return [line.split() for line in Path(".journal").read_text().splitlines()]


def results(refs: dict[str, str | None]) -> dict[str, int | None]:
    found = {name: git("show", f"{ref}:metrics/net/evaluate.json") for name, ref in refs.items()}
    return {name: json.loads(content)["twice"] if content else None for name, content in found.items()}


def test_two_workers_work_at_a_time_and_apart_and_a_failure_is_told_of(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = [value(x) for x in (1, 2, 13)]
    assert results(queue.run(values, jobs=2)) == {"net-x-1": 2, "net-x-2": 4, "net-x-13": None}
    assert "net-x-13: failed" in capsys.readouterr().out
    (_, start, end, folder), (_, other_start, other_end, other_folder) = journal()
    assert float(start) < float(other_end) and float(other_start) < float(end), "at the same time"
    assert len({folder, other_folder, str(project)}) == 3
    assert json.loads(Path("params.json").read_text()) == {"x": 0} and git("status", "--porcelain") == "", "as it was"

    # Again, with a name that is taken, and a file that has changed since: what is known is not made again.
    Path("train.py").write_text(Path("train.py").read_text().replace("13", "17"))
    assert results(queue.run(values, jobs=2)) == {"net-x-1": 2, "net-x-2": 4, "net-x-13": 26}
    assert len(journal()) == 5
    assert results(queue.run(values, jobs=2)) == {"net-x-1": 2, "net-x-2": 4, "net-x-13": 26}
    assert len(journal()) == 5, "from the run cache"
    assert git("status", "--porcelain") == "M train.py", "the change is where it was"


def test_an_experiment_whose_worker_was_killed_fails_instead_of_running_for_ever(project: Path) -> None:
    write_stage(seconds=600)
    program = "from stages.ablating import queue; from tests.soak.test_queue import value; queue.run([value(1)], jobs=1)"
    environment = os.environ | {"PYTHONPATH": str(Path(queue.__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert next(line for line in process.stdout if "running" in line) == "net-x-1: running (0 of 1 done)\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) != 0
    [worker] = Path(".dvc/tmp/exps/celery").glob("dvc-exp-worker-*.json")
    os.kill(json.loads(worker.read_text())["pid"], signal.SIGKILL)
    assert queue.run([value(1)], jobs=1) == {"net-x-1": None}, "found in the queue, and given up"


def test_what_dvc_says_of_a_command_that_fails_is_an_error(project: Path) -> None:
    with pytest.raises(InputError, match=r"`dvc exp apply nobody` failed: ERROR: .*nobody"):
        queue.dvc("exp", "apply", "nobody")
