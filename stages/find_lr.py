"""Stage `find_lr`: decide a run's learning rate. metrics/<run>/lr.json says which and why.

The top-level `lr` if set, else the run's own number, else (`lr: find`) a range test.
"""

import json

from stages.compute import device
from stages.core import checksums, paths
from stages.core.errors import InputError, run_stage
from stages.results import plots
from stages.tasks import load_params, part
from stages.training import schedules
from stages.tuning import range_test


def main(name: str) -> None:
    params = load_params()
    run = params.run(name)
    params.tell_hidden(name)
    if params.lr is not None:
        lr, source = params.lr, "the top-level lr"
    elif run.optimizer.lr != "find":
        lr, source = run.optimizer.lr, f"runs.{name}.optimizer.lr"
    else:
        checksums.check(paths.features(run.task))
        task = part(run.task, "training")
        compute = device.choose(params.device, params.precision, params.deterministic, params.compile)
        batches = task.train_batches(paths.features(run.task), run, compute, params.seed)
        device.seed_torch(params.seed)
        model = compute.to_device(task.build_model(run, paths.read_stats(run.task)))
        rates, losses = range_test.range_test(
            model, params.range_test, task=task, run=run, batches=batches, compute=compute, seed=params.seed
        )
        try:
            lr, source = range_test.suggest_lr(rates, losses), f"a range test of {len(rates)} steps"
        except ValueError as error:
            raise InputError(f"range_test: {error}; widen it, or give runs.{name}.optimizer.lr") from None
        plots.range_test(paths.lr_plot(name), name, rates, losses, range_test.smoothed_losses(losses), lr)
    if "range test" not in source:
        factors = [schedules.lr_factor(run.schedule, step, 100, run.epochs) for step in range(100 * run.epochs)]
        plots.fixed_lr(paths.lr_plot(name), name, lr, source, factors)
    with paths.output(paths.lr(name)) as partial:
        partial.write_text(json.dumps({"lr": lr, "source": source}, indent=2) + "\n")
    print(f"learning rate {lr:.3g}, from {source}")


if __name__ == "__main__":
    run_stage(main)
