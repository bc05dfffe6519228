"""More epochs continue a training that ended, and give the bits of one go; where they cannot, a sentence says why."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages import download, find_lr, normalize, train
from stages.core import paths
from stages.training import loop
from stages.training.step import take_step
from tests.conftest import ROOT, Checkout, Project, change_params

BLOCKS: dict[str, dict[str, Any]] = {
    "custom_resnet": {
        "schedule": {"name": "plateau", "patience": 0},
        "train": {"ema": 0.9, "mean": 2},
        "evaluate": {"weights": "mean", "views": ["plain"]},
        "sample": {"model": {"width": 2}, "epochs": 2, "batch_size": 30},
    },
    "resnet50": {
        "schedule": {"name": "cosine_restarts", "t_0": 1, "t_mult": 2},
        "sample": {"model": {"width": 2}, "epochs": 2, "batch_size": 8},
    },
    "bilstm": {
        "schedule": {"name": "constant"},
        "sample": {"model": {"hidden": 8, "num_layers": 1}, "epochs": 2, "batch_size": 8},
    },
}
SETTINGS: dict[str, Any] = {
    "precision": "fp32",
    "lr": 0.001,
    "tasks__cifar10__sample": {"train": 110, "test": 10},
    "tasks__faces__sample": {"identities": 4, "train": 6, "dev": 2, "test": 1, "known": 2, "unknown": 4},
    "tasks__speech__sample": {"train": 24, "dev": 4, "test": 2},
} | {f"runs__{run}__{key}": value for run, block in BLOCKS.items() for key, value in block.items()}


CONTENT = YAML(typ="safe").load(ROOT / "params.yaml")


def prepare(project: Project, task: str, run: str, **changes: Any) -> None:
    """With a params.yaml of one task and run, which each stage reads in little time."""
    few = {"tasks": {task: CONTENT["tasks"][task]}, "runs": {run: CONTENT["runs"][run]}, "reached_before": {}}
    (project.folder / "params.yaml").write_text(json.dumps(CONTENT | few))
    own = ("tasks__" + task, "runs__" + run)
    project.set(**{key: value for key, value in SETTINGS.items() if "__" not in key or key.startswith(own)} | changes)
    download.main(task)
    normalize.main(task)
    find_lr.main(run)


def trained(project: Project, run: str, capsys: pytest.CaptureFixture[str], epochs: int | None = None) -> str:
    """What a training says. DVC removes the outputs first."""
    if epochs is not None:
        project.set(**{f"runs__{run}__sample__epochs": epochs})
    for folder in (paths.model(run), paths.history(run)):
        shutil.rmtree(folder, ignore_errors=True)
    capsys.readouterr()
    train.main(run)
    return capsys.readouterr().out


def outputs(run: str) -> dict[str, bytes]:
    files = [*paths.model(run).iterdir(), *paths.history(run).rglob("*.tsv")]
    return {str(file): file.read_bytes() for file in files}


@pytest.mark.parametrize(("task", "run"), [("cifar10", "custom_resnet"), ("faces", "resnet50"), ("speech", "bilstm")])
def test_more_epochs_continue_and_leave_the_bytes_of_one_go(
    project: Project, task: str, run: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice: the second time it is interrupted on its way, too."""
    prepare(project, task, run, checkpoint_minutes=1e-9)
    assert "starts from the beginning" not in trained(project, run, capsys, epochs=1)
    told, steps = trained(project, run, capsys, epochs=3), 0
    assert "continuing after epoch 1\n" in told and "epoch 2/3" in told and "epoch 1/3" not in told

    def step(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise KeyboardInterrupt
        return take_step(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "take_step", step)
        trained(project, run, capsys, epochs=5)
    assert "continuing after step 2 of epoch 4" in trained(project, run, capsys)
    continued = outputs(run)
    shutil.rmtree(".resume")
    assert "continuing" not in trained(project, run, capsys)
    assert outputs(run) == continued
    assert {Path(name).name for name in continued} >= {"best.safetensors", "last.safetensors", "summary.txt"}


def test_a_training_that_stopped_early_stays_stopped(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    run, early = "custom_resnet", {"early_stopping": {"patience": 1}}
    weights = {"weights": "best", "views": ["plain"]}
    prepare(project, "cifar10", run, lr=1e-12, runs__custom_resnet__train=early, runs__custom_resnet__evaluate=weights)
    assert "early stopping" in trained(project, run, capsys, epochs=5)
    for epochs in (9, 3):  # fewer than before, and no fewer than were trained
        told = trained(project, run, capsys, epochs=epochs)
        assert "continuing after epoch 2" in told and "early stopping" in told
        continued = outputs(run)
        shutil.rmtree(".resume")
        trained(project, run, capsys)
        assert outputs(run) == continued


@pytest.mark.parametrize(
    ("changes", "epochs", "why"),
    [
        ({"schedule": {"name": "cosine"}}, 3, "the schedule cosine depends on the number of epochs"),
        ({"train": {"mean": 2}}, 3, "train.mean averages the weights after each of the last 2 epochs, which were not saved"),
        ({"sample__model__width": 3, "loss": {"label_smoothing": 0.1}}, 1, "runs.custom_resnet.loss, runs."),
        ({}, 1, "it has more epochs than 1"),
        (None, 3, "its state is missing"),
    ],
)
def test_a_training_that_cannot_be_continued_says_why(
    project: Project, changes: dict[str, Any] | None, epochs: int, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = "custom_resnet"
    before = {key: value for key, value in (changes or {}).items() if key in ("schedule", "train")}
    later = {key: value for key, value in (changes or {}).items() if key not in before}
    settings = {"train": {}, "evaluate": {"weights": "last"}} | before
    prepare(project, "cifar10", run, **{f"runs__{run}__{key}": value for key, value in settings.items()})
    trained(project, run, capsys)
    if changes is None:
        shutil.rmtree(paths.resume(run) / "finished")
    project.set(**{f"runs__{run}__{key}": value for key, value in later.items()}, **{f"runs__{run}__sample__epochs": epochs})
    told = trained(project, run, capsys)
    assert f"training starts from the beginning, not after epoch 2 of the last training: {why}" in told
    assert f"epoch 1/{epochs}" in told and "continuing" not in told


def test_the_same_training_by_force_is_trained_anew_and_others_say_nothing(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    run = "custom_resnet"
    prepare(project, "cifar10", run)
    trained(project, run, capsys)
    state = paths.resume(run) / "finished/state.pt"
    before, kept = outputs(run), state.read_bytes()
    told = trained(project, run, capsys)
    assert "epoch 1/2" in told and "beginning" not in told and "continuing" not in told and outputs(run) == before
    project.set(runs__custom_resnet__sample__batch_size=20)
    told = trained(project, run, capsys)
    assert "epoch 1/2" in told and "beginning" not in told
    assert state.read_bytes() != kept and len(list(Path(".resume").rglob("state.pt"))) == 1, "one a run"
    project.set(runs__custom_resnet__schedule={"name": "cosine"})
    trained(project, run, capsys)
    assert not list(Path(".resume").rglob("state.pt")), "no use for one"


def test_a_damaged_state_is_told_and_training_starts_over(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    run = "custom_resnet"
    prepare(project, "cifar10", run)
    trained(project, run, capsys)
    file = paths.resume(run) / "finished/state.pt"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    told = trained(project, run, capsys, epochs=4)
    assert "state.pt: damaged or foreign" in told and "epoch 1/4" in told


def test_dvc_continues_to_the_bytes_that_it_would_train_anew(checkout: Checkout) -> None:
    """Through the pipeline: a finished training, an experiment with more epochs, and the same by force without a state."""
    model, command = checkout.folder / "models/digit_resnet", "dvc repro train@digit_resnet"
    change_params(checkout.folder / "params.yaml", runs__digit_resnet__schedule={"name": "constant"})
    told = checkout.run(command)
    assert "epoch 1/4" in told and "epoch 4/4" in told
    told = checkout.run("dvc exp run -S runs.digit_resnet.sample.epochs=6 train@digit_resnet")
    assert "continuing after epoch 4" in told and "epoch 4/6" not in told and "epoch 6/6" in told
    assert "digit_resnet/finished" in checkout.run("python -m stages.interrupted")

    def digests() -> dict[str, str]:
        files = [*model.iterdir(), *(checkout.folder / "metrics/digit_resnet/train").rglob("*.tsv")]
        return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    continued = digests()
    checkout.run("python -m stages.interrupted --remove")
    assert not list((checkout.folder / ".resume").rglob("*.pt"))
    told = checkout.run(f"{command} -f -s")
    assert "epoch 1/6" in told and "continuing" not in told
    assert digests() == continued
