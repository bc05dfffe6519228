"""Imports go one way: stage files -> sources -> tasks -> engine; and stages that need no torch do not import it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

FILES = sorted((ROOT / "stages").rglob("*.py"))


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


def layer(module: str) -> tuple[int, str]:
    """How far down a module lies, and for a task's module its task."""
    parts = module.split(".")
    if parts[1:2] == ["engine"]:
        return 0, ""
    if parts[1:2] == ["tasks"]:
        return 1, parts[2] if len(parts) > 2 else ""
    return (2, "") if parts[1:2] == ["sources"] else (3, "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_down(file: Path) -> None:
    own, own_task = layer(".".join(file.relative_to(ROOT).with_suffix("").parts))
    for module in imports(file) - {"stages"}:
        depth, task = layer(module)
        assert depth <= own, f"{file.name} must not import {module}"
        assert not (own_task and task and task != own_task), f"a task must not import another: {module}"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("stages.download", ("torch", "dvc", "matplotlib", "albumentations", "kaggle", "py7zr", "requests")),
        ("stages.submit", ("torch", "dvc", "matplotlib", "albumentations", "cv2", "kaggle")),
        ("stages.normalize", ("torch", "dvc", "matplotlib", "albumentations")),
        ("stages.find_lr", ("albumentations", "dvc", "torch._dynamo")),
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
