"""`make sweep`: what stands in sweeps.yaml, and trials that finish, stop early, fail, and are interrupted and continued."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.core.errors import InputError
from stages.reporting.environment import git
from stages.sweeping import space
from stages.sweeping.clone import Snapshot
from tests.conftest import ROOT, Checkout, Project, change_params, copy_project

RUN = "custom_resnet"
TRIAL_SECONDS = 300


def write_spaces(folder: Path, **runs: Any) -> None:
    with (folder / "sweeps.yaml").open("w") as file:
        YAML().dump(runs, file)


# The spaces.


def test_each_space_of_the_project_can_be_searched_on_sample_data_and_on_real_data(project: Project) -> None:
    shutil.copy(ROOT / "sweeps.yaml", project.folder)
    spaces = YAML(typ="safe").load(ROOT / "sweeps.yaml")
    for run in spaces:
        assert len(space.choose(run)[0].parameters) > 2
    project.set(**{f"tasks__{task}__source": "x.zip" for task in ("cifar10", "faces", "speech")})
    for run in spaces:
        space.choose(run)


@pytest.mark.parametrize(
    ("path", "values", "told"),
    [
        ("runs.pblstm.model.drpout", {"uniform": [0.0, 0.5]}, "model.drpout: unknown key; did you mean 'dropout'"),
        ("runs.bilstm.model.dropout", {"uniform": [0.0, 0.5]}, "must begin with runs.pblstm. or be one of lr, epochs"),
        ("tasks.speech.sample.train", {"int": [1, 2]}, "must begin with runs.pblstm. or be one of lr, epochs"),
        ("lr", {"log_uniform": [0.1, 0.01]}, "the lowest value, 0.1, must be below the highest, 0.01"),
        ("lr", {"log_uniform": [0, 0.01]}, "the lowest value of log_uniform must be above 0, but is 0"),
        ("lr", {"log_unifrm": [0.001, 0.01]}, "'log_unifrm' is not a kind of values; did you mean 'log_uniform'"),
        ("lr", {"uniform": [0.001, True]}, "uniform must have two numbers, the lowest and the highest"),
        ("lr", [0.1, 0.2], "must be a block of keys"),
        ("runs.pblstm.model.dropout", {"uniform": [0.0, 1.5]}, "the value 1.5: runs.pblstm.model.dropout: must lie between"),
        ("runs.pblstm.model.dropout", {"choice": [0.1, 0.1]}, "choice must have at least two different values"),
        (
            "runs.pblstm.optimizer.lr",
            {"log_uniform": [1e-4, 1e-2]},
            "the same run: runs.pblstm.optimizer.lr: 0.01 -> 0.005 (its sample block)",
        ),
    ],
)
def test_an_error_in_a_space_is_one_sentence(project: Project, path: str, values: Any, told: str) -> None:
    write_spaces(project.folder, pblstm={path: values})
    with pytest.raises(InputError) as error:
        space.choose("pblstm")
    assert str(error.value).startswith("sweeps.yaml: pblstm: ")
    assert told in str(error.value) and "\n" not in str(error.value)


def test_a_run_without_a_space_is_named(project: Project) -> None:
    write_spaces(project.folder, pblstm={"lr": {"log_uniform": [1e-4, 1e-2]}})
    with pytest.raises(InputError, match=r"sweeps.yaml: has no space of 'bilstm'; did you mean 'pblstm'"):
        space.choose("bilstm")
    with pytest.raises(InputError, match=r"runs.pblst: not in params.yaml; did you mean 'pblstm'"):
        space.choose("pblst")


def test_where_optuna_is_not_installed_it_says_so_in_a_sentence() -> None:
    program = "import sys; sys.modules['optuna'] = None; import stages.sweep"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == "error: Optuna is not installed; `make sweep` installs it and starts the sweep\n"


# The trials.


def test_a_snapshot_has_uncommitted_changes_even_while_an_editor_locks_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("params.yaml")
    file.write_text("lr: 1")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run(["git", *identity, *command], check=True)
    os.utime(file, (0, 0))  # touched, but the same
    unchanged = Snapshot.take()
    assert unchanged.tree == unchanged.commit
    for variable in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(variable, "a")
    file.write_text("lr: 2")
    Path(".git/index.lock").touch()
    snapshot = Snapshot.take()
    assert git("show", f"{snapshot.tree}:params.yaml") == "lr: 2" and snapshot.commit == unchanged.commit


@pytest.fixture
def swept(tmp_path: Path) -> Checkout:
    """A project of one small run whose space are two learning rates, one of which breaks the training."""
    pytest.importorskip("optuna", reason="Optuna is not installed: `make sweep` installs it")
    folder = tmp_path / "project"
    copy_project(folder)
    content = YAML(typ="safe").load(folder / "params.yaml")
    only = {"runs": {RUN: content["runs"][RUN]}, "tasks": {"cifar10": content["tasks"]["cifar10"]}}
    change_params(folder / "params.yaml", **only, reached_before={}, precision="fp32", device="cpu")
    small = {"model": {"width": 4}, "epochs": 2, "batch_size": 10}
    change_params(
        folder / "params.yaml", tasks__cifar10__sample={"train": 200, "test": 5}, runs__custom_resnet__sample=small
    )
    write_spaces(folder, **{RUN: {"lr": {"choice": {"good": 0.01, "tiny": 1e-12, "huge": 1e30}}}})
    earlier = folder / "metrics" / RUN / "train/plots/metrics/dev/accuracy.tsv"  # in git, of a longer training
    earlier.parent.mkdir(parents=True)
    earlier.write_text("step\taccuracy\n" + "".join(f"{epoch}\t0.5\n" for epoch in range(1, 10)))
    checkout = Checkout(folder)
    checkout.run("git init -q && git add . && git commit -qm code")
    return checkout


@pytest.fixture
def sweep(swept: Checkout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., int]]:
    """sweep(number of trials): `make sweep` in this process, where a trial may stop early as soon as one has finished."""
    from stages.sweep import main
    from stages.sweeping import record

    monkeypatch.chdir(swept.folder)
    for name, value in swept.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr(record, "STARTUP_TRIALS", 1)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield lambda trials, jobs=1: main([RUN, "--trials", str(trials), "--jobs", str(jobs)])
    for number, handler in before.items():
        signal.signal(number, handler)


def storage() -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(f".sweeps/{RUN}.log"))


def study() -> Any:
    import optuna

    return optuna.load_study(study_name=RUN, storage=storage())


def left() -> list[str]:
    """Of the trials, beside the record."""
    return sorted(path.name for path in Path(".sweeps", RUN).iterdir() if path.suffix != ".lock")


@pytest.mark.slow
def test_trials_finish_stop_early_and_fail(
    swept: Checkout, sweep: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    import optuna
    from optuna.trial import TrialState

    Path(".sweeps").mkdir()
    begun = optuna.create_study(study_name=RUN, storage=storage(), direction="maximize")
    begun.enqueue_trial({"lr": "good"})
    assert sweep(1) == 0
    [finished] = study().trials
    # One that cannot be reached, so that the next one is worse than the median.
    far = {"value": 0.99, "intermediate_values": {1: 0.99, 2: 0.99}}
    study().add_trial(optuna.create_trial(params=finished.params, distributions=finished.distributions, **far))
    for value in ("tiny", "huge"):
        study().enqueue_trial({"lr": value})
    assert sweep(4) == 0
    finished, _, stopped, failed = study().trials
    assert finished.state == TrialState.COMPLETE and set(finished.intermediate_values) == {1, 2}
    assert stopped.state == TrialState.PRUNED and failed.state == TrialState.FAIL
    assert "diverged" in failed.user_attrs["error"] or "finite" in failed.user_attrs["error"]

    told = capsys.readouterr().out
    rows = [line.split()[:2] for line in told.splitlines()[-8:] if len(line) <= 80]
    assert [row for row in rows if row[:1] in (["0"], ["2"], ["3"])] == [
        ["0", "finished"],
        ["2", "stopped"],
        ["3", "failed"],
    ]
    shown = swept.run("dvc exp list --name-only").split()
    [best] = [name for name in shown if name.startswith(f"{RUN}-sweep-")]
    assert best.endswith("-0") and left() == ["3.out"], "what a failed trial said, and nothing else"
    assert Path("metrics", RUN, "sweep.png").is_file()

    swept.run("git add dvc.lock && git commit -qm 'the data'")
    swept.run(f"dvc exp apply {best} || true")  # DVC fails about the report and submissions, which were never made here
    metrics = YAML(typ="safe").load(Path("metrics", RUN, "evaluate.json"))
    assert metrics["dev"]["accuracy"] == finished.value
    assert YAML(typ="safe").load(Path("params.yaml"))["lr"] == 0.01

    write_spaces(swept.folder, **{RUN: {"lr": {"choice": {"good": 0.02, "tiny": 1e-12}}}})
    with pytest.raises(InputError, match=r"the space of custom_resnet has changed since this sweep began"):
        sweep(9)


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on(swept: Checkout, sweep: Callable[..., int]) -> None:
    """Killed, which leaves nobody to say so, and then interrupted by Ctrl-C."""
    write_spaces(swept.folder, **{RUN: {"lr": {"choice": [0.01, 0.02]}}})
    command = [sys.executable, "-m", "stages.sweep", RUN, "--trials", "1"]
    environment = os.environ | swept.environment() | {"PYTHONUNBUFFERED": "1"}
    for trial, how in enumerate((signal.SIGKILL, signal.SIGINT)):
        with subprocess.Popen(command, cwd=swept.folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
            end = time.monotonic() + TRIAL_SECONDS
            history = Path(".sweeps", RUN, str(trial), "metrics", RUN, "train/plots/metrics/dev/accuracy.tsv")
            while not history.is_file():
                assert time.monotonic() < end and process.poll() is None
                time.sleep(0.1)
            process.send_signal(how)
            said, _ = process.communicate(timeout=TRIAL_SECONDS)
        assert process.returncode == (130 if how == signal.SIGINT else -how)
    assert "trial 1: interrupted; the same command continues it" in said

    assert sweep(1) == 0
    killed, interrupted, again = study().trials
    assert killed.value is None and interrupted.value is None and again.value is not None
    assert killed.params == interrupted.params == again.params and again.user_attrs["lost"] == [0, 1]
    assert left() == []
