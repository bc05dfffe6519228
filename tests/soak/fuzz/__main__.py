"""Starts workers, again and again, and tells what they found. The exit code is 1 if that is anything."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.soak.fuzz import targets
from tests.soak.fuzz.worker import COUNTS

ROOT = Path(__file__).parents[3]
BATCH_SECONDS = 60.0  # of one process; what it has lost or kept open does not stay
GRACE = 120.0  # seconds of waiting, without computing, after which a process is stuck


class Result(NamedTuple):
    inputs: int
    accepted: int
    refused: int
    findings: int
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.soak.fuzz", description="Damaged and hostile inputs for every parser.")
    parser.add_argument("targets", metavar="TARGET", nargs="*", help=f"of {', '.join(targets.NAMES)}; all without a name")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--seed", default=None, help="for the same inputs again; a new one each time unless given")
    parser.add_argument("--input", type=Path, help="try this one file")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(targets.NAMES):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    names = options.targets or targets.NAMES
    if options.input is not None:
        if len(names) != 1:
            parser.error("--input: name one target")
        with tempfile.TemporaryDirectory() as folder:
            targets.find(names[0]).attempt(options.input.read_bytes(), Path(folder))
        print("accepted")
        return 0
    findings = 0
    seed = options.seed or str(time.time_ns())
    print(f"seed {seed}\n{'target':12} {'inputs':>10} {'accepted':>10} {'refused':>10} {'findings':>8} {'seconds':>8}")
    for name in names:
        result = fuzz(name, 60 * options.minutes, seed)
        findings += result.findings
        print(f"{name:12} {result.inputs:10,} {result.accepted:10,} {result.refused:10,}", end=" ")
        print(f"{result.findings:8,} {result.seconds:8.0f}", flush=True)
    return 1 if findings else 0


def fuzz(name: str, seconds: float, seed: str) -> Result:
    """So many seconds of one target. What is found is kept in a new folder, which is named on stderr."""
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    counts = folder / "counts"
    (folder / "findings").mkdir()
    start, crashes = time.monotonic(), 0
    while (left := start + seconds - time.monotonic()) > 0:
        first = COUNTS.unpack(counts.read_bytes())[0] if counts.exists() else 0
        code, said = _work(name, folder, seed, first, min(left, BATCH_SECONDS))
        if code:
            crashes += 1
            _keep_crash(folder, code, said)
            if not counts.exists() or COUNTS.unpack(counts.read_bytes())[0] == first:
                raise SystemExit(f"{name}: the worker ends before its first input:\n{said}")
    inputs, accepted, refused, findings = COUNTS.unpack(counts.read_bytes())
    if findings + crashes:
        print(f"{name}: see {folder / 'findings'}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    return Result(inputs, accepted, refused, findings + crashes, time.monotonic() - start)


def _work(name: str, folder: Path, seed: str, first: int, seconds: float) -> tuple[int, str]:
    """One worker's exit code, and the end of what it said."""
    command = [sys.executable, "-m", "tests.soak.fuzz.worker", name, str(folder), seed, str(first), str(seconds)]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            process.wait(seconds + GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        output.seek(0)
        return process.returncode, output.read()[-3000:]


def _keep_crash(folder: Path, code: int, said: str) -> None:
    what = {-signal.SIGPROF: "computes for too long", -signal.SIGKILL: "is stuck, or was killed"}.get(
        code, f"exit code {code}"
    )
    place = folder / "findings" / f"crash-{len(list((folder / 'findings').glob('crash-*.txt')))}"
    if (folder / "input").exists():
        shutil.copy(folder / "input", place)
    place.with_suffix(".txt").write_text(f"{what}\n{said}\n")


if __name__ == "__main__":
    sys.exit(main())
