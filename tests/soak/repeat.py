"""`python -m tests.soak.repeat`: equal commits and parameters give equal bits, wherever and however often they run.

One run of each task: in the workspace twice, with an empty cache, with one core for the workers instead of all, with
`dvc exp run --temp`, and in the queue. Compared are metrics and histories, and DVC's hashes of all outputs, pictures and
trained weights among them.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from ruamel.yaml import YAML

from tests.conftest import Checkout
from tests.soak import checkout

Results = dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.soak.repeat", description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="*", default=list(checkout.RUNS), help="of the runs in tests/soak/checkout.py")
    failed = 0
    for run in parser.parse_args().runs:
        with tempfile.TemporaryDirectory() as folder:
            failed += not repeat(Path(folder) / "project", run)
    sys.exit(1 if failed else 0)


def repeat(folder: Path, run: str) -> bool:
    project = checkout.make(folder, run)
    project.run(f"dvc repro evaluate@{run} && git add . && git commit -qm results")
    first = of_workspace(project)
    equal = True
    for how, command in {
        "forced again": f"dvc repro -f evaluate@{run}",
        "one core": f"taskset -c 0 dvc repro -f evaluate@{run}",
        "no cache": f"rm -rf .dvc/cache data models && dvc repro evaluate@{run}",
        "--temp": f"dvc exp run -f --temp -n temp evaluate@{run}",
        "queue": f"dvc exp run -f --queue -n queued evaluate@{run} && dvc queue start",
    }.items():
        began = time.monotonic()
        project.run(command)
        if how == "queue":
            while "Running" in (status := project.run("dvc queue status")) or "Queued" in status:
                time.sleep(1)
        name = {"--temp": "temp", "queue": "queued"}.get(how)
        again = of_experiment(project, name) if name else of_workspace(project)
        different = sorted(path for path in first.keys() | again.keys() if first.get(path) != again.get(path))
        equal = equal and not different
        verdict = f"{len(different)} different: {different}" if different else "all equal"
        print(f"{run}, {how}: {len(again)} compared, {verdict} ({time.monotonic() - began:.0f} s)", flush=True)
    return equal


def of_workspace(project: Checkout) -> Results:
    folder = project.folder
    files = [file for file in folder.glob("metrics/**/*") if file.is_file() and file.suffix != ".png"]
    contents = {file.relative_to(folder).as_posix(): file.read_bytes().hex() for file in files}
    return contents | hashes((folder / "dvc.lock").read_text())


def of_experiment(project: Checkout, name: str) -> Results:
    with tempfile.TemporaryDirectory() as folder:
        ref = project.run(f"git for-each-ref --format='%(refname)' 'refs/exps/**/{name}'").strip()
        project.run(f"git archive {ref} | tar -x -C {folder}")
        return of_workspace(Checkout(Path(folder)))


def hashes(lock: str) -> Results:
    """DVC's hash of each output, by path; git has no pictures, weights and predictions."""
    stages = YAML(typ="safe").load(lock)["stages"].values()
    return {f"{out['path']} (hash)": out["md5"] for stage in stages for out in stage.get("outs", [])}


if __name__ == "__main__":
    main()
