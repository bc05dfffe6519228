"""resnet50 at 224x224 with 7000 classes: training images per second, and the cost of loading.

Three sources of batches: fixed batches on the device, which cost nothing; uint8 images on the device, augmented there
(`loading: device`); packed JPEGs, decoded and augmented in worker processes (`loading: workers`). Augmentation is the run's.
Aims: 2,500 images per second, and 95 % of that with each of the other two.
"""

import itertools
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import features
from benchmarks.gpu import steps
from benchmarks.gpu.sizes import Sizes, at_size
from stages.config.schema import Params
from stages.core.machine import num_cores

RUN = "resnet50"
NUM_BATCHES = 4  # fixed batches on the device


def measure(params: Params, device: str, sizes: Sizes) -> dict[str, Any]:
    found: dict[str, Any] = {"side": sizes.faces_side, "classes": sizes.faces_classes, "cores": num_cores(), "batches": []}
    with tempfile.TemporaryDirectory() as folder:
        data = features.faces(Path(folder) / "faces", sizes.faces_images, sizes.faces_side, sizes.faces_classes)
        for batch_size in sizes.faces_batches:
            row: dict[str, Any] = {"batch_size": batch_size}
            for loading in ("device", "workers"):
                changed = at_size(params, RUN, batch_size=batch_size, loading=loading, model={"width": sizes.faces_width})
                trainer = steps.Trainer(changed, RUN, steps.choose(device, params, deterministic=True), data)
                if loading == "device":
                    row["synthetic"] = _synthetic(trainer, sizes)
                row[loading] = trainer.throughput(trainer.endless(), sizes, _count)
                row[f"{loading} to synthetic"] = row[loading] / row["synthetic"]
                del trainer
            if sizes.compiles:
                changed = at_size(params, RUN, batch_size=batch_size, loading="device", model={"width": sizes.faces_width})
                compute = steps.choose(device, params, deterministic=True, compile=True)
                trainer = steps.Trainer(changed, RUN, compute, data)
                row["synthetic, compiled"] = _synthetic(trainer, sizes)
                row["compile_seconds"] = trainer.compile_seconds
            found["batches"].append(row)
    return found


def lines(found: dict[str, Any]) -> list[str]:
    text = [
        f"resnet50 at {found['side']}x{found['side']}, {found['classes']} classes, images a second ({found['cores']} cores)"
    ]
    for row in found["batches"]:
        line = f"  batch {row['batch_size']}: {row['synthetic']:,.0f} synthetic"
        line += "".join(
            f", {row[kind]:,.0f} from {kind} ({row[f'{kind} to synthetic']:.0%})" for kind in ("device", "workers")
        )
        if "compile_seconds" in row:
            line += f"; compiled {row['synthetic, compiled']:,.0f} synthetic (in {row['compile_seconds']:.0f} s)"
        text.append(line)
    return [*text, "  aims: 2,500 synthetic, 95 % of it from either"]


def _synthetic(trainer: steps.Trainer, sizes: Sizes) -> float:
    batches = list(itertools.islice(trainer.endless(), NUM_BATCHES))
    return trainer.throughput(itertools.cycle(batches), sizes, _count)


def _count(batch: Any) -> float:
    return len(batch.inputs)
