"""The page of experiments: what DVC and git have of each, what the page says of it, and what its boxes do in a browser."""

import json
import math
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import compare
from stages.core.errors import InputError
from stages.reporting.experiments import charts, page
from stages.reporting.experiments.charts import Axis
from stages.reporting.experiments.collect import collect
from tests.browser import Opened
from tests.conftest import ROOT, Checkout, Project, change_params
from tests.test_report import luminance

RUN = "custom_resnet"
STAGE = f"""
stages:
  train:
    cmd: "false"
    params: [runs.{RUN}.optimizer.lr]
"""


def write(folder: Path, accuracy: float, epochs: int = 3, run: str = RUN) -> None:
    """What the stages leave of a run for this page."""
    metrics = folder / "metrics"
    tables = {"dev/accuracy": accuracy, "train/accuracy": accuracy / 2, "dev/loss": 1 - accuracy, "lr": 0.01}
    for name, last in tables.items():
        file = metrics / run / f"train/plots/metrics/{name}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = "".join(f"{epoch}\t{last * epoch / epochs}\n" for epoch in range(1, epochs + 1))
        file.write_text(f"step\t{file.stem}\n{rows}")
    (metrics / f"{run}.json").write_text(json.dumps({"dev": {"accuracy": accuracy, "loss": 1 - accuracy}}))
    (metrics / run / "evaluate.json").write_text(json.dumps({"weights_sha256": f"{accuracy} after {epochs}"}))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Three experiments of two parameters from an older commit, one from HEAD, one that failed and one that waits."""
    checkout = Checkout(tmp_path_factory.mktemp("experiments") / "project")
    folder = checkout.folder
    folder.mkdir()
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "dvc.yaml").write_text(STAGE)
    write(folder, 0.5)
    write(folder, 0.7, run="dilated_net")
    checkout.run("git init -qb main && dvc init -q && git add . && git commit -qm first")
    for name, lr, padding, accuracy in (("a", 0.1, 4, 0.6), ("b", 0.001, 2, 0.8), ("c", 0.01, 2, 0.7)):
        change_params(
            folder / "params.yaml", **{f"runs__{RUN}__optimizer__lr": lr, f"runs__{RUN}__augment__crop__padding": padding}
        )
        write(folder, accuracy)
        checkout.run(f"dvc exp save -n {name} && git checkout -q .")
    write(folder, 0.55)
    checkout.run("git commit -qam second")
    change_params(folder / "params.yaml", seed=1)
    write(folder, 0.9, epochs=5)
    checkout.run("dvc exp save -n a && git checkout -q .")
    checkout.run(f"dvc exp run --queue -n broken -S runs.{RUN}.optimizer.lr=-1 && dvc queue start")
    for _ in range(600):
        if "Failed" in checkout.run("dvc queue status"):
            break
        time.sleep(0.5)
    checkout.run(f"dvc queue stop; dvc exp run --queue -n waiting -S runs.{RUN}.optimizer.lr=7")
    return checkout


@pytest.fixture
def here(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The project as the working directory; what a test changes there is taken back."""
    monkeypatch.chdir(checkout.folder)
    for name, value in checkout.environment().items():
        monkeypatch.setenv(name, value)
    yield checkout.folder
    checkout.run("git checkout -q . && git clean -fdq metrics")


def test_each_experiment_follows_its_commit_with_its_state(here: Path) -> None:
    versions = collect()
    assert [(version.name.split(" ")[0], version.state) for version in versions] == [
        ("main", "done"), ("waiting", "queued"), ("broken", "failed"), ("a", "done"),
        (versions[4].name, "done"), ("c", "done"), ("b", "done"), ("a", "done"),
    ]  # fmt: skip
    assert [version.subject for version in versions if not version.is_experiment] == ["second", "first"]
    assert {version.base.subject for version in versions[1:4] if version.base} == {"second"}
    assert len({version.name for version in versions}) == len(versions), "one name for each, where two commits have an `a`"


def test_changes_and_results_are_against_the_base(here: Path) -> None:
    by_name = {version.name.split(" ")[0]: version for version in reversed(collect())}  # the newest `a` wins
    key = f"runs.{RUN}"
    assert page.changes(by_name["b"]) == [
        (f"{key}.optimizer.lr", "find", "0.001"),
        (f"{key}.augment.crop.padding", "4", "2"),
    ]
    numbers = [("accuracy", "80.00\xa0%", "+30.00\xa0points"), ("loss", "0.2", "−0.3")]
    assert page.results(by_name["b"]) == [(RUN, numbers)]
    assert page.results(by_name["main"]) == [
        (RUN, [("accuracy", "55.00\xa0%", "+5.00\xa0points"), ("loss", "0.45", "−0.05")])
    ]
    assert page.changes(by_name["broken"]) == [(f"{key}.optimizer.lr", "find", "-1")]
    assert page.results(by_name["broken"]) == page.results(by_name["waiting"]) == [], "they came to nothing yet"


