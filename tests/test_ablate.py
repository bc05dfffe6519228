"""`make ablate`: what stands in ablations.yaml, what becomes of it in DVC's hands, and the table that comes out."""

import copy
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dulwich.refs import Ref, check_ref_format
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from stages import ablate
from stages.ablating import grids, prepare, queue
from stages.core import paths
from stages.core.errors import InputError
from stages.data.tables import write_table
from stages.reporting import ablations
from stages.reporting.ablations import Row
from tests.conftest import ROOT, Project


def load(file: Path) -> Any:
    return YAML(typ="safe", pure=True).load(file.read_text())


PARAMS, COMMITTED = load(ROOT / "params.yaml"), load(ROOT / "ablations.yaml")
ROW = Row("beam", "evaluate.beam", "1", "sample", "distance", 1.75, 0.004, 12, 60.5, "d5da8f96bbdf", "x-beam-1", "dvc …")


def write_grids(**runs: Any) -> None:
    with Path("ablations.yaml").open("w") as file:
        YAML().dump(runs, file)


# The grids.


def test_each_value_of_the_committed_grids_is_a_run_of_its_own_on_real_data(project: Project) -> None:
    """The form for sample data is checked beside it, whatever the source."""
    shutil.copy(ROOT / "ablations.yaml", project.folder)
    project.set(**{f"tasks__{task}__source": "archive.zip" for task in PARAMS["tasks"]})
    values = [value for run in PARAMS["runs"] for value in grids.choose(run)]
    assert {(value.run, value.grid) for value in values} == {(run, grid) for run in COMMITTED for grid in COMMITTED[run]}
    assert COMMITTED.keys() == PARAMS["runs"].keys() and len({value.name for value in values}) == len(values)


# Words that Hydra takes for something else are no value of any key; and DVC may change a 16th digit that it passes by.
words = st.from_regex(r"[a-z_]+", fullmatch=True).filter(lambda word: word not in ("null", "true", "false", "nan", "inf"))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(1e-8, 1e8).map(lambda value: float(f"{value:.6g}"))
    | words
)
keys = st.sampled_from(["a", "b", "c_1"])
blocks = st.dictionaries(keys, scalars | st.dictionaries(keys, scalars, min_size=1), min_size=1)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(blocks, st.lists(keys, min_size=1, max_size=2), scalars | st.dictionaries(keys, scalars))
def test_dvc_puts_a_value_where_the_grid_says_and_leaves_the_rest(
    tmp_path: Path, block: dict[str, Any], path: list[str], value: Any
) -> None:
    wanted: Any = copy.deepcopy(block)
    if len(path) == 2 and not isinstance(wanted.setdefault(path[0], {}), dict):
        return  # below a single value there is nothing
    (wanted[path[0]] if len(path) == 2 else wanted)[path[-1]] = value
    file = tmp_path / "params.yaml"
    with file.open("w") as out:
        YAML().dump({"runs": {"x": block, "y": {"a": 1}}}, out)
    apply_overrides(file, list(grids.overrides(f"runs.x.{'.'.join(path)}", value, block)))
    assert load(file) == {"runs": {"x": wanted, "y": {"a": 1}}}


@given(
    st.lists(st.one_of(scalars, st.text(max_size=6)), min_size=2, max_size=4), st.from_regex(r"[\w.-]{1,8}", fullmatch=True)
)
def test_experiments_have_names_that_git_takes_and_that_differ_or_the_grid_is_refused(values: list[Any], grid: str) -> None:
    try:
        names = [value.name for value in grids.parse("net", grid, {"ema": values}, {})]
    except InputError as error:
        assert str(error).startswith("ablations.yaml: net.")
        return
    assert len(set(names)) == len(values)
    assert all(check_ref_format(Ref(f"refs/exps/00/00/{name}".encode())) for name in names)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([1, 2], r"net\.g: must be a block of keys"),
        ({}, r"net\.g: must be one key of the run"),
        ({"epochs": [1, 2], "ema": [None, 0.9]}, r"net\.g: must be one key of the run"),
        ({"epochs": 3}, r"net\.g: epochs: must be a block of keys, but is 3"),
        ({"epochs": [3]}, r"net\.g: epochs must have at least two values"),
        ({"epochs": [3, 4, 3]}, r"net\.g: epochs has one value twice: 3, 4, 3"),
        (
            {"schedule": [{"name": "cosine"}, {"name": "constant"}]},
            r"net\.g: .* cannot name an experiment .* name the values",
        ),
    ],
)
def test_what_is_no_grid_is_an_error_that_names_it(content: Any, said: str) -> None:
    with pytest.raises(InputError, match=rf"^ablations\.yaml: {said}"):
        grids.parse("net", "g", content, {})


