"""`python -m stages.export RUN`: write model.onnx, checked against PyTorch, and its model card into exports/<run>/.

Not a stage, as nothing in the pipeline needs the export.
"""

import dataclasses
import json
import re
import sys
from typing import Any

from torch import nn

from stages.config.schema import Run
from stages.core import paths
from stages.core.errors import InputError, run_stage
from stages.core.hashes import file_hash
from stages.data import checkpoint
from stages.exporting import onnx_graph
from stages.exporting.card import Card, render
from stages.results import summary
from stages.tasks import load_params, task_module


def main(name: str) -> None:
    params = load_params()
    run = params.run(name)
    onnx_graph.require()
    source = paths.weights(name, run.evaluate.weights)
    saved = checkpoint.load_trained(source)
    _check_parameters(name, run, saved)
    digest = checkpoint.weights_hash(saved.weights)
    metrics = _metrics(name, digest)
    build_model, kind = task_module(run.kind, "training").build_model, task_module(run.kind, "statistics").Stats
    model, stats = checkpoint.restore(lambda stats: build_model(run, stats), kind, source, saved)
    export = task_module(run.kind, "export")
    graph = export.graph(model.eval(), stats)
    if hasattr(export, "as_evaluated"):
        graph = export.as_evaluated(graph, run, metrics, digest, paths.predictions(name))
    with paths.replacing(paths.export(name)) as out:
        out.mkdir()
        file = out / "model.onnx"
        onnx_graph.write(graph, file, {"run": name, "task": run.task, "weights_sha256": digest})
        trials = onnx_graph.check(graph, file)
        card = Card(
            run=name,
            about=export.ABOUT,
            network=_describe(model),
            num_parameters=summary.num_parameters(model),
            task=run.task,
            source=params.task(run.task).source,
            saved=saved,
            evaluate=dataclasses.asdict(run.evaluate),
            metrics=metrics,
            timing=json.loads(timing.read_text()) if (timing := paths.timing(digest)).is_file() else None,
            graph=graph,
            trials=trials,
            weights_sha256=digest,
            file_sha256=file_hash(file),
        )
        (out / "README.md").write_text(render(card))
    worst = max(trial.difference for trial in trials)
    print(f"{paths.export(name)}: {summary.num_parameters(model):,} parameters, at most {worst:.1e} away from PyTorch")


def _check_parameters(name: str, run: Run, saved: checkpoint.Checkpoint) -> None:
    """Raises InputError if params.yaml has changed since the run was trained, as the card would then be wrong."""
    now = json.loads(json.dumps(dataclasses.asdict(run)))  # lists for tuples, as in the checkpoint
    changed = [f"runs.{name}.{key}" for key, value in saved.run.items() if now.get(key) != value]
    if changed:
        keys = ", ".join(changed)
        raise InputError(
            f"{paths.model(name)}: was trained before {keys} changed; `dvc repro evaluate@{name}` trains it again"
        )


def _describe(model: nn.Module) -> str:
    """Return the first line of the model file's docstring, without the legend of shapes."""
    line = (sys.modules[type(model).__module__].__doc__ or "").splitlines()[0]
    return re.sub(r"\s+(Shapes: )?N [CT] .*", "", line)


def _metrics(name: str, digest: str) -> dict[str, Any] | None:
    """Return the dev metrics, or None if the run was not evaluated. Raises InputError if they are of other weights."""
    file = paths.evaluation(name)
    if not file.is_file():
        return None
    report = json.loads(file.read_text())
    if report["weights_sha256"] != digest:
        raise InputError(f"{file}: is of other weights than those in {paths.model(name)}; run `dvc repro evaluate@{name}`")
    dev: dict[str, Any] = report["dev"]
    return dev


if __name__ == "__main__":
    run_stage(main)
