"""The seconds of the sample pipeline from an empty clone, and of `dvc repro` with nothing to do.

python -m benchmarks.pipeline
"""

import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def seconds(folder: Path, *command: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
        whole = seconds(clone, "dvc", "repro")
        nothing = statistics.median(seconds(clone, "dvc", "repro") for _ in range(5))
    found = {"the sample pipeline from an empty clone": whole, "`dvc repro` with nothing to do": nothing}
    for name, value in found.items():
        print(f"{name}: {value:.1f} s", flush=True)
    return found


if __name__ == "__main__":
    measure()
