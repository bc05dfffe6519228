"""Stage `evaluate`: write metrics/<run>.json, metrics/<run>/evaluate.json and plots/, and data/predictions/<run>/."""

import json

from stages.compute import device
from stages.core import checksums, paths
from stages.core.errors import run_stage
from stages.data import checkpoint
from stages.results import plots
from stages.results.headlines import choose
from stages.tasks import load_params, task_module


def main(name: str) -> None:
    params = load_params()
    run = params.run(name)
    task = task_module(run.kind, "training")
    checksums.check(paths.features(run.task))
    file = paths.weights(name, run.evaluate.weights)
    saved = checkpoint.load_trained(file)
    num_threads = params.task(run.task).num_threads
    compute = device.choose(params.device, params.precision, params.deterministic, num_threads=num_threads)
    kind = task_module(run.kind, "statistics").Stats
    model, _ = checkpoint.restore(lambda stats: task.build_model(run, stats), kind, file, saved)
    model = compute.to_device(model)
    with paths.output(paths.plots(name)) as plots_to, paths.output(paths.predictions(name)) as predictions_to:
        plots_to.mkdir()
        predictions_to.mkdir()
        evaluation = task_module(run.kind, "evaluation")
        metrics = evaluation.evaluate(
            model,
            name,
            run,
            paths.features(run.task),
            compute,
            params.seed_of(name),
            plots_to=plots_to,
            predictions_to=predictions_to,
        )
        plots.curves(plots_to / "curves.png", name, saved.history, task.SCORE.name)
        checksums.write(predictions_to)
    report = {
        "dev": metrics,
        "epoch": saved.epoch,
        "num_parameters": sum(weight.numel() for weight in model.parameters()),
        "weights_sha256": checkpoint.weights_hash(saved.weights),
    }
    with paths.output(paths.evaluation(name)) as partial:
        partial.write_text(json.dumps(report, indent=2) + "\n")
    with paths.output(paths.headlines(name)) as partial:
        headlines = choose(metrics, evaluation.HEADLINES)
        partial.write_text(json.dumps({"dev": headlines} if headlines else {}, indent=2) + "\n")
    if run.train.final:
        print(f"{name}: no dev {task.SCORE.name}, as `train.final` also trains on dev; the test split is predicted")
        return
    score = metrics[task.SCORE.name]
    print(f"{name}: dev {task.SCORE.name} {score:.4f} with the {run.evaluate.weights} weights of epoch {saved.epoch}")


if __name__ == "__main__":
    run_stage(main)
