"""Stage `train`: write last, best, ema and mean weights and a summary to models/<run>/, and epochs to metrics/<run>/train/.

With `launcher: torchrun …` every process runs this.
"""

import json
import os
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from stages.compute import device, distributed
from stages.config.schema import Params, Run
from stages.core import checksums, dependencies, paths
from stages.core.errors import InputError, run_stage
from stages.core.hashes import file_hash
from stages.data import checkpoint
from stages.data.checkpoint import Checkpoint, Origin
from stages.data.statistics import Stats
from stages.results import summary
from stages.tasks import load_params, task_module
from stages.training.finished import Finished
from stages.training.loop import Diverged, Trainer
from stages.training.recorder import NullRecorder, Recorder, write_timing
from stages.training.resume import Resume, resuming
from stages.training.state import TrainState
from stages.training.warm_start import warm_start


def main(name: str) -> None:
    snapshot = dependencies.Snapshot()
    params = load_params()
    run = params.run(name)
    data = checksums.check(paths.features(run.task))
    compute = device.choose(
        params.device,
        params.precision,
        params.deterministic,
        params.compile,
        num_threads=params.task(run.task).num_threads,
    )
    stats = task_module(run.kind, "statistics").Stats.read(paths.features(run.task))
    # Checkpoints record how they were trained, not how they are evaluated.
    trained = {key: value for key, value in asdict(run).items() if key != "evaluate"}
    lr, made_up = float(json.loads(paths.lr(name).read_text())["lr"]), params.task(run.task).source == "sample"
    origin = Origin(run=trained, lr=lr, seed=params.seed_of(name), stats=asdict(stats), data=data, made_up=made_up)
    machine = f"{compute.name}, {compute.precision}, PyTorch {torch.__version__}"
    with distributed.processes(compute.device):
        if distributed.rank() == 0:
            basis = _basis(name, params, origin)
            folder = f"{checkpoint.fingerprint([basis, run.epochs], Path(), [])}-{distributed.size()}"
            finished = Finished(paths.resume(name) / "finished", run, basis, machine)
            with resuming(paths.resume(name) / folder, params.checkpoint_minutes, machine) as resume:
                resume.fallback = finished.load
                params.tell_hidden(name)
                finished.keep(_train(name, run, params, compute, origin, stats, resume, snapshot))
                resume.discard()
        else:  # computes its part of each batch and writes nothing
            with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
                _train(name, run, params, compute, origin, stats, None, snapshot)


def _train(
    name: str,
    run: Run,
    params: Params,
    compute: device.Compute,
    origin: Origin,
    stats: Stats,
    resume: Resume | None,
    snapshot: dependencies.Snapshot,
) -> TrainState:
    task, lr, seed = task_module(run.kind, "training"), origin.lr, origin.seed
    batches = task.train_batches(paths.features(run.task), run, compute, seed)
    dev = None if run.train.final else task.eval_batches(paths.features(run.task), "dev", run, compute)
    device.seed_torch(seed)
    model = compute.to_device(task.build_model(run, stats))
    params.check_size(run.task, f"runs.{name}", summary.num_parameters(model))
    warm_start(model, name, run, stats)
    where = f"{compute.name}, {compute.precision}" + (f", {n} processes" if (n := distributed.size()) > 1 else "")
    print(f"{summary.num_parameters(model):,} parameters on {where}, learning rate {lr:.3g}", flush=True)
    recorder = Recorder(paths.history(name), name, task.SCORE.name, run.epochs, len(batches)) if resume else NullRecorder()
    trainer = Trainer(task, run, lr, batches, dev, compute, seed, recorder, resume or Resume(None))
    try:
        with recorder:
            state = trainer.train(model)
    except Diverged as diverged:
        if resume:
            _save(name, diverged.state, origin)
        distributed.any_process(lambda: True)()  # wait for the save, because torchrun ends all processes when one ends
        raise
    if resume:
        _save(name, state, origin)
        (paths.model(name) / "summary.txt").write_text(summary.summarize(model, task.example(stats), name))
        for weights in (state.weights, *state.averages.values(), *([state.best.weights] if state.best else [])):
            file = paths.timing(checkpoint.weights_hash(weights))
            write_timing(file, state.seconds, batches.num_items, compute, state.compile_seconds)
        try:
            snapshot.check()
        except InputError:
            resume.save(state.state_dict())  # so that the stage ends at once when the old values are back
            raise
    return state


def _save(name: str, state: TrainState, origin: Origin) -> None:
    """Write the last weights, those of each average, and the best ones, if there are any."""
    about = vars(origin) | {"history": state.history}
    for kind, weights in {"last": state.weights, **state.averages}.items():
        Checkpoint(**about, epoch=len(state.history), weights=weights).save(paths.weights(name, kind))
    if state.best is not None:
        Checkpoint(**about, **vars(state.best)).save(paths.weights(name, "best"))


def _basis(name: str, params: Params, origin: Origin) -> dict[str, Any]:
    """Return everything that decides the result on one kind of machine except the number of epochs, by its user's name."""
    # The run contains the values of its sample block already.
    basis = {f"runs.{name}.{key}": value for key, value in origin.run.items() if key not in ("epochs", "sample")}
    basis |= {key: getattr(params, key) for key in ("device", "precision", "deterministic", "compile")}
    basis |= {"seed": origin.seed, "launcher": distributed.size(), str(paths.lr(name)): origin.lr}
    task = origin.run["task"]
    basis |= {str(paths.features(task)): origin.data, f"tasks.{task}.source": origin.made_up}
    code = dependencies.listed("train", name).code
    return basis | {file.as_posix(): file_hash(dependencies.ROOT / file) for file in code}


if __name__ == "__main__":
    run_stage(main)
