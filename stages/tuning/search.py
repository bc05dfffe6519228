"""The learning rate of a run with `lr: find`, by a range test on its training data."""

from types import ModuleType

from stages.compute import device
from stages.config.schema import Params, Run
from stages.core import checksums, paths
from stages.core.errors import InputError
from stages.data.statistics import Stats
from stages.results import plots, summary
from stages.training.warm_start import warm_start
from stages.tuning import range_test


def search(name: str, run: Run, params: Params, task: ModuleType, kind: type[Stats]) -> tuple[float, str]:
    """Return the suggested rate and its source, and plot the range test.

    task: the task's `training` module. kind: of its statistics. Raises InputError if the test suggests nothing, or the
    network is larger than the task allows.
    """
    checksums.check(paths.features(run.task))
    compute = device.choose(
        params.device,
        params.precision,
        params.deterministic,
        params.compile,
        num_threads=params.task(run.task).num_threads,
    )
    batches = task.train_batches(paths.features(run.task), run, compute, params.seed_of(name))
    device.seed_torch(params.seed_of(name))
    stats = kind.read(paths.features(run.task))
    model = compute.to_device(task.build_model(run, stats))
    params.check_size(run.task, f"runs.{name}", summary.num_parameters(model))
    warm_start(model, name, run, stats)
    rates, losses = range_test.range_test(
        model, params.range_test, task=task, run=run, batches=batches, compute=compute, seed=params.seed_of(name)
    )
    try:
        found = range_test.suggest_lr(rates, losses)
    except ValueError as error:
        raise InputError(f"range_test: {error}; widen it, or give runs.{name}.optimizer.lr") from None
    if found.still_falls:
        advice = f"with a higher range_test.end it may suggest more than {found.lr:.2g}"
        print(f"warning: the loss was lowest at the end of the range test, {rates[-1]:.2g}; {advice}")
    plots.range_test(
        paths.lr_plot(name),
        name,
        rates,
        losses,
        range_test.smoothed_losses(losses),
        suggested=found.lr,
        decided=found.decided,
        span=(found.first, found.end),
    )
    return found.lr, f"a range test of {len(rates)} steps: {found.decided}"
