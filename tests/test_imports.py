"""Imports go one way between the rooms of the house; and stages that need no torch do not import it."""

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

FILES = sorted((ROOT / "stages").rglob("*.py"))


@cache
def imports(file: Path) -> set[str]:
    """The project's modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("stages"):
            found |= {node.module} | {
                f"{node.module}.{alias.name}" for alias in node.names if is_module(node.module, alias.name)
            }
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("stages")}
    return found


def is_module(package: str, name: str) -> bool:
    path = ROOT.joinpath(*package.split("."), name)
    return path.is_dir() or path.with_suffix(".py").is_file()


# From the ground up: a room imports from those in the rows above it, and from its own. Rooms of one row do not meet.
ROWS = (
    ("core",),
    ("config",),
    ("data", "compute"),
    ("results", "exporting"),
    ("training",),
    ("tuning",),
    ("images", "sequences"),
    ("tasks",),
    ("sources",),
    ("reporting", "demonstration"),
    ("ablating",),
    ("sweeping",),
)
ROOMS = {room: row for row, rooms in enumerate(ROWS) for room in rooms}


def place(module: str) -> tuple[int, str]:
    """Its row, and what it may not mix with in that row: other rooms, and other tasks' rooms."""
    parts = module.split(".")[1:]
    if not parts or parts[0] not in ROOMS:
        return len(ROWS), ""  # a stage or a command
    if parts[0] == "tasks":
        return ROOMS["tasks"], parts[1] if len(parts) > 1 else ""
    return ROOMS[parts[0]], parts[0]


@pytest.mark.parametrize("folder", sorted({file.parent for file in FILES}), ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_go_down(folder: Path) -> None:
    for file in folder.glob("*.py"):
        goes_down(file)


def goes_down(file: Path) -> None:
    row, room = place(".".join(file.relative_to(ROOT).with_suffix("").parts))
    for module in imports(file) - {"stages"}:
        other_row, other = place(module)
        assert other_row <= row, f"{file} must not import {module}"
        assert other_row < row or not (room and other and room != other), f"{file} must not import its neighbour {module}"


def test_every_room_has_its_row() -> None:
    rooms = {folder.parent.name for folder in (ROOT / "stages").glob("*/__init__.py")}
    assert rooms == ROOMS.keys()


TASKS = [file.parent.name for file in FILES if file.parent.parent.name == "tasks" and file.name == "__init__.py"]
ABSENT = {  # those without torch are imported first, the others on top of it
    "stages": ("torch",),
    "stages.download": ("torch", "dvc", "matplotlib", "albumentations", "kaggle", "py7zr", "requests"),
    "stages.submit": ("torch", "dvc", "matplotlib", "albumentations", "cv2", "kaggle"),
    "stages.normalize": ("torch", "dvc", "matplotlib", "albumentations"),
    "stages.report": ("torch", "dvc", "matplotlib", "albumentations"),
    "stages.find_lr": ("torch", "dvc", "albumentations"),
    **{f"stages.tasks.{task}": ("torch", "dvc", "matplotlib", "albumentations") for task in TASKS},
    **{f"stages.tasks.{task}.sample": ("torch", "dvc", "matplotlib", "albumentations") for task in TASKS},
    **{f"stages.tasks.{task}.submission": ("torch", "dvc", "matplotlib", "albumentations") for task in TASKS},
    "stages.train": ("albumentations", "matplotlib", "torch._dynamo"),
    "stages.evaluate": ("albumentations", "dvc"),
}
PROGRAM = """
import importlib, json, os, sys
for module, absent in json.loads(sys.argv[1]).items():
    if "torch" not in absent:
        import torch
    if os.fork() == 0:
        importlib.import_module(module)
        os.write(1, f"{module} {[name for name in absent if name in sys.modules]}\\n".encode())
        os._exit(0)
    os.wait()
"""


def test_a_stage_imports_no_more_than_it_needs() -> None:
    command = [sys.executable, "-c", PROGRAM, json.dumps(ABSENT)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [f"{module} []" for module in ABSENT], result.stderr
