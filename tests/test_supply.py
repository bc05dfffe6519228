"""What is installed is what was locked, hash by hash; and what is read is not executed."""

import ast
import re
import tomllib

import pytest

from tests.conftest import ROOT

LOCK = (ROOT / "requirements.lock").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def requirements() -> dict[str, str]:
    """The lines of each requirement, joined, by its first word."""
    joined = LOCK.replace("\\\n", " ")
    return {line.split()[0]: line for line in joined.splitlines() if line and not line.lstrip().startswith("#")}


def test_every_requirement_is_one_version_with_hashes() -> None:
    found = requirements()
    assert len(found) > 100
    for name, line in found.items():
        assert re.fullmatch(r"[a-z0-9._-]+(\[[a-z0-9,._-]+\])?==[^=\s]+", name), line
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", line), f"{name} has no hash"
        assert not re.search(r"--hash=(?!sha256:[0-9a-f]{64}(\s|$))", line), line


def test_the_lock_takes_nothing_from_elsewhere_than_the_index() -> None:
    """No address, file, editable project or other index, none of which a hash would be asked of."""
    for line in requirements().values():
        assert not line.lstrip().startswith("-") and " @ " not in line and "://" not in line, line


def test_everything_that_the_project_asks_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(name for extra in project["optional-dependencies"].values() for name in extra)]
    locked = {re.split(r"[=\[]", name)[0] for name in requirements()}
    for requirement in asked:
        match = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert match is not None and re.sub(r"[-_.]+", "-", match[0]).lower() in locked, requirement


def test_the_environment_is_installed_with_its_hashes_asked_for() -> None:
    installs = re.findall(r"^\t.*pip install.*$", MAKEFILE, flags=re.MULTILINE)
    from_lock = [line for line in installs if "requirements.lock" in line]
    assert len(from_lock) == 1 and "--require-hashes" in from_lock[0]
    others = [line for line in installs if line not in from_lock]
    assert others == ["\t$(VENV)/bin/pip install --quiet uv"], "only `make lock`, which writes the lock, installs without"


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
