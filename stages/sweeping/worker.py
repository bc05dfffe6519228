"""Run trials: `dvc exp run` in a clone of the project, watched while it trains, and stopped if others were better."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any

import optuna
from optuna.trial import TrialState

from stages.config.schema import readable
from stages.core import paths
from stages.core.locks import locked
from stages.reporting.collect import Curve, curves
from stages.sweeping import clone
from stages.sweeping.clone import Snapshot
from stages.sweeping.record import WAIT, Sweep

POLL_SECONDS = 1.0
GRACE_SECONDS = 60.0  # for a training to save its state and for DVC to exit


def work(sweep: Sweep, score: str, snapshot: Snapshot, max_trials: int, stop: Event) -> None:
    """Run trials and print their outcomes until the sweep has `max_trials`, or `stop` is set.

    score: the name of the task's score. Raises InputError if a trial cannot start.
    """
    while not stop.is_set():
        with sweep.next_trial(max_trials) as trial:
            if trial is None:
                return
            outcome = _run(sweep, trial, score, snapshot, stop)
            print(f"trial {trial.number}: {outcome}", flush=True)


def _run(sweep: Sweep, trial: optuna.Trial, score: str, snapshot: Snapshot, stop: Event) -> str:
    """Run the trial, record the outcome, and return it in words."""
    run, name = sweep.space.run, sweep.name(trial.number)
    values = {parameter.path: parameter.suggest(trial) for parameter in sweep.space.parameters}
    tries = [*trial.user_attrs.get("lost", []), trial.number]
    again = f" (trial {tries[0]} again)" if len(tries) > 1 else ""
    shown = ", ".join(f"{path.rpartition('.')[2]} {readable(value)}" for path, value in values.items())
    print(f"trial {trial.number}: {shown}{again}", flush=True)
    folder, log = sweep.folder / str(trial.number), sweep.folder / f"{trial.number}.out"
    state = sweep.folder / f"{tries[0]}.state"
    try:
        with locked(sweep.folder / "clone.lock", WAIT):
            shutil.rmtree(folder, ignore_errors=True)
            clone.make(folder, snapshot)
        state.mkdir(exist_ok=True)
        end = _watch(_start(folder, state, log, name, sweep, values), trial, score, folder / paths.history(run), stop)
        if end is None:
            log.unlink()
            sweep.lose(trial)
            return "interrupted; the same command continues it"
        if end == TrialState.PRUNED:
            log.unlink()
            sweep.study.tell(trial, state=TrialState.PRUNED)
            epoch, value = max(sweep.study.trials[trial.number].intermediate_values.items())
            outcome = f"stopped after epoch {epoch}, {score} {value:.4f}"
        elif end == TrialState.FAIL:
            trial.set_user_attr("error", error := _error(log))
            sweep.study.tell(trial, state=TrialState.FAIL)
            outcome = f"failed: {error}; see {log}"
        else:
            log.unlink()
            value = json.loads((folder / paths.evaluation(run)).read_text())["dev"][score]
            clone.fetch(folder, snapshot.ref(name))
            sweep.study.tell(trial, value)
            outcome = f"{score} {value:.4f}"
        shutil.rmtree(state)
        for lost in tries[:-1]:  # of a sweep that was killed
            shutil.rmtree(sweep.folder / str(lost), ignore_errors=True)
            (sweep.folder / f"{lost}.out").unlink(missing_ok=True)
        return outcome
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(
    folder: Path, state: Path, log: Path, name: str, sweep: Sweep, values: Mapping[str, Any]
) -> subprocess.Popen[bytes]:
    changes = [word for change in sweep.space.changes(values) for word in ("-S", change)]
    dvc = [sys.executable, "-m", "stages.sweeping.child", "exp", "run", "-n", name]
    private = {
        "DVC_ROOT": str(paths.root().resolve()),
        "DVC_SITE_CACHE_DIR": str((folder / ".dvc/tmp/site").resolve()),
        "RESUME_DIR": str(state.resolve()),
    }
    with log.open("w") as output:
        return subprocess.Popen(
            [*dvc, *changes, f"evaluate@{sweep.space.run}"],
            cwd=folder,
            env=os.environ | private,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _watch(
    process: subprocess.Popen[bytes], trial: optuna.Trial, score: str, history: Path, stop: Event
) -> TrialState | None:
    """Wait for the trial and return COMPLETE, PRUNED or FAIL, or None if `stop` was set.

    history: has an earlier training's scores until this one begins.
    """
    reported, earlier = set[int](), _scores(history, score)
    try:
        while process.poll() is None:
            if stop.wait(POLL_SECONDS):
                return None
            scores = _scores(history, score)
            if scores != earlier and _report(trial, scores, reported):
                return TrialState.PRUNED
    finally:
        _end(process)
    if process.returncode:
        return TrialState.FAIL
    _report(trial, _scores(history, score), reported)
    return TrialState.COMPLETE


def _report(trial: optuna.Trial, scores: Curve, reported: set[int]) -> bool:
    """Report the epochs to Optuna that are not in `reported`, add them to it, and return whether to stop the trial."""
    is_bad = False
    for epoch, value in scores:
        if epoch not in reported:
            reported.add(epoch)
            trial.report(math.nan if value is None else value, epoch)
            is_bad |= trial.should_prune()
    return is_bad


def _scores(history: Path, score: str) -> Curve:
    """Return the dev scores of the epochs so far."""
    try:
        return curves(history).get(score, {}).get("dev", [])
    except FileNotFoundError:  # DVC removes the last training's file when this one begins
        return []


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt the trial if it is running, and wait for it."""
    assert process.stdin
    process.stdin.close()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _error(log: Path) -> str:
    """Return a failed trial's error message."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error: ")]
    return (errors[:1] or lines[-1:] or ["DVC printed nothing"])[0].removeprefix("error: ")