def test_a_run_that_no_experiment_changed_has_no_charts(here: Path) -> None:
    [found] = page.comparisons(collect())
    assert found.run == RUN and len(found.versions) == 6, "four experiments and two commits"
    assert {axis.name for axis in found.parameters} == {"seed", "optimizer.lr", "augment.crop.padding"}
    assert sorted(found.score.values.values()) == [0.5, 0.55, 0.6, 0.7, 0.8, 0.9]


def test_the_workspace_is_a_row_as_soon_as_it_differs_and_a_training_has_no_score_yet(
    here: Path, checkout: Checkout
) -> None:
    assert collect()[0].name == "main"
    change_params(here / "params.yaml", **{f"runs__{RUN}__optimizer__lr": 0.5})
    write(here, 0.95, epochs=2)
    assert page.results(collect()[0]) == [(RUN, [("accuracy", "95.00\xa0%", "+40.00\xa0points"), ("loss", "0.05", "−0.4")])]
    checkout.run(f"git checkout -q metrics/{RUN}.json metrics/{RUN}/evaluate.json")
    workspace = collect()[0]
    assert workspace.name == "workspace" and page.results(workspace) == []
    [found] = page.comparisons(collect())
    assert page.score_or_state(found, workspace) == "epoch 2"


def test_the_command_writes_the_page_and_says_how_many(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare.main()
    assert capsys.readouterr().out.startswith("data/experiments/index.html: 6 experiments, 1 queued, 1 failed, ")
    assert "dvc queue logs broken" in (here / compare.PAGE).read_text()


def test_without_experiments_the_page_says_how_to_make_one(project: Project) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    with pytest.raises(InputError, match="need a git repository with a commit"):
        collect()
    checkout = Checkout(project.folder)
    checkout.run("git add . && git commit -qm x")
    with pytest.raises(InputError, match="DVC cannot list its experiments"):
        collect()
    checkout.run("dvc init -q && git add . && git commit -qm dvc")
    text = page.render(collect())
    assert "There are no experiments yet" in text and "dvc exp run -n" in text and "<fieldset" not in text


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=9))
def test_the_places_of_numbers_on_an_axis_keep_their_order(values: list[float]) -> None:
    axis = Axis("lr", {str(index): value for index, value in enumerate(values)})
    places = [axis.place(value) for value in sorted(values)]
    assert all(0 <= place <= 1 for place in places) and places == sorted(places)
    if len(set(places)) > 1:
        assert (places[0], places[-1]) == (0, 1)


def test_an_axis_is_logarithmic_where_values_are_far_apart_and_of_texts_where_one_is_a_text() -> None:
    far = Axis("lr", {"a": 0.001, "b": 0.01, "c": 0.1})
    assert far.is_log and math.isclose(far.place(0.01), 0.5)
    assert not Axis("lr", {"a": 0.0, "b": 0.1}).is_log
    texts = Axis("lr", {"a": "find", "b": "0.1"})
    assert texts.ticks() == ["0.1", "find"] and texts.place("find") == 1


def test_colours_can_be_seen_on_both_pages() -> None:
    for colour in charts.COLOURS:
        own = luminance(f"rgb{tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))}")
        for ground in ("rgb(255, 255, 255)", "rgb(22, 24, 29)"):
            dark, light = sorted((own, luminance(ground)))
            assert (light + 0.05) / (dark + 0.05) >= 3.5, f"{colour} on {ground}"


@pytest.mark.parametrize("width", [1280, 390])
def test_boxes_choose_what_the_charts_show(here: Path, browser: Any, width: int) -> None:
    compare.main()
    opened = Opened(browser, (here / compare.PAGE).resolve(), width)
    opened.page.wait_for_function("views.size == 7")  # three of curves, one of all parameters, one of each of the three
    assert opened.said == [] and opened.elsewhere == []
    assert opened.run("document.documentElement.scrollWidth") <= width, "nothing sticks out sideways"
    plots = opened.page.locator(f"#{RUN} .plot")

    def lines(number: int) -> set[str]:
        """The colours of a chart's lines."""
        paths = plots.nth(number).locator(".mark-line path").all()
        return {stroke for path in paths if (stroke := path.get_attribute("stroke")) in charts.COLOURS}

    def become(number: int, count: int) -> bool:
        return any(opened.page.wait_for_timeout(50) or len(lines(number)) == count for _ in range(200))

    assert become(0, 6) and become(3, 6)
    opened.page.get_by_role("checkbox").first.uncheck()
    assert become(0, 5) and become(3, 5)
    opened.page.get_by_role("button", name="none").click()
    assert become(0, 0) and become(3, 0)
    opened.page.get_by_role("button", name="all").click()
    assert become(0, 6)
