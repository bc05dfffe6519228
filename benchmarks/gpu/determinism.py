"""The cost of `deterministic: true`: a training step of one run per task with and without, and the slower operations."""

import itertools
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import features
from benchmarks.gpu import steps
from benchmarks.gpu.sizes import Sizes, at_size
from stages.config.schema import Params

RUNS = ("custom_resnet", "resnet50", "pblstm")
NUM_OPERATIONS = 6  # to show


def measure(params: Params, device: str, sizes: Sizes) -> dict[str, Any]:
    params = at_size(params, "custom_resnet", model={"width": sizes.cifar_width})
    faces = {"batch_size": sizes.faces_batches[0], "loading": "device", "model": {"width": sizes.faces_width}}
    params = at_size(params, "resnet50", **faces)
    model = {"hidden": sizes.speech_hidden, "decoder": sizes.speech_decoder}
    params = at_size(params, "pblstm", batch_size=sizes.speech_batch, model=model)
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        batch = params.run("custom_resnet").batch_size
        data = {
            "custom_resnet": features.cifar10(folder / "cifar10", max(batch, sizes.cifar_images // 10), 10),
            "resnet50": features.faces(folder / "faces", 4 * sizes.faces_batches[0], sizes.faces_side, sizes.faces_classes),
            "pblstm": features.speech(folder / "speech", 4 * sizes.speech_batch)[0],
        }
        for run in RUNS:
            timed = {flag: _steps(params, run, device, data[run], sizes, deterministic=flag) for flag in (True, False)}
            milliseconds = {flag: total for flag, (total, _) in timed.items()}
            more = {key: value - timed[False][1].get(key, 0.0) for key, value in timed[True][1].items()}
            slowest = sorted(more.items(), key=lambda item: -item[1])[:NUM_OPERATIONS]
            found[run] = {
                "milliseconds a step, deterministic": milliseconds[True],
                "milliseconds a step": milliseconds[False],
                "ratio": milliseconds[True] / milliseconds[False],
                "operations that take longer, milliseconds more a step": {key: value for key, value in slowest if value > 0},
            }
    return found


def lines(found: dict[str, Any]) -> list[str]:
    text = ["deterministic: true, milliseconds a step with it and without"]
    for run, row in found.items():
        more = row["operations that take longer, milliseconds more a step"]
        both = (
            f"{row['milliseconds a step, deterministic']:.2f} and {row['milliseconds a step']:.2f}, ratio {row['ratio']:.2f}"
        )
        text.append(f"  {run}: {both}; more in " + ", ".join(f"{key} {value:.2f}" for key, value in more.items()))
    return text


def _steps(
    params: Params, run: str, device: str, data: Path, sizes: Sizes, *, deterministic: bool
) -> tuple[float, dict[str, float]]:
    """Return the median milliseconds of synchronised steps on the same batches, and the milliseconds by operation."""
    trainer = steps.Trainer(params, run, steps.choose(device, params, deterministic=deterministic), data)
    batches = list(itertools.islice(trainer.endless(), 4))
    times = []
    for batch in itertools.islice(itertools.cycle(batches), sizes.steps):
        trainer.compute.synchronize()
        began = time.perf_counter()
        trainer.step(batch)
        trainer.compute.synchronize()
        times.append(1000 * (time.perf_counter() - began))
    # The first step on each batch may choose kernels for its shape.
    return statistics.median(times[len(batches) :]), trainer.operations(iter(batches))
