"""`make sweep RUN=pblstm`: search a run's space from sweeps.yaml with Optuna, stopping bad trials early.

Not a stage: experiments run stages. Each trial is a `dvc exp run` in its own clone of the project, watched while it trains;
a finished trial becomes a DVC experiment of the project. The objective is the task's dev score.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from importlib.util import find_spec
from threading import Event

if find_spec("optuna") is None:
    sys.exit("error: Optuna is not installed; `make sweep` installs it and starts the sweep")

from stages.ablating.grids import carried_out
from stages.ablating.prepare import check_git, chosen_run, repro
from stages.config.schema import Params
from stages.core import checksums, dependencies, paths
from stages.core.errors import run_command
from stages.core.locks import locked
from stages.data import checkpoint
from stages.sweeping import space, summary, worker
from stages.sweeping.clone import Snapshot
from stages.sweeping.record import FOLDER, WAIT, Sweep
from stages.tasks import load_params, task_module

INTERRUPTED = 128 + signal.SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 1 if no trial has finished, 130 after Ctrl-C."""
    options, params = _parser().parse_args(arguments), load_params()
    run = chosen_run(options.run, "sweep", params)
    chosen, resolved = space.choose(options.run)
    check_git()
    for number in (signal.SIGINT, signal.SIGTERM):  # a script's `&` ignores SIGINT, and the trials would inherit that
        signal.signal(number, signal.default_int_handler)
    with locked(FOLDER / "repro.lock", WAIT):
        repro(f"normalize@{run.task}")  # all trials share it
    score, snapshot = task_module(run.kind, "training").SCORE, Snapshot.take()
    basis = _basis(options.run, resolved, [parameter.path for parameter in chosen.parameters])
    sweep = Sweep.open(chosen, basis, maximize=score.higher_is_better, epochs=resolved.run(options.run).epochs)
    stop = Event()
    with ThreadPoolExecutor(options.jobs) as pool:
        workers = [pool.submit(worker.work, sweep, score.name, snapshot, options.trials, stop) for _ in range(options.jobs)]
        interrupted = _wait(workers, stop)
    _print_summary(sweep, score.name)
    for future in workers:
        future.result()
    return INTERRUPTED if interrupted else int(not any(trial.value is not None for trial in sweep.trials))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m stages.sweep", description="Search a run's space from sweeps.yaml.")
    parser.add_argument("run", metavar="RUN", help="its name in params.yaml and sweeps.yaml")
    parser.add_argument(
        "--trials", metavar="N", type=_positive, default=30, help="trials in total, including those of earlier calls"
    )
    parser.add_argument("--jobs", metavar="J", type=int, choices=range(1, 65), default=1, help="trials at a time")
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _basis(name: str, resolved: Params, swept: Sequence[str]) -> str:
    """Hash what decides a trial's score besides the swept parameters: the rest of params.yaml, the code, the data."""
    run = resolved.run(name)
    keys = {"download": run.task, "normalize": run.task, "find_lr": name, "train": name, "evaluate": name}
    listed = [dependencies.listed(stage, key) for stage, key in keys.items()]
    code = {dependencies.ROOT / file for found in listed for file in found.code}
    data = checksums.check(paths.features(run.task), below=False)
    top = [resolved.seed, resolved.precision, resolved.device, resolved.deterministic, resolved.compile, resolved.range_test]
    settings = [carried_out(resolved, name), data, *top, swept]
    return checkpoint.fingerprint(settings, dependencies.ROOT, code)


def _wait(workers: Sequence[Future[None]], stop: Event) -> bool:
    """Wait for all workers; an error in one stops the others. Return whether Ctrl-C interrupted them."""
    try:
        wait(workers, return_when=FIRST_EXCEPTION)
        return False
    except KeyboardInterrupt:
        print("interrupted: the trials save their state", flush=True)
        return True
    finally:
        stop.set()


def _print_summary(sweep: Sweep, score: str) -> None:
    trials, run = sweep.trials, sweep.space.run
    if not trials:
        return
    print(f"\n{summary.table(trials, score)}")
    if any(trial.value is not None for trial in trials):
        summary.draw(sweep.study, run, score)
        best = sweep.study.best_trial.number
        print(f"\nbest: trial {best}; `dvc exp apply {sweep.name(best)}` applies it; {paths.sweep_plot(run)}: written")


if __name__ == "__main__":
    run_command(main)
