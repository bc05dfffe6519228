"""What is installed is what was locked, hash by hash."""

import re
import tomllib
from collections.abc import Iterable

import pytest

from tests.conftest import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INSTALLED = ("dev", "export")  # extras that requirements.lock has; any other has a lock of its own, which goes on top
LOCKS = {extra: f"requirements-{extra}.lock" for extra in PROJECT["optional-dependencies"] if extra not in INSTALLED}


def requirements(lock: str) -> dict[str, str]:
    """The lines of each requirement, joined, by its first word."""
    joined = (ROOT / lock).read_text().replace("\\\n", " ")
    return {line.split()[0]: line for line in joined.splitlines() if line and not line.lstrip().startswith("#")}


@pytest.mark.parametrize("lock", ["requirements.lock", *LOCKS.values()])
def test_every_requirement_is_one_version_with_hashes(lock: str) -> None:
    found = requirements(lock)
    assert len(found) > (100 if lock == "requirements.lock" else 2)
    for name, line in found.items():
        assert re.fullmatch(r"[a-z0-9._-]+(\[[a-z0-9,._-]+\])?==[^=\s]+", name), line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), f"{name} has no hash"
        assert not re.search(r"--hash=(?!sha256:[0-9a-f]{64}(\s|$))", line), line


def names(requirements: Iterable[str]) -> set[str]:
    """Of packages, as an index spells them."""
    return {re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", requirement)[0]).lower() for requirement in requirements}


def test_everything_that_the_project_asks_for_is_locked() -> None:
    extras = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *(name for extra in INSTALLED for name in extras[extra])]
    assert names(asked) <= names(requirements("requirements.lock"))
    for extra, lock in LOCKS.items():
        parts = [f"dvc-{extra}" if requirement == f"dvc[{extra}]" else requirement for requirement in extras[extra]]
        assert names(parts) <= names(requirements(lock))


@pytest.mark.parametrize("lock", LOCKS.values())
def test_an_extra_moves_nothing_that_is_installed(lock: str) -> None:
    assert names(requirements(lock)) & names(requirements("requirements.lock")) == set()


def test_the_environment_is_installed_with_its_hashes_asked_for() -> None:
    installs = [command.strip() for command in re.findall(r"/pip (install[^|\n]*)", MAKEFILE)]
    assert installs == [
        "install --require-hashes -r requirements.lock",
        "install --quiet --require-hashes --no-deps -r requirements-$*.lock",
        "install --quiet uv",
    ], "only `make lock`, which writes the locks, installs without"
