"""What a stage depends on, as dvc.yaml lists it, and whether that changed while the stage ran.

DVC records parameters and code as they are when a stage ends. If somebody edits them meanwhile, the result of the old values
would be recorded under the new ones. So each stage compares them at its end with what they were at its start.
"""

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import stages
from stages.core import paths
from stages.core.errors import InputError
from stages.core.hashes import file_hash

ROOT = Path(stages.__file__).parent.parent
REFERENCE = re.compile(r"\$\{([\w.\[\]]+)\}")


@dataclass
class Listed:
    """The entries of dvc.yaml for one stage."""

    code: list[Path]  # files, relative to the project's folder
    data: list[Path]  # files and folders that other stages make
    params: dict[str, Any]  # the values of params.yaml by their dotted keys


def listed(stage: str, key: str | None) -> Listed:
    """The dependencies of `stage`, of the task or run `key` if there is one for each."""
    entry, params = _read(ROOT / "dvc.yaml")["stages"][stage], _read(paths.PARAMS)
    values: dict[str, Any] = {"key": key}
    if "foreach" in entry:
        values["item"] = params[REFERENCE.fullmatch(entry["foreach"])[1]][key]  # type: ignore[index]
        entry = entry["do"]

    def resolved(field: str) -> list[str]:
        return [REFERENCE.sub(lambda match: str(look_up(values, match[1])), name) for name in entry.get(field, [])]

    names = resolved("deps")
    code: set[Path] = set()
    for name in names:
        if name.startswith("stages/"):
            path = ROOT / name
            code |= set(path.rglob("*.py")) if path.is_dir() else {path}
    return Listed(
        sorted(file.relative_to(ROOT) for file in code),
        [Path(name) for name in names if not name.startswith("stages/")],
        {name: look_up(params, name) for name in resolved("params")},
    )


@dataclass
class Snapshot:
    """The dependencies of the stage that DVC runs in this process, as they were when it was made. Empty without DVC."""

    stage: str = field(default_factory=lambda: os.environ.get("DVC_STAGE", ""))
    seen: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.seen = self._look()

    def check(self) -> None:
        """Raise InputError if a dependency has changed since."""
        now = self._look()
        changed = sorted(name for name in self.seen.keys() | now.keys() if self.seen.get(name) != now.get(name))
        if changed:
            raise InputError(
                f"{changed[0]}: changed while {self.stage} ran, and DVC would record the result under the new value; run "
                "`dvc repro` again, or restore the old value first to keep this result"
            )

    def _look(self) -> dict[str, str]:
        if not self.stage:
            return {}
        stage, _, key = self.stage.partition("@")
        found = listed(stage, key or None)
        seen = {f"params.yaml: {name}": json.dumps(value, default=str) for name, value in found.params.items()}
        seen |= {str(file): file_hash(ROOT / file) for file in found.code if (ROOT / file).is_file()}
        for path in found.data:
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    status = file.stat()
                    seen[str(file)] = f"{status.st_size} {status.st_mtime_ns}"
        return seen


def look_up(content: Any, name: str) -> Any:
    """The value of a dotted key; None if there is none."""
    for part in name.replace("[", ".").replace("]", "").split("."):
        if isinstance(content, list):
            content = content[int(part)]
        else:
            content = content.get(part) if isinstance(content, dict) else None
    return content


def _read(file: Path) -> Any:
    return YAML(typ="safe").load(file.read_text())
