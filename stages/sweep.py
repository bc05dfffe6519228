"""`make sweep RUN=pblstm`: Optuna chooses values from a run's space in sweeps.yaml, and stops bad trials early.

Not a stage: experiments run stages. Each trial is a `dvc exp run` in a clone of the project of its own, which is watched
while it trains; one that ends becomes a DVC experiment of the project. What is optimised is the task's score on dev.
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
from stages.ablating.prepare import check_git, repro
from stages.config.check import nearest
from stages.config.schema import Params
from stages.core import checksums, dependencies, paths
from stages.core.errors import InputError, run_command
from stages.core.locks import locked
from stages.data import checkpoint
from stages.sweeping import carry_out, space, summary
from stages.sweeping.clone import Snapshot
from stages.sweeping.record import FOLDER, WAIT, Sweep
from stages.tasks import load_params, part

INTERRUPTED = 128 + signal.SIGINT


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 if no trial has ended well, 130 after Ctrl-C."""
    options, params = _parser().parse_args(arguments), load_params()
    if not options.run:
        raise InputError(f"name a run, as in `make sweep RUN={next(iter(params.runs))}`; {nearest('', params.runs)}")
    run = params.run(options.run)
    chosen, resolved = space.choose(options.run)
    check_git()
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # which a script's `&` would have ignored here and in all trials
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with locked(FOLDER / "repro.lock", WAIT):
        repro(f"normalize@{run.task}")  # what all trials share
    score, snapshot = part(run.kind, "training").SCORE, Snapshot.take()
    basis = _basis(options.run, resolved, [parameter.path for parameter in chosen.parameters])
    sweep = Sweep.open(chosen, basis, maximize=score.higher_is_better, epochs=resolved.run(options.run).epochs)
    stop = Event()
    with ThreadPoolExecutor(options.jobs) as pool:
        working = [
            pool.submit(carry_out.work, sweep, score.name, snapshot, options.trials, stop) for _ in range(options.jobs)
        ]
        interrupted = _wait(working, stop)
    _tell(sweep, score.name)
    for future in working:
        future.result()
    return INTERRUPTED if interrupted else int(not any(trial.value is not None for trial in sweep.trials))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m stages.sweep", description="A sweep over a run's space in sweeps.yaml.")
    parser.add_argument("run", metavar="RUN", help="its name in params.yaml and sweeps.yaml")
    parser.add_argument(
        "--trials", metavar="N", type=_positive, default=30, help="of the whole sweep, earlier calls included"
    )
    parser.add_argument("--jobs", metavar="J", type=int, choices=range(1, 65), default=1, help="trials at a time")
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _basis(name: str, resolved: Params, swept: Sequence[str]) -> str:
    """A hash of what decides a trial's score beside the parameters: the rest of params.yaml, the code, the data."""
    run = resolved.run(name)
    keys = {"download": run.task, "normalize": run.task, "find_lr": name, "train": name, "evaluate": name}
    listed = [dependencies.listed(stage, key) for stage, key in keys.items()]
    code = {dependencies.ROOT / file for found in listed for file in found.code}
    data = checksums.check(paths.features(run.task), below=False)
    settings = [carried_out(resolved, name), data, resolved.seed, resolved.precision, swept]
    return checkpoint.fingerprint(settings, dependencies.ROOT, code)


def _wait(working: Sequence[Future[None]], stop: Event) -> bool:
    """Whether Ctrl-C came before all had ended. An error in one ends the others."""
    try:
        wait(working, return_when=FIRST_EXCEPTION)
        return False
    except KeyboardInterrupt:
        print("interrupted: trainings save their state", flush=True)
        return True
    finally:
        stop.set()


def _tell(sweep: Sweep, score: str) -> None:
    trials, run = sweep.trials, sweep.space.run
    if not trials:
        return
    print(f"\n{summary.table(trials, score)}")
    if any(trial.value is not None for trial in trials):
        summary.draw(sweep.study, run, score)
        best = sweep.study.best_trial.number
        print(f"\nbest: trial {best}; `dvc exp apply {sweep.name(best)}` takes it over; {paths.sweep_plot(run)}: written")


if __name__ == "__main__":
    run_command(main)
