"""Which code can change a stage's result: the list in dvc.yaml, read from there so that there is no second one."""

import re
from pathlib import Path

from ruamel.yaml import YAML

import stages
from stages.config.schema import Run

ROOT = Path(stages.__file__).parent.parent
REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def code_of(stage: str, name: str, run: Run) -> list[Path]:
    """The files of code that `stage` depends on for the run `name`, relative to the project's folder, sorted."""
    graph = YAML(typ="safe").load(ROOT / "dvc.yaml")
    values = {"key": name, "item.task": run.task, "item.inputs": run.inputs, "item.model.name": run.model.name}
    listed = [REFERENCE.sub(lambda match: values[match[1]], dep) for dep in graph["stages"][stage]["do"]["deps"]]
    files: set[Path] = set()
    for dep in listed:
        if dep.startswith("stages/"):
            path = ROOT / dep
            files |= set(path.rglob("*.py")) if path.is_dir() else {path}
    return sorted(file.relative_to(ROOT) for file in files)
