"""What the documents say is so: links, paths, commands, keys, stages, the picture of the graph, the numbers."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from benchmarks import records
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
RESULTS = (ROOT / "docs/RESULTS.md").read_text()
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
}
CODE = "".join(path.read_text() for path in sorted((ROOT / "stages").rglob("*.py")))
# What the readers of some documents make themselves; tests/test_extending.py and tests/test_tutorial.py make it, too.
NEW = {"docs/EXTENDING.md": ("digits", "digit_resnet", "conv_mixer"), "docs/TUTORIAL.md": ("first", "pictures")}
# For paths with a name left open.
PLACES = {"<run>": "custom_resnet", "<task>": "cifar10", "<name>": "custom_resnet", "<machine>": "amd-epyc-2-cores"}


def every_document(pattern: str) -> list[tuple[str, str]]:
    """(document, what the pattern's group matched) for all matches."""
    return sorted({(name, found) for name, text in DOCUMENTS.items() for found in re.findall(pattern, text)})


@pytest.fixture(scope="module")
def stages() -> dict[str, Any]:
    """Stage by name."""
    return {stage.name: stage for stage in Repo(str(ROOT)).index.stages}


@pytest.mark.parametrize(("document", "target"), every_document(r"\]\(([^)\s]+)\)"))
def test_a_relative_link_leads_to_a_file(document: str, target: str) -> None:
    if not target.startswith("https://"):
        assert (ROOT / document).parent.joinpath(target.split("#")[0]).exists(), f"{document} links to {target}"


def test_every_document_is_linked_from_the_readme() -> None:
    missing = [name for name in DOCUMENTS if name != "README.md" and f"]({name})" not in README]
    assert not missing


def test_a_path_that_is_named_is_there_or_is_made_by_a_stage(stages: dict[str, Any]) -> None:
    made = [str(out.def_path) for stage in stages.values() for out in stage.outs]
    for document, named in every_document(
        r"(?<![\w./-])((?:stages|tests|docs|benchmarks|data|metrics|models)/[\w./<>-]*[\w>])"
    ):
        path = named
        for placeholder, name in PLACES.items():
            path = path.replace(placeholder, name)
        is_output = any(path == out or path.startswith(f"{out}/") or out.startswith(f"{path}/") for out in made)
        is_output |= path.split("/")[0] in ("data", "metrics", "models") and f'"{path.split("/")[-1]}"' in CODE
        is_new = any(name in path for name in NEW.get(document, ()))
        assert (ROOT / path).exists() or is_output or is_new, f"{document} names {named}"


@pytest.mark.parametrize(("document", "target"), every_document(r"(?m)(?:^    |`)make ([a-z]+)"))
def test_a_target_of_make_is_in_the_makefile(document: str, target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), f"{document}: make {target}"


@pytest.mark.parametrize(("document", "module"), every_document(r"python -m ((?:stages|benchmarks|tests)[\w.]*)"))
def test_a_module_that_is_run_is_there(document: str, module: str) -> None:
    path = ROOT / module.replace(".", "/")
    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), f"{document}: python -m {module}"


@pytest.mark.parametrize(("document", "key"), every_document(r"(?:-S|--set-param) '?([\w.]+)="))
def test_a_key_that_is_set_is_in_params(document: str, key: str) -> None:
    if any(part in NEW.get(document, ()) for part in key.split(".")):
        return
    block = YAML(typ="safe").load(ROOT / "params.yaml")
    for part in key.split("."):
        assert isinstance(block, dict) and part in block, f"{document}: -S {key}=…"
        block = block[part]


def test_a_stage_that_is_named_is_in_the_graph(stages: dict[str, Any]) -> None:
    named = every_document(r"\b((?:download|normalize|find_lr|train|evaluate|submit)@\w+)")
    for document, name in named:
        assert name in stages or document in NEW, f"{document} names {name}"


def test_the_house_has_every_room_and_every_stage() -> None:
    house = DOCUMENTS["CONTRIBUTING.md"]
    rooms = {file.parent.name for file in (ROOT / "stages").glob("*/__init__.py")}
    assert {room for room in rooms if not re.search(rf"^\s+.*\b{room}/", house, re.M)} == set()
    files = [*(ROOT / "stages").glob("[!_]*.py")]
    for room in ("core", "config", "data", "compute", "results", "exporting", "training", "tuning"):
        files += (ROOT / "stages" / room).glob("[!_]*.py")
    assert {file.stem for file in files if not re.search(rf"\b{file.stem}\b", house)} == set()


def test_the_picture_of_the_graph_is_what_dvc_prints() -> None:
    [command] = re.findall(r"`dvc (dag --mermaid [\w@]+)`", README)
    [picture] = re.findall(r"```mermaid\n(.*?)```", README, re.S)
    dvc = [sys.executable, "-m", "dvc", *command.split()]
    assert picture == subprocess.run(dvc, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_every_run_is_in_the_table_of_systems_with_its_number_of_parameters() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([\d,]+) \|", README, re.M))
    runs = YAML(typ="safe").load(ROOT / "params.yaml")["runs"]
    assert rows.keys() == runs.keys()
    for name, run in runs.items():
        source = ROOT / f"stages/{run['inputs']}/models/{run['model']['name']}.py"
        assert f"{rows[name]} parameters" in " ".join(source.read_text().split()), name


def test_the_table_of_recipes_is_made_from_their_records() -> None:
    assert [match[0] for match in records.TABLE.finditer(RESULTS)] == [records.table()]


def test_every_result_is_in_the_record_beside_it() -> None:
    rows = re.findall(r"^\| \d .*\]\(\.\./(benchmarks/results/.*)\) \|$", RESULTS, re.M)
    old = {f"benchmarks/results/{file.name}" for file in RECORDS if "recipe" not in json.loads(file.read_text())}
    assert len(rows) == len(old) and set(rows) == old
    for line in re.findall(r"^\| \d .*$", RESULTS, re.M):
        _, _, _, result, minutes, link, _ = line.split("|")
        record = json.loads((ROOT / "docs" / re.findall(r"\((.*)\)", link)[0]).read_text())
        assert record["command"]
        rounded = {f"{100 * value:.1f} %" for value in numbers(record["evaluate"])}
        percentages = re.findall(r"[\d.]+ %", result)
        assert percentages and set(percentages) <= rounded, line
        assert minutes.strip() == f"{record['timing']['train_seconds'] / 60:.0f} minutes"
        for epochs in re.findall(r"after (\w+) epoch", result):
            assert record["timing"]["epochs"] == (1 if epochs == "one" else int(epochs))


RECORDS = sorted((ROOT / "benchmarks/results").glob("*.json"))


def numbers(block: dict[str, Any]) -> Iterator[float]:
    """All numbers in a block and the blocks in it."""
    for value in block.values():
        if isinstance(value, dict):
            yield from numbers(value)
        elif isinstance(value, int | float):
            yield value
