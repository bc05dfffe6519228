"""What is installed is what was locked, hash by hash; and what is read is not executed."""

import ast
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


@pytest.mark.parametrize("lock", ["requirements.lock", *LOCKS.values()])
def test_a_lock_takes_nothing_from_elsewhere_than_the_index(lock: str) -> None:
    """No address, file, editable project or other index, none of which a hash would be asked of."""
    for line in requirements(lock).values():
        assert not line.lstrip().startswith("-") and " @ " not in line and "://" not in line, line


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


@pytest.mark.skipif(not (ROOT / ".ci" / "run").is_file(), reason="this copy has no .ci/run")
def test_continuous_integration_installs_by_the_makefile_alone() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert re.search(r"^make test$", script, flags=re.MULTILINE)
    assert "pip" not in re.sub(r"pipe\w*", "", script)


# What comes as a pickle is code, wherever it comes from.

FORBIDDEN = r"pickle\.loads?\(|allow_pickle=True|(?<![.\w])(eval|exec)\(|shell=True|os\.system|weights_only=False"


def test_no_stage_runs_what_it_reads() -> None:
    sources = {file.relative_to(ROOT): file.read_text() for file in (ROOT / "stages").rglob("*.py")}
    assert len(sources) > 50
    assert {str(path): match[0] for path, text in sources.items() if (match := re.search(FORBIDDEN, text))} == {}
    calls = [node for text in sources.values() for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    loads = [call for call in calls if ast.unparse(call.func) == "torch.load"]
    assert loads and all("weights_only=True" in ast.unparse(call) for call in loads)
