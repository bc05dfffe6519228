"""`make recipe NAME=an4-convnext1d SOURCE=an4.zip`: repeat a training on real data from its file in recipes/.

A recipe names a run, its data, and changes of params.yaml. It runs as a DVC experiment and writes a record to
benchmarks/results/NAME.json: the command, the data's hash, the commit, the machine, the scores and every epoch.
docs/RESULTS.md is made from these records.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stages.ablating import grids
from stages.ablating.prepare import check_git
from stages.ablating.spread import check_seed
from stages.config.check import build, mapping, nearest
from stages.config.params import read
from stages.config.schema import Params
from stages.core import checksums, paths
from stages.core.errors import InputError, run_command
from stages.core.hashes import file_hash
from stages.core.machine import cpu_name, num_cores
from stages.reporting.collect import curves
from stages.reporting.environment import git

RECIPES = Path("recipes")
RECORDS = Path("benchmarks/results")


@dataclass(frozen=True)
class Recipe:
    """claim: what it shows. data: a description of its source. changes: path in params.yaml -> value, as in sweeps.yaml."""

    run: str
    claim: str
    data: str
    changes: dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command. Raises InputError for an unknown recipe or an invalid change, or if the experiment failed."""
    parser = argparse.ArgumentParser("python -m stages.recipe", description="A training on real data, from recipes/.")
    parser.add_argument("name", metavar="NAME", help="a file in recipes/, without .yaml")
    parser.add_argument("source", metavar="SOURCE", nargs="*", help="the recipe's archives or folders")
    parser.add_argument("--seed", metavar="N", type=int, help="instead of the one in params.yaml")
    options = parser.parse_args(arguments)
    recipe = load(options.name)
    if not options.source:
        raise InputError(f"name the data, as in `make recipe NAME={options.name} SOURCE=…`; the recipe needs {recipe.data}")
    for source in options.source:
        if not Path(source).exists():
            raise InputError(f"{source}: no such file or folder; the recipe needs {recipe.data}")
    changes, params = _resolve(recipe, read(paths.PARAMS), options)
    if options.seed is not None:
        check_seed(recipe.run, params.run(recipe.run))
    check_git()
    if params != _resolve(recipe, _committed(), options)[1]:  # an interrupted recipe has left its own changes, which is fine
        undo = f"commit them, or `git checkout {paths.PARAMS}`"
        raise InputError(f"{paths.PARAMS}: has changes of this run that the record's commit would lack; {undo}")
    commit = git("rev-parse", "HEAD")
    name = options.name if options.seed is None else f"{options.name}-seed-{options.seed}"
    words = [word for change in changes for word in ("-S", change)]
    if subprocess.run([sys.executable, "-m", "dvc", "exp", "run", "-n", name, *words, f"submit@{recipe.run}"]).returncode:
        raise InputError(f"{name}: the experiment failed; see above. The same command continues an interrupted training")
    shown = " ".join(Path(source).name for source in options.source)
    command = f"make recipe NAME={options.name} SOURCE={shown}" + ("" if options.seed is None else f" SEED={options.seed}")
    record = {"recipe": options.name, "claim": recipe.claim, "command": command, "data": recipe.data}
    record |= {"sources": {Path(source).name: _sha256(Path(source)) for source in options.source}}
    record |= {"commit": commit, "date": date.today().isoformat(), "machine": f"{num_cores()} cores of {cpu_name()}"}
    record |= {"seed": params.seed_of(recipe.run), "changes": changes, **results(recipe.run)}
    with paths.replacing(RECORDS / f"{name}.json") as partial:
        partial.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    print(f"{RECORDS / name}.json: written")


def load(name: str) -> Recipe:
    """Read a recipe from recipes/. Raises InputError if there is none or it is invalid."""
    known = {file.stem: file for file in RECIPES.glob("*.yaml")}
    if name not in known:
        raise InputError(f"{RECIPES}: has no recipe {name!r}; {nearest(name, known)}")
    content = mapping(read(known[name]), str(known[name]))
    recipe: Recipe = build(Recipe, content, str(known[name]))
    if recipe.run not in (runs := read(paths.PARAMS)["runs"]):
        raise InputError(f"{known[name]}: run: {recipe.run!r} is not in params.yaml; {nearest(recipe.run, runs)}")
    return recipe


def overrides(recipe: Recipe, params: Any, sources: Sequence[str], seed: int | None = None) -> list[str]:
    """Return the arguments of -S for the recipe with these sources. params: the content of params.yaml."""
    block = params["runs"][recipe.run]
    source = json.dumps([str(Path(source).resolve()) for source in sources], ensure_ascii=False)
    changes = [word for path, value in recipe.changes.items() for word in grids.overrides(path, value, block)]
    return [f"tasks.{block['task']}.source={source}", *changes, *([] if seed is None else [f"seed={seed}"])]


def _resolve(recipe: Recipe, content: Any, options: argparse.Namespace) -> tuple[list[str], Params]:
    """Return the arguments of -S and the parameters after them. content: of params.yaml."""
    changes = overrides(recipe, content, options.source, options.seed)
    return changes, grids.apply(recipe.run, changes, content)


def _committed() -> Any:
    """Return the content of params.yaml at HEAD. Raises InputError if the code is not that of HEAD."""
    if changed := git("diff", "--name-only", "HEAD", "--", "stages", "dvc.yaml", str(RECIPES)):
        raise InputError(f"{changed.splitlines()[0]}: has changes that the record's commit would lack; commit or undo them")
    return YAML(typ="safe", pure=True).load(git("show", f"HEAD:./{paths.PARAMS}"))


def results(run: str) -> dict[str, Any]:
    """Return the run's current scores, time and epochs."""
    evaluate = json.loads(paths.evaluation(run).read_text())
    timing = paths.timing(evaluate["weights_sha256"])
    return {
        "evaluate": evaluate,
        "timing": json.loads(timing.read_text()) if timing.is_file() else None,
        "history": {
            f"{split}/{metric}": [value for _, value in curve]
            for metric, by_split in curves(paths.history(run)).items()
            for split, curve in by_split.items()
        },
    }


def _sha256(source: Path) -> str:
    """Return the hash of a file, or of the list of a folder's checksums."""
    return file_hash(source) if source.is_file() else hashlib.sha256(checksums.listing(source).encode()).hexdigest()


if __name__ == "__main__":
    run_command(main)
