"""Stage `find_lr`: choose a run's learning rate and write it, with its source, to metrics/<run>/lr.json.

The top-level `lr` wins, then the run's own number; with `lr: find` a range test decides.
"""

import json

from stages.config.hidden import refuse_hidden_change
from stages.config.schema import Run
from stages.core import paths
from stages.core.errors import run_stage
from stages.results import plots
from stages.tasks import load_params, task_module
from stages.training import schedules


def main(name: str) -> None:
    params = load_params()
    run = params.run(name)
    refuse_hidden_change(params, name)
    if params.lr is not None:
        lr, source = _fixed(name, run, params.lr, "the top-level lr")
    elif run.optimizer.lr != "find":
        lr, source = _fixed(name, run, run.optimizer.lr, f"runs.{name}.optimizer.lr")
    else:
        from stages.tuning.search import search  # imports torch, which is slow

        lr, source = search(name, run, params, task_module(run.kind, "training"), task_module(run.kind, "statistics").Stats)
    with paths.output(paths.lr(name)) as partial:
        partial.write_text(json.dumps({"lr": lr, "source": source}, indent=2) + "\n")
    print(f"learning rate {lr:.3g}, from {source}")


def _fixed(name: str, run: Run, lr: float, source: str) -> tuple[float, str]:
    """Plot the learning rate over training and return it with its source."""
    factors = [schedules.lr_factor(run.schedule, step, 100, run.epochs) for step in range(100 * run.epochs)]
    plots.fixed_lr(paths.lr_plot(name), name, lr, source, factors)
    return lr, source


if __name__ == "__main__":
    run_stage(main)