@pytest.mark.parametrize(
    ("key", "values", "said"),
    [
        ("model.dropot", [0.1, 0.2], r"the value 0\.1: runs\.pblstm\.model\.dropot: unknown key; did you mean 'dropout'\?"),
        ("modl.dropout", [0.1, 0.2], r"the value 0\.1: runs\.pblstm\.modl: unknown key; did you mean 'model'\?"),
        ("model.dropout", [0.1, 1.5], r"the value 1\.5: runs\.pblstm\.model\.dropout: must lie between 0 and 1"),
        ("epochs.x", [1, 2], r"the value 1: "),
    ],
)
def test_a_value_that_params_yaml_may_not_have_is_an_error(project: Project, key: str, values: list[Any], said: str) -> None:
    write_grids(pblstm={"mine": {key: values}})
    with pytest.raises(InputError, match=rf"^ablations\.yaml: pblstm\.mine: {said}"):
        grids.choose("pblstm")


def test_misspelt_runs_and_grids_are_met_with_the_nearest(project: Project) -> None:
    write_grids(pblstm={"beam": {"evaluate.beam": [1, 2]}}, bilsm={"beam": {"evaluate.beam": [1, 2]}})
    with pytest.raises(InputError, match=r"pblstm has no grid 'baem'; did you mean 'beam'\?"):
        grids.choose("pblstm", "baem")
    with pytest.raises(InputError, match=r"has no grids of 'bilstm'; did you mean 'bilsm'\?"):
        grids.choose("bilstm")
    with pytest.raises(InputError, match=r"ablations\.yaml: bilsm: there is no such run; did you mean 'bilstm'\?"):
        grids.choose("bilsm")
    with pytest.raises(InputError, match=r"name a run, as in `make ablate RUN=custom_resnet`; known: bilstm, "):
        ablate.main([""])
    Path("ablations.yaml").write_text("pblstm: {a: [1, 2}")
    with pytest.raises(InputError, match=r"ablations\.yaml: not valid YAML: "):
        grids.choose("pblstm")


