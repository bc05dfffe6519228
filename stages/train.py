"""Stage `train`: models/<run>/ holds best.pt, last.pt and summary.txt; metrics/<run>/train/ each epoch's metrics."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from stages.engine import checkpoint, compute, loop, paths, summary
from stages.engine.errors import InputError, run_stage
from stages.engine.record import Recorder, write_timing
from stages.engine.schema import Params, Run
from stages.tasks import HERE, load_params, part


def main(name: str) -> None:
    params = load_params()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(f"launcher: {params.launcher!r} starts several processes, and training knows only one so far")
    run, task = params.run(name), part(params.run(name).task, "task")
    params.tell_hidden(name)
    lr = json.loads(paths.lr(name).read_text())["lr"]
    stats = paths.read_stats(run.task)
    place = compute.choose(params.device, params.precision, params.deterministic)
    batches = task.train_batches(paths.features(run.task), run, place, params.seed)
    dev = task.eval_batches(paths.features(run.task), "dev", run, place)
    compute.seed_torch(params.seed)
    model = place.place(task.build_model(run, stats))
    print(f"{summary.num_parameters(model):,} parameters on {place.name}, {place.precision}, learning rate {lr:.3g}")

    trained = {key: value for key, value in dataclasses.asdict(run).items() if key != "evaluate"}
    settings = {"run": trained, "lr": lr, "seed": params.seed, "stats": stats}
    with checkpoint.resuming(paths.resume(name) / _fingerprint(settings, run, params, place)) as resume:
        recorder = Recorder(paths.history(name), name, run.epochs, len(batches))
        try:
            with recorder:
                state = loop.train(
                    model, task=task, run=run, lr=lr, batches=batches, dev=dev, compute=place, seed=params.seed,
                    recorder=recorder, resume=resume,
                )  # fmt: skip
        except loop.Diverged as diverged:
            _save(name, diverged.state, settings)
            raise
        _save(name, state, settings)
        (paths.model(name) / "summary.txt").write_text(summary.summarize(model, task.example(stats), name))
        write_timing(paths.timing(name), state["seconds"], batches.num_items, place)
        resume.discard()


def _save(name: str, state: dict[str, Any], settings: dict[str, Any]) -> None:
    """last.pt, and best.pt where an epoch was finished."""
    settings = settings | {"history": state["history"]}
    checkpoint.save(paths.model(name) / "last.pt", settings | {"epoch": len(state["history"]), "weights": state["weights"]})
    if state["best"] is not None:
        checkpoint.save(paths.model(name) / "best.pt", settings | state["best"])


def _fingerprint(settings: dict[str, Any], run: Run, params: Params, place: compute.Compute) -> str:
    """Of all that decides the result: settings, device and code."""
    room = HERE / run.task
    files = [*(HERE.parent / "engine").glob("*.py"), *room.glob("*.py"), *room.glob("task/*.py"), Path(__file__)]
    files += [room / "models/__init__.py", room / f"models/{run.model['name']}.py"]
    return checkpoint.fingerprint([settings, params.deterministic, place.name, place.precision], sorted(files))


if __name__ == "__main__":
    run_stage(main)
