"""Stage `train`: models/<run>/ holds last, best, ema and mean weights and a summary; metrics/<run>/train/ its epochs.

With `launcher: torchrun …` this is every one of its processes.
"""

import dataclasses
import json
import os
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch

from stages.compute import device, distributed
from stages.config.schema import Params, Run
from stages.core import checksums, dependencies, paths
from stages.core.errors import InputError, run_stage
from stages.data import checkpoint
from stages.results import summary
from stages.tasks import load_params, part
from stages.training.loop import Diverged, Trainer
from stages.training.recorder import Recorder, Silence, write_timing
from stages.training.resume import Resume, resuming
from stages.training.state import TrainState


def main(name: str) -> None:
    snapshot = dependencies.Snapshot()
    params = load_params()
    run = params.run(name)
    data = checksums.check(paths.features(run.task))
    compute = device.choose(params.device, params.precision, params.deterministic, params.compile)
    lr, stats = float(json.loads(paths.lr(name).read_text())["lr"]), paths.read_stats(run.task)
    # What a checkpoint says of its origin; how it is evaluated is not a part of that.
    trained = {key: value for key, value in dataclasses.asdict(run).items() if key != "evaluate"}
    made_up = params.task(run.task).source == "sample"
    settings = {"run": trained, "lr": lr, "seed": params.seed, "stats": stats, "data": data, "made_up": made_up}
    machine = f"{compute.name}, {compute.precision}, PyTorch {torch.__version__}"
    fingerprint = _fingerprint(name, settings, [params.device, params.precision, params.deterministic, params.compile])
    with distributed.processes(compute.device):
        if distributed.rank() == 0:
            folder = paths.resume(name) / f"{fingerprint}-{distributed.size()}"
            with resuming(folder, params.checkpoint_minutes, machine) as resume:
                params.tell_hidden(name)
                _train(name, run, params, compute, settings, resume, snapshot)
        else:  # it computes its part of each batch, and writes nothing
            with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
                _train(name, run, params, compute, settings, None, snapshot)


def _train(
    name: str,
    run: Run,
    params: Params,
    compute: device.Compute,
    settings: dict[str, Any],
    resume: Resume | None,
    snapshot: dependencies.Snapshot,
) -> None:
    task, stats, lr = part(run.kind, "training"), settings["stats"], settings["lr"]
    batches = task.train_batches(paths.features(run.task), run, compute, params.seed)
    dev = None if run.train.final else task.eval_batches(paths.features(run.task), "dev", run, compute)
    device.seed_torch(params.seed)
    model = compute.to_device(task.build_model(run, stats))
    params.check_size(run.task, f"runs.{name}", summary.num_parameters(model))
    where = f"{compute.name}, {compute.precision}" + (f", {n} processes" if (n := distributed.size()) > 1 else "")
    print(f"{summary.num_parameters(model):,} parameters on {where}, learning rate {lr:.3g}", flush=True)
    recorder = Recorder(paths.history(name), name, task.SCORE.name, run.epochs, len(batches)) if resume else Silence()
    trainer = Trainer(task, run, lr, batches, dev, compute, params.seed, recorder, resume or Resume(None))
    try:
        with recorder:
            state = trainer.train(model)
    except Diverged as diverged:
        if resume:
            _save(name, diverged.state, settings)
        distributed.any_process(lambda: True)()  # wait until it is saved: torchrun ends all processes when one ends
        raise
    if resume:
        _save(name, state, settings)
        (paths.model(name) / "summary.txt").write_text(summary.summarize(model, task.example(stats), name))
        for weights in (state.weights, *state.averages.values(), *([state.best.weights] if state.best else [])):
            file = paths.timing(checkpoint.weights_hash(weights))
            write_timing(file, state.seconds, batches.num_items, compute, state.compile_seconds)
        try:
            snapshot.check()
        except InputError:
            resume.save(state.state_dict())  # with the old values restored, the stage ends at once
            raise
        resume.discard()


def _save(name: str, state: TrainState, settings: dict[str, Any]) -> None:
    """Write the last weights, those of each average, and the best if an epoch was finished."""
    settings = settings | {"history": state.history}
    for kind, weights in {"last": state.weights, **state.averages}.items():
        checkpoint.save(paths.weights(name, kind), settings | {"epoch": len(state.history), "weights": weights})
    if state.best is not None:
        checkpoint.save(paths.weights(name, "best"), settings | vars(state.best))


def _fingerprint(name: str, settings: dict[str, Any], asked: list[Any]) -> str:
    """Of what decides the result on one kind of machine: settings, data, what `asked` of the device, dvc.yaml's code."""
    code = [dependencies.ROOT / file for file in dependencies.listed("train", name).code]
    return checkpoint.fingerprint([settings, asked], dependencies.ROOT, code)


if __name__ == "__main__":
    run_stage(main)
