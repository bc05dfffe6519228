"""`python -m tests.soak.kills`: a pipeline killed again and again must end as if nothing had happened.

For one run of each task: `dvc repro` uninterrupted, then once more in a second project, where SIGKILL hits the trainer, all
processes, or DVC alone, at random moments; and the evaluation, too. A state is saved after every step, so that many kills
hit a state half-written. In the end all metrics, histories, pictures, predictions and weights are compared bit for bit,
and DVC's hashes of all outputs.
"""

import argparse
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.conftest import Checkout
from tests.soak import checkout
from tests.soak.repeat import hashes

EVERY_STEP = 1e-9  # minutes
TRAINING, EVALUATING = "parameters on", "python -m stages.evaluate"


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.soak.kills", description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="*", default=list(checkout.RUNS), help="of the runs in tests/soak/checkout.py")
    parser.add_argument("--kills", type=int, default=25, help="of the training; a third as many, of the evaluation")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    failed = []
    for run in arguments.runs:
        with tempfile.TemporaryDirectory() as folder:
            if not survive(Path(folder), run, arguments.kills, random.Random(arguments.seed)):
                failed.append(run)
    sys.exit(f"different results: {', '.join(failed)}" if failed else 0)


def survive(folder: Path, run: str, kills: int, chance: random.Random) -> bool:
    """Whether `run`, killed so many times, ends with the results of an uninterrupted one."""
    began = time.monotonic()
    whole = checkout.make(folder / "whole", run)
    whole.run(f"dvc repro evaluate@{run}")
    parts = checkout.make(folder / "parts", run, checkpoint_minutes=EVERY_STEP)
    parts.run(f"dvc repro find_lr@{run}")
    hits: Counter[str] = Counter()
    for number in range(kills):
        hits[hit(parts, run, TRAINING, chance.uniform(0, 0.6), ("trainer", "all", "dvc")[number % 3])] += 1
    parts.run(f"dvc repro train@{run}")
    for number in range(math.ceil(kills / 9) * 3):  # of each victim as many
        hits[hit(parts, run, EVALUATING, chance.uniform(0, 3), ("trainer", "all", "dvc")[number % 3])] += 1
    parts.run(f"dvc repro evaluate@{run}")
    one, other = (
        checkout.results(project.folder) | hashes((project.folder / "dvc.lock").read_text()) for project in (whole, parts)
    )
    different = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    left = [str(file.relative_to(parts.folder)) for file in parts.folder.rglob("*.partial")]
    seconds = time.monotonic() - began
    told = ", ".join(f"{number} {where}" for where, number in hits.most_common())
    print(f"{run}: {sum(hits.values())} kills in {seconds:.0f} s: {told}")
    print(
        f"  {len(one)} files compared, {len(different)} different {different or ''}, left behind: {left or 'nothing'}",
        flush=True,
    )
    return not different and not left


def hit(project: Checkout, run: str, sign: str, delay: float, victim: str) -> str:
    """Start `dvc repro`, and `delay` seconds after a line with `sign` kill what `victim` names; says what was hit."""
    log = project.folder.parent / "log"
    with log.open("w") as out:
        dvc = subprocess.Popen(
            ["bash", "-c", f"exec dvc repro evaluate@{run}"],
            cwd=project.folder, env=project.environment() | {"PYTHONUNBUFFERED": "1"}, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    while sign not in log.read_text():
        if dvc.poll() is not None:
            raise SystemExit(f"{run}: ended before {sign!r} with {dvc.returncode}:\n{log.read_text()}")
        time.sleep(0.01)
    time.sleep(delay)
    stage = "stages.train" if sign == TRAINING else "stages.evaluate"
    trainer = [pid for pid in processes(dvc.pid) if stage in command(pid)]
    writing = any((project.folder / ".resume" / run).rglob("*.partial")) if sign == TRAINING else False
    if victim == "all":
        os.killpg(dvc.pid, signal.SIGKILL)
    elif victim == "dvc":
        dvc.kill()
    else:
        for pid in trainer:
            os.kill(pid, signal.SIGKILL)
    dvc.wait(60)
    where = "in evaluate" if sign == EVALUATING else "while a state was written" if writing else "while training"
    if not trainer:
        return "after the stage"
    return f"{where}, of {'DVC alone' if victim == 'dvc' else 'the ' + victim if victim == 'trainer' else 'all processes'}"


def processes(session: int) -> list[int]:
    """All processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == session:
                found.append(int(folder.name))
        except ProcessLookupError:
            continue
    return found


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


if __name__ == "__main__":
    main()
