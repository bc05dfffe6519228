"""The stages one after the other, as a user runs them, on the smallest sample; and what they say of bad input."""

import csv
import io
import json
import os
import pickle
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from stages.compute.device import Compute
from stages.core import paths
from stages.core.errors import InputError, Interrupted
from stages.data import checkpoint
from stages.reporting.collect import collect
from stages.reporting.page import headline
from stages.tasks import load_params, task_module
from stages.training import loop
from stages.training.step import take_step
from tests.conftest import ROOT, Project, cifar_batch

TINY = {
    "tasks__cifar10__sample": {"train": 120, "test": 20},
    "runs__custom_resnet__sample": {"model": {"width": 2}, "epochs": 3, "batch_size": 30},
    "range_test": {"steps": 20, "start": 1e-5, "end": 1.0},
    "precision": "fp32",
}


def stage(name: str, argument: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m stages.<name> <argument>` in the current folder."""
    command, environment = [sys.executable, "-m", f"stages.{name}", argument], os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def succeed(name: str, argument: str) -> str:
    """Run a stage in this process, which has imported torch, and return what it prints."""
    with redirect_stdout(io.StringIO()) as said:
        import_module(f"stages.{name}").main(argument)
    return said.getvalue()


def fail(name: str, argument: str) -> str:
    """Run a stage in this process, which must fail, and return the one sentence that a user is told."""
    with pytest.raises(InputError) as raised:
        succeed(name, argument)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_from_nothing_to_a_submission(project: Project) -> None:
    run = "custom_resnet"
    project.set(**TINY, runs__custom_resnet__evaluate__views=["plain", "flip"])
    succeed("download", "cifar10")
    assert "110 train, 10 dev, 20 test" in succeed("normalize", "cifar10")
    assert np.load("data/features/cifar10/train/images.npy").shape == (110, 32, 32, 3)
    contents = {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()}
    for name in ("find_lr", "train", "evaluate", "submit"):
        succeed(name, run)

    metrics = json.loads(Path(f"metrics/{run}/evaluate.json").read_text())
    assert metrics["epoch"] == 3
    headlines = json.loads(Path(f"metrics/{run}.json").read_text())
    assert headlines == {"dev": {key: metrics["dev"][key] for key in ("accuracy", "plain_accuracy", "loss")}}
    # Without the average over mirror images, evaluate repeats training's last measurement.
    last = Path(f"metrics/{run}/train/plots/metrics/dev/accuracy.tsv").read_text().split()[-1]
    assert metrics["dev"]["plain_accuracy"] == pytest.approx(float(last), rel=1e-5)
    assert 0 < json.loads(Path(f"metrics/{run}/lr.json").read_text())["lr"] < 1
    for picture in ("lr.png", "plots/confusion.png", "plots/curves.png", "plots/misclassified.png", "plots/augmented.png"):
        assert Path(f"metrics/{run}/{picture}").read_bytes().startswith(b"\x89PNG"), picture

    rows = list(csv.reader(Path(f"data/predictions/{run}/dev.csv").read_text().splitlines()))
    right = [row[rows[0].index("predicted")] == row[rows[0].index("label")] for row in rows[1:]]
    assert sum(right) / len(right) == pytest.approx(metrics["dev"]["accuracy"])
    submission = list(csv.reader(Path(f"data/submissions/{run}/submission.csv").read_text().splitlines()))
    assert submission[0] == ["id", "label"] and [row[0] for row in submission[1:]] == [str(i) for i in range(1, 21)]

    saved = checkpoint.load_trained(paths.weights(run, "last"))
    assert saved.run["model"]["name"] == run and saved.stats["mean"] and len(saved.history) > 1
    assert "Total params" in Path(f"models/{run}/summary.txt").read_text()
    assert not list(Path().rglob("*.partial"))
    assert not list(Path(".resume").rglob("*.pt")), "a finished run leaves no state"

    # Some seconds later, the same bytes: archives and arrays carry no times.
    for name in ("download", "normalize"):
        succeed(name, "cifar10")
    assert {path: path.read_bytes() for path in contents} == contents


def test_the_sample_trains_on_one_thread_whatever_the_number_of_cores(project: Project) -> None:
    project.set(**TINY)
    for name, argument in (("download", "cifar10"), ("normalize", "cifar10"), ("find_lr", "custom_resnet")):
        succeed(name, argument)
    weights, before = [], torch.get_num_threads()
    for num_cores in (1, 2):
        torch.set_num_threads(num_cores)
        succeed("train", "custom_resnet")
        weights.append(paths.weights("custom_resnet", "last").read_bytes())
        assert torch.get_num_threads() == 1
    torch.set_num_threads(before)
    assert weights[0] == weights[1]


def test_speech_from_nothing_to_a_submission(project: Project) -> None:
    project.set(
        precision="fp32",
        tasks__speech__sample={"train": 24, "dev": 6, "test": 5},
        runs__bilstm__sample={"model": {"hidden": 8, "num_layers": 1}, "epochs": 2, "batch_size": 8},
    )
    succeed("download", "speech")
    assert "24 train, 6 dev, 5 test" in succeed("normalize", "speech")
    for name in ("find_lr", "train", "evaluate", "submit"):
        succeed(name, "bilstm")
    metrics = json.loads(Path("metrics/bilstm/evaluate.json").read_text())["dev"]
    rows = list(csv.DictReader(Path("data/predictions/bilstm/dev.csv").read_text().splitlines()))
    assert metrics["distance"] == pytest.approx(sum(int(row["distance"]) for row in rows) / 6)
    edits = metrics["substitutions"] + metrics["insertions"] + metrics["deletions"]
    assert (
        metrics["per"] == pytest.approx(edits) == pytest.approx(metrics["distance"] * 6 / sum(len(r["label"]) for r in rows))
    )
    submission = Path("data/submissions/bilstm/submission.csv").read_text().splitlines()
    assert len(submission) == 6 and submission[0].startswith("id")
    assert "Total params" in Path("models/bilstm/summary.txt").read_text()

    project.set(runs__bilstm__model__features=40)
    told = fail("train", "bilstm")
    assert "40" in told and "27" in told


def test_faces_from_nothing_to_both_submissions(project: Project) -> None:
    run = "convnext"
    project.set(
        precision="fp32",
        tasks__faces__sample={"identities": 4, "train": 6, "dev": 2, "test": 2, "known": 5, "unknown": 12},
        runs__convnext__sample={"model": {"width": 4}, "epochs": 2, "batch_size": 8, "loss": {"arcface": {"scale": 16}}},
    )
    succeed("download", "faces")
    assert "24 train, 8 dev, 8 test, 5 known, 12 unknown_dev, 12 unknown_test" in succeed("normalize", "faces")
    for name in ("find_lr", "train", "evaluate", "submit"):
        succeed(name, run)
    metrics = json.loads(Path(f"metrics/{run}/evaluate.json").read_text())["dev"]
    rows = list(csv.DictReader(Path(f"data/predictions/{run}/verification_dev.csv").read_text().splitlines()))
    right = [row["predicted"] == row["label"] for row in rows]
    assert sum(right) / 12 == pytest.approx(metrics["verification"]["accuracy"])
    assert {row["predicted"] for row in rows} <= {row["best"] for row in rows} | {"n000000"}
    assert metrics["verification"]["num_genuine"] + metrics["verification"]["num_impostor"] == 12 * 5
    for picture in ("misclassified", "augmented", "confused", "roc", "scores", "pairs", "curves"):
        assert Path(f"metrics/{run}/plots/{picture}.png").read_bytes().startswith(b"\x89PNG"), picture
    for kind, num in (("classification", 8), ("verification", 12)):
        lines = Path(f"data/submissions/{run}/{kind}.csv").read_text().splitlines()
        assert lines[0] == "id,label" and len(lines) == num + 1
    assert not list(Path().rglob("*.partial"))


FINAL = TINY | {
    "lr": 0.001,
    "tasks__faces__sample": {"identities": 3, "train": 5, "dev": 2, "test": 2, "known": 3, "unknown": 6},
    "tasks__speech__sample": {"train": 8, "dev": 3, "test": 3},
    "runs__resnet50__sample": {"model": {"width": 2}, "epochs": 1, "batch_size": 8, "loading": "workers"},
    "runs__bilstm__sample": {"model": {"hidden": 8, "num_layers": 1}, "epochs": 1, "batch_size": 4},
}


@pytest.mark.parametrize(("run", "task"), [("custom_resnet", "cifar10"), ("resnet50", "faces"), ("bilstm", "speech")])
def test_a_final_training_learns_from_dev_too_and_has_no_score_on_it(project: Project, run: str, task: str) -> None:
    project.set(**FINAL | {f"runs__{run}__train": {"final": True, "mean": 1}, f"runs__{run}__evaluate__weights": "mean"})
    succeed("download", task)
    succeed("normalize", task)
    for name in ("find_lr", "train"):
        succeed(name, run)
    assert "no dev" in succeed("evaluate", run)
    succeed("submit", run)
    assert {file.name for file in Path(f"models/{run}").iterdir()} == {"last.safetensors", "mean.safetensors", "summary.txt"}
    assert not list(Path(f"metrics/{run}/train").rglob("dev"))
    dev = json.loads(Path(f"metrics/{run}/evaluate.json").read_text())["dev"]
    headlines = json.loads(Path(f"metrics/{run}.json").read_text())
    if task == "faces":  # nothing learns from the images of verification
        assert dev.keys() == {"verification"} and headlines["dev"].keys() == {"verification"}
    else:
        assert (dev, headlines) == ({}, {})
    results = {results.name: results for results in collect(load_params())}[run]
    assert headline(results) == "no score, as dev was trained on"
    assert not Path(f"data/predictions/{run}/dev.csv").exists()
    assert len(list(Path(f"data/submissions/{run}").iterdir())) == (2 if task == "faces" else 1)

    # Every item of both splits, with its own label.
    settings, features, compute = load_params().run(run), Path(f"data/features/{task}"), Compute(torch.device("cpu"), "fp32")
    training = task_module(task, "training")
    train, dev_split = (training.eval_batches(features, split, settings, compute) for split in ("train", "dev"))
    expected = sorted([*labels(train), *labels(dev_split)])
    assert sorted(labels(training.train_batches(features, settings, compute, 1))) == expected
    assert len(expected) == len(train.names) + len(dev_split.names)


def labels(batches: Any) -> list[tuple[str, list[int]]]:
    """The name and the label of each item, or its transcript without the padding."""
    found = []
    for batch in batches.epoch(0):
        for place, index in enumerate(batch.indices.tolist()):
            label = batch.targets[place].flatten().tolist()
            end = batch.target_lengths[place] if hasattr(batch, "target_lengths") else 1
            found.append((batches.names[index], label[:end]))
    return found


def test_the_top_level_lr_overrides_every_run_and_is_a_number_however_it_is_written(project: Project) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(re.sub(r"^lr:.*$", "lr: 1e-3", text, count=1, flags=re.MULTILINE))
    for run in ("custom_resnet", "dilated_net"):
        assert "learning rate 0.001, from the top-level lr" in succeed("find_lr", run)
        assert json.loads(Path(f"metrics/{run}/lr.json").read_text()) == {"lr": 0.001, "source": "the top-level lr"}


def test_ctrl_c_saves_and_the_same_command_continues(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.set(**TINY | {"lr": 0.001})
    for name, argument in (("download", "cifar10"), ("normalize", "cifar10"), ("find_lr", "custom_resnet")):
        succeed(name, argument)
    steps = 0

    def step(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 6:
            signal.raise_signal(signal.SIGINT)
        return take_step(*arguments)

    monkeypatch.setattr(loop, "take_step", step)
    with pytest.raises(Interrupted, match=r"^`dvc repro` continues after step 2 of epoch 2 of 3$"):
        succeed("train", "custom_resnet")
    assert steps == 6, "the step is finished"
    said = succeed("train", "custom_resnet")
    assert "continuing after step 2 of epoch 2\n" in said and "epoch 3/3" in said and steps == 12


class Foreign:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch executed",)


def test_bad_data_is_one_sentence_and_leaves_nothing(project: Project, write_zip: Callable[..., Path]) -> None:
    members = {"data_batch_1": pickle.dumps({b"data": Foreign()}), "test_batch": cifar_batch(10, 1)}
    project.set(tasks__cifar10__source=str(write_zip("source/cifar.zip", members)))
    assert stage("download", "cifar10").returncode == 0
    result = stage("normalize", "cifar10")
    assert result.returncode == 1 and "cifar.zip: data_batch_1: holds the foreign class" in result.stderr
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1, result.stderr
    assert not Path("data/features/cifar10").exists()
    assert not list(Path().rglob("*.partial")) and not Path("executed").exists()
    project.set(tasks__cifar10__source=str(write_zip("empty.zip", {})))
    assert "empty.zip: the archive is empty" in fail("download", "cifar10")


def test_bad_parameters_are_one_sentence(project: Project) -> None:
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("label_smoothing", "label_smothing", 1))
    result = stage("download", "cifar10")
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert result.stderr.endswith("label_smothing: unknown key; did you mean 'label_smoothing'?\n"), result.stderr
    assert not Path("data/archives/cifar10").exists()


def test_an_unknown_run_or_task_is_named(project: Project) -> None:
    assert fail("submit", "custom_resnt").startswith("runs.custom_resnt: not in params.yaml; did you mean 'custom_resnet'?")
    assert fail("download", "cifar").startswith("tasks.cifar: not in params.yaml; did you mean 'cifar10'?")


def test_divergence_leaves_a_usable_checkpoint_and_finite_metrics(project: Project) -> None:
    project.set(**TINY | {"lr": 1e30})
    project.set(runs__custom_resnet__optimizer={"name": "sgd", "lr": 0.1, "weight_decay": 0.0})
    for name, argument in (("download", "cifar10"), ("normalize", "cifar10"), ("find_lr", "custom_resnet")):
        succeed(name, argument)
    told = fail("train", "custom_resnet")
    assert "the loss is not finite at step" in told and "try a smaller lr" in told
    weights = safetensors.torch.load_file("models/custom_resnet/last.safetensors")
    assert all(tensor.isfinite().all() for tensor in weights.values())
    assert "nan" not in "".join(path.read_text().lower() for path in Path("metrics").rglob("*.json"))
