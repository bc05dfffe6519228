"""`python -m stages.repro [task]`: say what `dvc repro` will do, run it, and print the scores.

DVC runs one stage at a time. On sample data much of the time goes into starting Python and writing dvc.lock, on one core.
So the first time the last task runs beside the others.
"""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from stages import scores
from stages.config.schema import Params
from stages.core.errors import InputError, run_command
from stages.tasks import load_params

REPORT = Path("data/report")  # the last stage's
SAMPLE = "about 4 minutes on two cores for all eight runs"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m stages.repro", description=__doc__)
    parser.add_argument("task", nargs="?", default="", help="only this task's runs")
    task = parser.parse_args().task
    params = load_params()
    print(plan(params, task), flush=True)
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the stages, which save their state
    began = time.monotonic()
    failed = 0
    if not task and not real_tasks(params, task) and not REPORT.exists():
        failed = side_by_side(params)
    if not failed:
        failed = dvc_repro(targets(params, task) if task else []).wait()
    if not failed:
        print()
        scores.main()
        print(f"time: {time.monotonic() - began:.0f} s")
    return failed


def plan(params: Params, task: str) -> str:
    """Return what will run and how long it takes, for the terminal."""
    runs = runs_of(params, task)
    lines = [f"{len(runs)} runs: {', '.join(runs)}. Stages that have not changed are skipped."]
    if real := real_tasks(params, task):
        lines += [f"real data for {', '.join(real)}: full networks, which take hours on a CPU."]
        lines += ["Ctrl-C saves the training state, and the same command continues."]
    else:
        lines += [f"sample data: {SAMPLE}"]
    return "\n".join(lines)


def real_tasks(params: Params, task: str) -> list[str]:
    """Return the sorted names of the tasks that `task` covers, all if it is empty, without those of sample data."""
    tasks = {params.runs[name].task for name in runs_of(params, task)}
    return sorted(name for name in tasks if params.task(name).source != "sample")


def runs_of(params: Params, task: str) -> list[str]:
    """Return the names of the runs of `task`, or of all runs if it is empty. Raises InputError if there are none."""
    found = [name for name, run in params.runs.items() if task in ("", run.task)]
    if not found:
        raise InputError(f"no run in params.yaml belongs to the task {task}; give one of {', '.join(params.tasks)}")
    return found


def targets(params: Params, task: str) -> list[str]:
    """Return the final stages of the task's runs and ensembles."""
    ensembles = [name for name, ensemble in params.ensembles.items() if ensemble.task == task]
    return [f"submit@{name}" for name in runs_of(params, task)] + [f"submit_ensemble@{name}" for name in ensembles]


def side_by_side(params: Params) -> int:
    """Reproduce the last task beside the others. Return 0, or the exit status of what failed."""
    *others, last = dict.fromkeys(run.task for run in params.runs.values())
    if not others:
        return 0
    log = Path(f".dvc/tmp/repro-{last}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"{last}: runs beside the others; its output: tail -f {log}", flush=True)
    with log.open("w") as output:
        beside = dvc_repro(targets(params, last), output)
        failed = dvc_repro([stage for task in others for stage in targets(params, task)]).wait()
        if not failed and beside.poll() is None:
            print(f"{last}: is not ready yet; its output: tail -f {log}", flush=True)
        if beside.wait():
            print(f"{last}: failed; the end of {log}:", *log.read_text().splitlines()[-20:], sep="\n")
    return failed or beside.returncode


def dvc_repro(stages: Sequence[str], output: IO[str] | None = None) -> subprocess.Popen[bytes]:
    """Start `dvc repro`, which waits while another one writes dvc.lock. Without stages it reproduces everything."""
    words = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", *stages]
    return subprocess.Popen(words, stdout=output, stderr=output and subprocess.STDOUT)


if __name__ == "__main__":
    run_command(main)
