"""What `make` asks before it installs anything."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT


def test_a_folder_that_git_does_not_know_is_told_before_anything_is_installed(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    done = subprocess.run(["make", "repro"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "error: DVC needs a git repository here: clone the project, or git init && git add ." in done.stdout
    assert not (tmp_path / ".venv").exists()
