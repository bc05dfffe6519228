"""A stage's dependencies in dvc.yaml, and a check that they did not change while it ran.

DVC records parameters and code as they are when a stage ends. After an edit meanwhile, it would record the result of the old
values under the new ones. So each stage compares them at its start and its end.
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
    """Return the dependencies of `stage`. key: the task or run, if the stage has one."""
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
    """The current dependencies of the stage that DVC runs in this process. Empty without DVC."""

    stage: str = field(default_factory=lambda: os.environ.get("DVC_STAGE", ""))
    before: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.before = self._read()

    def check(self) -> None:
        """Raise InputError if a dependency has changed since the snapshot was made."""
        now = self._read()
        changed = sorted(name for name in self.before.keys() | now.keys() if self.before.get(name) != now.get(name))
        if changed:
            raise InputError(
                f"{changed[0]}: changed while {self.stage} ran, and DVC would record the result under the new value; run "
                "`dvc repro` again, or restore the old value first to keep this result"
            )

    def _read(self) -> dict[str, str]:
        if not self.stage:
            return {}
        stage, _, key = self.stage.partition("@")
        listing = listed(stage, key or None)
        contents = {f"params.yaml: {name}": json.dumps(value, default=str) for name, value in listing.params.items()}
        contents |= {str(file): file_hash(ROOT / file) for file in listing.code if (ROOT / file).is_file()}
        for path in listing.data:
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    status = file.stat()
                    contents[str(file)] = f"{status.st_size} {status.st_mtime_ns}"
        return contents


def look_up(content: Any, name: str) -> Any:
    """Return the value of a dotted key, or None."""
    for part in name.replace("[", ".").replace("]", "").split("."):
        if isinstance(content, list):
            content = content[int(part)]
        else:
            content = content.get(part) if isinstance(content, dict) else None
    return content


def _read(file: Path) -> Any:
    return YAML(typ="safe").load(file.read_text())
