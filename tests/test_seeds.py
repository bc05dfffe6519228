"""`make seeds` and `make ablate SEEDS=…`: what is put in the queue, and what is said of the scores."""

import dataclasses
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stages import ablate, seeds
from stages.ablating import grids, queue, spread
from stages.core import paths
from stages.core.errors import InputError
from stages.reporting.collect import collect
from stages.tasks import load_params
from tests.conftest import Project
from tests.test_ablate import ROW, commit_results, git, write_grids


def headlines(run: str, distance: float) -> str:
    """An experiment's commit that has the run's headline numbers."""
    paths.headlines(run).parent.mkdir(exist_ok=True)
    paths.headlines(run).write_text(json.dumps({"dev": {"distance": distance, "per": distance / 20}}))
    return commit_results(run, distance)


def test_the_scores_of_all_seeds_become_a_table(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    git("init", "-q")
    scores = {5: 1.0, 6: 2.0, 7: 4.5}
    refs = {f"pblstm-seed-{seed}": headlines("pblstm", score) for seed, score in scores.items()}
    queued: list[grids.Value] = []

    def run(values: list[grids.Value], jobs: int) -> dict[str, str]:
        queued.extend(values)
        return refs

    monkeypatch.setattr(queue, "prepare", lambda target: None)
    monkeypatch.setattr(queue, "run", run)
    project.set(seed=5)
    seeds.main(["pblstm"])
    assert [value.arguments for value in queued] == [["-S", f"seed={seed}", "evaluate@pblstm"] for seed in scores]
    found = json.loads(paths.seeds("pblstm").read_text())
    assert found["dev"]["distance"] == {
        "mean": 2.5,
        "sd": pytest.approx(np.std([1, 2, 4.5], ddof=1)),
        "n": 3,
        "min": 1.0,
        "max": 4.5,
        "values": [1.0, 2.0, 4.5],
        "interval": pytest.approx([2.5 - 4.4783, 2.5 + 4.4783], abs=1e-4),  # 4.3027 standard errors, by a table of t
    }
    assert "distance       2.5000  1.8028  3  1.0000  4.5000  -1.9783 to 6.9783" in capsys.readouterr().out
    assert {results.name: results.seeds for results in collect(load_params())}["pblstm"] == found


@pytest.mark.parametrize("command", [lambda: seeds.main(["pblstm"]), lambda: ablate.main(["pblstm", "--seeds", "1", "2"])])
def test_a_run_with_a_seed_of_its_own_is_refused(project: Project, command: Callable[[], object]) -> None:
    write_grids(pblstm={"hidden": {"model.hidden": [8, 16]}})
    project.set(runs__pblstm__train__seed=3, tasks__speech__source="x")
    with pytest.raises(InputError, match=r"^runs\.pblstm\.train\.seed: hides the seeds"):
        command()


def test_the_seed_of_a_run_is_that_of_its_training(project: Project) -> None:
    project.set(seed=5, runs__pblstm__train__seed=3)
    assert (load_params().seed_of("pblstm"), load_params().seed_of("bilstm")) == (3, 5)


def test_a_seed_that_failed_leaves_no_table(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "prepare", lambda target: None)
    monkeypatch.setattr(queue, "run", lambda values, jobs: {value.name: None for value in values})
    with pytest.raises(InputError, match="pblstm-seed-1, pblstm-seed-2: failed, so there is no table"):
        seeds.main(["pblstm", "--seeds", "1", "2"])
    assert not paths.seeds("pblstm").exists()


@pytest.mark.parametrize("given", ["3", "1 1", "-1 2"])
def test_a_number_of_seeds_or_one_twice_is_refused(project: Project, given: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        seeds.main(["pblstm", "--seeds", *given.split()])
    assert "--seeds" in capsys.readouterr().err


def test_the_p_value_is_that_of_the_paired_t_test() -> None:
    """Against the density of Student's t, integrated by trapezoids."""
    random = np.random.default_rng(0)
    values, others = random.normal(size=(2, 5))
    difference = values - others
    t = abs(difference.mean() / (difference.std(ddof=1) / math.sqrt(5)))
    x = np.linspace(0, t, 100_001)
    density = math.gamma(2.5) / (math.sqrt(4 * math.pi) * math.gamma(2)) * (1 + x * x / 4) ** -2.5
    assert spread.paired_p(values.tolist(), others.tolist()) == pytest.approx(1 - 2 * np.trapezoid(density, x), abs=1e-6)
    assert spread.paired_p([0.3, 0.4], [0.2, 0.3]) is None, "equal differences say nothing of their spread"


def test_each_value_is_compared_with_the_run_as_it_is(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Distances: lower is better. 0.1 is lower by about one for every seed, 0.3 only for one of two; 0.2 is the present."""
    git("init", "-q")
    write_grids(pblstm={"dropout": {"model.dropout": [0.1, 0.2, 0.3]}})
    given: dict[str, list[float | None]] = {
        "seed": [2.0, 2.5, 3.0],
        "0.1": [1.0, 1.52, 1.99],
        "0.2": [2.0, 2.5, 3.0],
        "0.3": [2.4, 2.2, None],
    }
    refs: dict[str, str | None] = {}
    for (label, scores), (number, seed) in itertools.product(given.items(), enumerate((1, 2, 3))):
        name = f"pblstm-seed-{seed}" if label == "seed" else f"pblstm-dropout-{label}-seed-{seed}"
        refs[name] = None if (score := scores[number]) is None else commit_results("pblstm", score + 1e-9 * len(refs))
    monkeypatch.setattr(queue, "prepare", lambda target: None)
    monkeypatch.setattr(queue, "run", lambda values, jobs: {value.name: refs[value.name] for value in values})
    assert ablate.main(["pblstm", "--seeds", "1", "2", "3"]) == 1, "one of them failed"
    lines = capsys.readouterr().out.splitlines()
    said = {line.split()[1]: line for line in lines if line.startswith("dropout ")}
    assert said["0.1"].endswith("better") and "-0.9967" in said["0.1"]
    assert said["0.3"].endswith("not distinguishable") and " 2 " in said["0.3"]
    assert any(line.startswith("dropout as it is") and "2.5000" in line for line in lines)
    table = Path("metrics/pblstm/ablation.csv").read_text()
    assert table.count("as it is") == 3 and table.count("dropout,model.dropout,0.1") == 3


def test_what_is_exactly_the_same_is_told() -> None:
    rows = [dataclasses.replace(ROW, value=value, score=score) for value in (spread.PRESENT, "x") for score in (1.0, 2.0)]
    assert spread.comparison(rows, higher_is_better=True).endswith("the same numbers")
