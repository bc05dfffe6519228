"""`make recipe`: each file of recipes/ against params.yaml, and one training from its file to its record."""

import json
from pathlib import Path

import pytest

from stages import recipe
from stages.ablating import grids
from stages.config.params import read
from stages.core import paths
from stages.core.errors import InputError
from tests.conftest import Checkout, Project, change_params, cifar_batch, copy_project

ROOT = Path(__file__).parents[1]
NAMES = sorted(file.stem for file in (ROOT / "recipes").glob("*.yaml"))


@pytest.fixture
def recipes(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of recipes in a scratch project, with those of this project."""
    Path("recipes").symlink_to(ROOT / "recipes")
    return Path("recipes")


@pytest.mark.parametrize("name", NAMES)
def test_params_yaml_can_have_what_a_recipe_changes(recipes: Path, name: str) -> None:
    found = recipe.load(name)
    resolved = grids.apply(found.run, recipe.overrides(found, read(paths.PARAMS), ["/data"], 7), read(paths.PARAMS))
    run = resolved.run(found.run)
    assert resolved.seed == 7 and resolved.task(run.task).source == ["/data"]
    for path, value in found.changes.items():
        if path.endswith((".epochs", ".batch_size")):
            assert getattr(run, path.rpartition(".")[2]) == value


def test_what_is_wrong_is_said_before_anything_runs(recipes: Path) -> None:
    with pytest.raises(InputError, match="has no recipe 'an4-pblst'; did you mean 'an4-pblstm'"):
        recipe.main(["an4-pblst", "an4.zip"])
    with pytest.raises(
        InputError, match=r"name the data, as in `make recipe NAME=an4-pblstm SOURCE=…`; the recipe needs AN4"
    ):
        recipe.main(["an4-pblstm"])
    with pytest.raises(InputError, match=r"nowhere\.zip: no such file or folder; the recipe needs AN4"):
        recipe.main(["an4-pblstm", "nowhere.zip"])


@pytest.mark.parametrize("source", ["/é ü/an4.zip", '/it\'s, [an] "x"=/a.zip'])
def test_a_source_may_have_any_name(recipes: Path, source: str) -> None:
    found = recipe.load("an4-pblstm")
    params = grids.apply(found.run, recipe.overrides(found, read(paths.PARAMS), [source]), read(paths.PARAMS))
    assert params.task("speech").source == [source]


def test_a_seed_that_the_run_would_not_use_is_refused(recipes: Path, project: Project) -> None:
    project.set(runs__pblstm__train__seed=3)
    with pytest.raises(InputError, match=r"^runs\.pblstm\.train\.seed: hides"):
        recipe.main(["an4-pblstm", ".", "--seed", "4"])


@pytest.mark.slow
def test_a_recipe_becomes_an_experiment_with_a_record(tmp_path: Path) -> None:
    copy_project(tmp_path / "project")
    checkout = Checkout(tmp_path / "project")
    batches = tmp_path / "my data" / "cifar-10-batches-py"
    batches.mkdir(parents=True)
    for number in range(1, 6):
        (batches / f"data_batch_{number}").write_bytes(cifar_batch(20, number))
    (batches / "test_batch").write_bytes(cifar_batch(20, 6))
    (checkout.folder / "recipes/tiny.yaml").write_text(
        "run: dilated_net\nclaim: it runs\ndata: random images\nchanges:\n"
        "  runs.dilated_net.model.width: 12\n  runs.dilated_net.epochs: 2\n  runs.dilated_net.schedule: {name: constant}\n"
        "  runs.dilated_net.optimizer: {name: sgd, lr: 0.01}\n"
    )
    checkout.run("git init -q && git add . && git commit -qm start")
    commit = checkout.run("git rev-parse HEAD").strip()
    checkout.run(f"python -m stages.recipe tiny '{batches}' --seed 3")
    record = json.loads((checkout.folder / "benchmarks/results/tiny-seed-3.json").read_text())
    assert record["command"] == "make recipe NAME=tiny SOURCE=cifar-10-batches-py SEED=3"
    assert record["commit"] == commit and record["seed"] == 3
    assert record["timing"]["epochs"] == 2 == len(record["history"]["train/loss"])
    assert record["evaluate"] == json.loads((checkout.folder / paths.evaluation("dilated_net")).read_text())
    assert "tiny-seed-3" in checkout.run("dvc exp list")
    again = f"python -m stages.recipe tiny '{batches}' --seed 3 2>&1; true"
    change_params(checkout.folder / "params.yaml", runs__dilated_net__optimizer__lr=0.3)
    assert "Experiment conflicts with existing" in checkout.run(again)  # the recipe sets this rate itself
    change_params(checkout.folder / "params.yaml", runs__dilated_net__batch_size=20)
    assert "error: params.yaml: has changes of this run that the record's commit would lack" in checkout.run(again)
    (checkout.folder / "stages/scores.py").write_text("")
    assert "error: stages/scores.py: has changes that the record's commit would lack" in checkout.run(again)
