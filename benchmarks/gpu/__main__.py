"""Run all GPU benchmarks, print the results and write benchmarks/results/speed/<device>.json.

    python -m benchmarks.gpu [--device cpu --small]

--small tests the code on tiny networks, in seconds, and writes nothing.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import cifar10, determinism, faces, speech
from benchmarks.gpu.sizes import FULL, SMALL, Sizes, full_params
from benchmarks.machine import machine
from stages.core.errors import InputError

RESULTS = Path(__file__).parent.parent / "results/speed"
PARTS = {"custom_resnet": cifar10, "resnet50": faces, "pblstm": speech, "deterministic": determinism}


def main(device: str, sizes: Sizes, results: Path | None) -> bool:
    """Run every benchmark, rewrite the file in `results`, if any, after each, and return whether all succeeded.

    After a failure the others still run, as time on a GPU is expensive.
    """
    params, began, is_complete = full_params(), time.monotonic(), True
    record: dict[str, Any] = {"command": "python -m benchmarks.gpu", "machine": machine() | _device(device)}
    for name, part in PARTS.items():
        began_part = time.monotonic()
        try:
            found = part.measure(params, device, sizes)
            print("\n".join(part.lines(found)), flush=True)
        except Exception as error:
            traceback.print_exc()
            found, is_complete = {"error": f"{type(error).__name__}: {error}"}, False
        record[name] = found | {"seconds for this": round(time.monotonic() - began_part, 1)}
        if results is not None:
            results.mkdir(parents=True, exist_ok=True)
            kind = re.sub(r"[^a-z0-9]+", "-", record["machine"]["device"].lower()).strip("-")
            (results / f"{kind}.json").write_text(json.dumps(record, indent=1) + "\n")
    print(f"{time.monotonic() - began:.0f} s" + ("" if results is None else f"; {results / f'{kind}.json'} is written"))
    return is_complete


def _device(device: str) -> dict[str, Any]:
    if torch.device(device).type != "cuda":
        return {"device": device}
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    asked = subprocess.run(query, capture_output=True, text=True, check=False) if shutil.which(query[0]) else None
    return {
        "device": torch.cuda.get_device_name(device),
        "driver": asked.stdout.splitlines()[0] if asked and asked.stdout else "unknown",
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    is_trial = arguments.small and arguments.device == "cpu"
    if not is_trial and not (torch.cuda.is_available() and torch.device(arguments.device).type == "cuda"):
        sys.exit("error: there is no CUDA device here; `--device cpu --small` tries the benchmark without one")
    try:
        is_complete = main(arguments.device, SMALL if arguments.small else FULL, None if arguments.small else RESULTS)
    except InputError as error:
        sys.exit(f"error: {error}")
    sys.exit(0 if is_complete else 1)
