"""custom_resnet: its whole training on CIFAR-10, with data on the device, against the lower bound of its arithmetic.

Aim: a mean of 94 % over the seeds, in 10 seconds of training. The learning rate comes from one range test, as in the
pipeline. Without the real CIFAR-10 in data/features the images are random pixels, and there are no accuracies.
"""

import dataclasses
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import features
from benchmarks.gpu import steps
from benchmarks.gpu.sizes import Sizes, at_size
from stages.compute import device
from stages.config.schema import Params
from stages.core import paths
from stages.images.statistics import ImageStats
from stages.images.training import classifier
from stages.tasks.cifar10 import training
from stages.training.loop import Trainer
from stages.training.recorder import NullRecorder
from stages.training.resume import Resume
from stages.tuning import range_test

RUN = "custom_resnet"
TRAIN, MEAN = 50_000, (125.3, 123.0, 113.9)  # the number and mean of the real training images
LR = 0.01  # if the range test finds none


def measure(params: Params, device: str, sizes: Sizes) -> dict[str, Any]:
    """Train five seeds each with and without `compile`, and one of each without `deterministic`."""
    epochs = sizes.cifar_epochs or params.run(RUN).epochs
    test = dataclasses.replace(params.range_test, steps=sizes.cifar_range_steps)
    params = at_size(params, RUN, epochs=epochs, model={"width": sizes.cifar_width})
    params = dataclasses.replace(params, range_test=test)
    with tempfile.TemporaryDirectory() as folder:
        is_real, data = _data(Path(folder), sizes)
        compute = steps.choose(device, params, deterministic=True)
        lr, source = _rate(params, compute, data)
        flops = _flops(params) * epochs * len(classifier.read_images(data, "train"))
        peak = steps.matmul_peak(compute, sizes.matmul)
        found: dict[str, Any] = {
            "data": "CIFAR-10" if is_real else "random pixels, so no accuracy is claimed",
            "epochs": epochs,
            "lr": lr,
            "lr from": source,
            "operations": flops,
            "matrix product, operations a second": peak,
            "floor, seconds": flops / peak,
            "trainings": [],
        }
        for deterministic, num_seeds in ((True, sizes.cifar_seeds), (False, 1)):
            for compiled in (False, True) if sizes.compiles else (False,):
                for number in range(num_seeds):
                    compute = steps.choose(device, params, deterministic=deterministic, compile=compiled)
                    seeded = dataclasses.replace(params, seed=params.seed + number)
                    row = _train(seeded, compute, data, lr) | {"deterministic": deterministic, "compile": compiled}
                    if not is_real:
                        del row["accuracy"]
                    row["share of the floor"] = flops / peak / row["seconds"]
                    found["trainings"].append(row)
    return found


def lines(found: dict[str, Any]) -> list[str]:
    """Return the results in words."""
    text = [f"custom_resnet, {found['epochs']} epochs, {found['data']}; floor {found['floor, seconds']:.2f} s"]
    kinds = sorted({(row["deterministic"], row["compile"]) for row in found["trainings"]}, reverse=True)
    for kind in kinds:
        rows = [row for row in found["trainings"] if (row["deterministic"], row["compile"]) == kind]
        seconds, share = (statistics.mean(row[key] for row in rows) for key in ("seconds", "share of the floor"))
        line = f"  deterministic {kind[0]}, compile {kind[1]}: {seconds:.2f} s ({share:.0%} of the floor's speed)"
        if kind[1]:
            line += f", compiled in {rows[0]['compile_seconds']:.1f} s before"
        if "accuracy" in rows[0]:
            line += f", accuracy {statistics.mean(row['accuracy'] for row in rows):.4f} over {len(rows)} seed(s)"
        text.append(line)
    return [*text, "  aims: 10 s, 94 %"]


def _data(folder: Path, sizes: Sizes) -> tuple[bool, Path]:
    """Return whether the real CIFAR-10 is used, and the features."""
    real = paths.features("cifar10")
    if (real / "stats.json").is_file():
        stats = ImageStats.read(paths.features("cifar10"))
        is_near = all(abs(mine - expected) < 1 for mine, expected in zip(stats.mean, MEAN, strict=True))
        if is_near and stats.num["train"] == TRAIN and sizes.cifar_images == TRAIN:
            return True, real
    return False, features.cifar10(folder / "cifar10", sizes.cifar_images, sizes.cifar_dev)


def _rate(params: Params, compute: device.Compute, data: Path) -> tuple[float, str]:
    run = params.run(RUN)
    batches = training.train_batches(data, run, compute, params.seed)
    device.seed_torch(params.seed)
    model = compute.to_device(training.build_model(run, features.PICTURES))
    rates, losses = range_test.range_test(
        model, params.range_test, task=training, run=run, batches=batches, compute=compute, seed=params.seed
    )
    try:
        found = range_test.suggest_lr(rates, losses)
        return found.lr, f"a range test of {len(rates)} steps: {found.decided}"
    except ValueError:
        return LR, "a constant, for in the range test no loss fell"


def _flops(params: Params) -> float:
    """Return the operations of one image's step: the forward pass, counted by PyTorch, and twice that backward."""
    model = training.build_model(params.run(RUN), features.PICTURES).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 32, 32))
    return 3.0 * counter.get_total_flops()


def _train(params: Params, compute: device.Compute, data: Path, lr: float) -> dict[str, Any]:
    run = params.run(RUN)
    batches, dev = training.train_batches(data, run, compute, params.seed), training.eval_batches(data, "dev", run, compute)
    device.seed_torch(params.seed)
    model = compute.to_device(training.build_model(run, features.PICTURES))
    began = time.perf_counter()
    trainer = Trainer(training, run, lr, batches, dev, compute, params.seed, NullRecorder(), Resume(None))
    state = trainer.train(model)
    compute.synchronize()
    return {
        "seed": params.seed,
        "seconds": sum(state.seconds),
        "seconds with evaluation and compilation": time.perf_counter() - began,
        "epoch_seconds": state.seconds,
        "compile_seconds": state.compile_seconds,
        "accuracy": state.history[-1]["dev/accuracy"],
    }
