"""Imports go one way between the rooms of the house; and stages that need no torch do not import it."""

import ast
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


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_down(file: Path) -> None:
    row, room = place(".".join(file.relative_to(ROOT).with_suffix("").parts))
    for module in imports(file) - {"stages"}:
        other_row, other = place(module)
        assert other_row <= row, f"{file} must not import {module}"
        assert other_row < row or not (room and other and room != other), f"{file} must not import its neighbour {module}"


def test_every_room_has_its_row() -> None:
    rooms = {folder.parent.name for folder in (ROOT / "stages").glob("*/__init__.py")}
    assert rooms == ROOMS.keys()


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("stages.download", ("torch", "dvc", "matplotlib", "albumentations", "kaggle", "py7zr", "requests")),
        ("stages.submit", ("torch", "dvc", "matplotlib", "albumentations", "cv2", "kaggle")),
        ("stages.normalize", ("torch", "dvc", "matplotlib", "albumentations")),
        ("stages.find_lr", ("albumentations", "dvc", "torch")),
        ("stages.train", ("albumentations", "matplotlib", "torch._dynamo")),
        ("stages.evaluate", ("albumentations", "dvc")),
        ("stages.report", ("torch", "dvc", "albumentations")),
        *[
            (f"stages.tasks.{folder.name}{part}", ("torch", "dvc", "matplotlib", "albumentations"))
            for folder in sorted((ROOT / "stages/tasks").iterdir())
            if (folder / "__init__.py").is_file()
            for part in ("", ".sample", ".submission")
        ],
    ],
)
def test_a_stage_imports_no_more_than_it_needs(module: str, absent: tuple[str, ...]) -> None:
    program = f"import sys, {module}; print([name for name in {absent!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
