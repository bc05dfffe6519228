"""`python -m stages.plan [task]`: print what `dvc repro` will do; with --targets, print the task's final stages."""

import argparse
import sys

from stages.config.schema import Params
from stages.core.errors import InputError
from stages.tasks import load_params

SAMPLE = "about 8 minutes on two cores for all eight runs"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.plan", description=__doc__)
    parser.add_argument("task", nargs="?", default="", help="only this task's runs")
    parser.add_argument("--targets", action="store_true", help="print only the stages to pass to `dvc repro`")
    arguments = parser.parse_args()
    params = load_params()
    runs = runs_of(params, arguments.task)
    if arguments.targets:
        ensembles = [name for name, ensemble in params.ensembles.items() if arguments.task in ("", ensemble.task)]
        print(*(f"submit@{name}" for name in runs), *(f"submit_ensemble@{name}" for name in ensembles))
        return
    real = {params.runs[name].task for name in runs if params.task(params.runs[name].task).source != "sample"}
    print(f"{len(runs)} runs: {', '.join(runs)}. Stages that have not changed are skipped.")
    if real:
        print(f"real data for {', '.join(sorted(real))}: full networks, which take hours on a CPU.")
        print("Ctrl-C saves the training state, and the same command continues.")
    else:
        print(f"sample data: {SAMPLE}")


def runs_of(params: Params, task: str) -> list[str]:
    """Return the names of the runs of `task`, or of all runs if it is empty. Raises InputError if there are none."""
    found = [name for name, run in params.runs.items() if task in ("", run.task)]
    if not found:
        raise InputError(f"no run in params.yaml belongs to the task {task}; give one of {', '.join(params.tasks)}")
    return found


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