def test_a_grid_that_changes_nothing_is_left_out_and_refused_where_it_was_asked_for(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of pblstm, the sample block hides optimizer.lr."""
    write_grids(pblstm={"rate": {"optimizer.lr": [0.1, 0.2]}, "beam": {"evaluate.beam": [1, 2]}})
    hidden = r"0.1 and 0.2 would be the same run: runs.pblstm.optimizer.lr: 0.1 -> 0.005 (its sample block"
    assert [value.name for value in grids.choose("pblstm")] == ["pblstm-beam-1", "pblstm-beam-2"]
    assert f"left out: ablations.yaml: pblstm.rate: {hidden}" in capsys.readouterr().out
    with pytest.raises(InputError) as refused:
        grids.choose("pblstm", "rate")
    assert hidden in str(refused.value)
    project.set(tasks__speech__source="archive.zip")
    assert len(grids.choose("pblstm", "rate")) == 2
    project.set(lr=0.3)
    with pytest.raises(InputError, match=r"0\.1 and 0\.2 would be the same run: something else in params\.yaml"):
        grids.choose("pblstm", "rate")


# What the experiments came to.


def git(*arguments: str) -> str:
    identity = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True, env=os.environ | identity).stdout


def commit_results(run: str, score: float) -> str:
    """A commit with what the stages write of a run; the path of a reference to it."""
    folder = Path("metrics") / run
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluate.json").write_text(json.dumps({"dev": {"distance": score, "per": 0.5}, "weights_sha256": "ab" * 32}))
    (folder / "lr.json").write_text(json.dumps({"lr": 0.004, "source": "x"}))
    paths.timing("ab" * 32).parent.mkdir(exist_ok=True)
    paths.timing("ab" * 32).write_text(json.dumps({"epochs": 12, "train_seconds": 60.5}))
    git("add", "metrics")
    git("commit", "-qm", "x")
    reference = f"refs/exps/00/00/{run}-{score}"
    git("update-ref", reference, "HEAD")
    return reference


VALUE = grids.Value("pblstm", "beam", "evaluate.beam", "1", ("runs.pblstm.evaluate.beam=1",))


def test_a_row_is_what_the_experiments_commit_says_whatever_lies_in_the_workspace(project: Project) -> None:
    git("init", "-q")
    first = commit_results("pblstm", 1.75)
    commit_results("pblstm", 9.0)
    found = ablate.result(VALUE, first, "distance", ["a.zip", "b.zip"])
    made: dict[str, Any] = {"weights": "ab" * 6, "experiment": "pblstm-beam-1"}
    command = "dvc exp run -S runs.pblstm.evaluate.beam=1 evaluate@pblstm"
    assert found == dataclasses.replace(ROW, source="a.zip; b.zip", command=command, **made)
    failed = ablate.result(VALUE, None, "distance", "sample")
    assert (failed.score, failed.lr, failed.epochs, failed.seconds, failed.weights) == (None, None, None, None, "")


def test_a_grid_takes_the_place_of_its_old_rows_and_leaves_those_of_others(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    git("init", "-q")
    write_grids(pblstm={"beam": {"evaluate.beam": [1, 2]}, "dropout": {"model.dropout": [0.1, 0.2]}})
    refs = {"pblstm-beam-1": commit_results("pblstm", 1.5), "pblstm-beam-2": None}
    prepared: list[str] = []
    monkeypatch.setattr(queue, "prepare", prepared.append)
    monkeypatch.setattr(queue, "run", lambda values, jobs: {value.name: refs[value.name] for value in values})
    old = [dataclasses.replace(ROW, grid=grid, score=7.0) for grid in ("beam", "dropout")]
    write_table(paths.ablation("pblstm"), ablations.COLUMNS, (row.cells for row in old))

    assert ablate.main(["pblstm", "--grid", "beam"]) == 1, "one of them failed"
    assert prepared == ["train@pblstm"], "how to evaluate differs, so the training is common"
    rows = ablations.read(paths.ablation("pblstm"))
    found = [(row.grid, row.value, row.score) for row in rows]
    assert found == [("beam", "1", 1.5), ("beam", "2", None), ("dropout", "1", 7.0)]
    said = capsys.readouterr()
    assert "pblstm-beam-2  failed\n" in said.out
    assert "pblstm-beam-2 failed: `dvc queue logs pblstm-beam-2` shows why" in said.err

    refs |= {f"pblstm-dropout-{value}": refs["pblstm-beam-1"] for value in (0.1, 0.2)}
    assert ablate.main(["pblstm", "--grid", "dropout"]) == 0
    assert prepared[1:] == ["normalize@speech"], "each value trains for itself"
    assert [row.grid for row in ablations.read(paths.ablation("pblstm"))] == ["beam", "beam", "dropout", "dropout"]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=8)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.builds(
            Row, texts, texts, texts, texts, texts, numbers, numbers, st.none() | st.integers(), numbers, texts, texts, texts
        )
    )
)
def test_a_table_is_read_as_it_was_written(tmp_path: Path, rows: list[Row]) -> None:
    write_table(tmp_path / "ablation.csv", ablations.COLUMNS, (row.cells for row in rows))
    assert ablations.read(tmp_path / "ablation.csv") == rows


@pytest.mark.parametrize("content", ["grid,key\nbeam,x\n", "\n\nbeam\n", f"{','.join(ablations.COLUMNS)}\nbeam,x\n"])
def test_another_table_in_its_place_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "ablation.csv").write_text(content)
    with pytest.raises(InputError, match=r"ablation\.csv: is not a table of `make ablate`"):
        ablations.read(tmp_path / "ablation.csv")


# The queue; with DVC's own workers it is tried in tests/soak/test_queue.py.


def test_experiments_need_a_commit_and_somebody_to_make_it(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("EMAIL", *(f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL"))):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    with pytest.raises(InputError, match="need a git repository with a commit"):
        prepare.check_git()
    git("init", "-q")
    git("commit", "--allow-empty", "-qm", "x")
    git("config", "user.useConfigOnly", "true")
    with pytest.raises(InputError, match="git does not know who you are"):
        prepare.check_git()
    git("config", "user.name", "a")
    git("config", "user.email", "a@b.c")
    Path("stages").mkdir()
    Path("stages/new.py").touch()
    prepare.check_git()
    assert "unknown to git and so not part of the experiments (git add them): stages/new.py" in capsys.readouterr().out


def test_a_worker_is_at_work_while_its_process_lives(project: Project) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    Repo.init()
    file = Path(".dvc/tmp/exps/celery/dvc-exp-worker-1.json")
    assert not queue._worker_alive()
    file.parent.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        file.write_text(json.dumps({"pid": process.pid, "returncode": None}))
        assert queue._worker_alive()
        process.kill()
    assert not queue._worker_alive(), "killed, so that nobody wrote down its end"
    file.write_text(json.dumps({"pid": os.getpid(), "returncode": 0}))
    assert not queue._worker_alive(), "ended, and its number is somebody else's"


def test_a_path_that_dvcs_queue_cannot_have_is_told_before_anything_is_queued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "é"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    shutil.copy(ROOT / "params.yaml", folder)
    write_grids(pblstm={"beam": {"evaluate.beam": [1, 2]}})
    with pytest.raises(InputError, match="DVC's queue fails below a path"):
        ablate.main(["pblstm"])
