"""Threads that wait for one another do not spin for long, unless the user says how they shall wait."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
CODE = f"import os, stages; print(*(os.environ.get(name) for name in {NAMES}))"


@pytest.mark.parametrize(
    ("chosen", "found"),
    [({}, "None 200"), ({"OMP_WAIT_POLICY": "active"}, "active None"), ({"GOMP_SPINCOUNT": "7"}, "None 7")],
)
def test_the_spin_is_short_unless_the_user_chose(chosen: dict[str, str], found: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in NAMES} | chosen
    out = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == found


def test_the_package_does_not_import_torch() -> None:
    """OpenMP reads its settings when torch is imported."""
    code = "import sys, stages; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
