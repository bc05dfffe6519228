"""A training that begins with the weights of another: what is taken, what is drawn anew, what is refused."""

import hashlib
import json
import shutil
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.features import PICTURES, SPEECH
from stages import download, find_lr, normalize, train
from stages.config.schema import Run, StartFrom
from stages.core import paths
from stages.core.errors import InputError
from stages.data import checkpoint
from stages.tasks import load_params, task_module
from stages.tasks.faces.settings import ArcFace
from stages.training.warm_start import warm_start
from tests.conftest import ROOT, Project

RUNS = load_params(ROOT / "params.yaml").runs
IMAGES = [name for name, run in RUNS.items() if run.inputs == "images"]


def of(name: str) -> Any:
    """Statistics of a run's data, three classes or 13 features."""
    if RUNS[name].inputs == "sequences":
        return replace(SPEECH, num_features=13)
    return replace(PICTURES, classes=["a", "b", "c"], side=64)


def network(name: str, stats: Any = None, run: Run | None = None, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model: nn.Module = task_module(RUNS[name].kind, "training").build_model(run or RUNS[name], stats or of(name))
    return model


def digest(file: str) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def saved(model: nn.Module, name: str, stats: Any = None) -> StartFrom:
    """The weights in a file as `train` writes it."""
    about: dict[str, Any] = {"run": {"model": {"name": RUNS[name].model.name}}, "lr": 0.1, "seed": 1, "data": ""}
    about |= {"made_up": True, "history": [], "epoch": 7, "stats": asdict(stats or of(name))}
    checkpoint.save(Path("w.safetensors"), about | {"weights": model.state_dict()})
    return StartFrom("w.safetensors", digest("w.safetensors"))


def started(name: str, start: StartFrom, stats: Any = None, run: Run | None = None) -> nn.Module:
    run = run or RUNS[name]
    run = replace(run, train=replace(run.train, start_from=start))
    model = network(name, stats, run, seed=1)
    warm_start(model, name, run, stats or of(name))
    return model


@pytest.mark.parametrize("name", RUNS)
def test_every_network_takes_all_of_its_own_weights(name: str, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    old = network(name)
    new = started(name, saved(old, name))
    assert checkpoint.weights_hash(new.state_dict()) == checkpoint.weights_hash(old.state_dict())
    assert capsys.readouterr().out == "starting from w.safetensors, of epoch 7\n"


@pytest.mark.parametrize(
    ("name", "names"), [*((name, ["a", "b", "c", "d"]) for name in IMAGES), ("custom_resnet", ["x", "y", "z"])]
)
def test_a_head_for_other_classes_is_drawn_anew_and_the_rest_is_taken(
    name: str, names: list[str], project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    old, stats = network(name), replace(of(name), classes=names)
    new, fresh = started(name, saved(old, name), stats).state_dict(), network(name, stats, seed=1).state_dict()
    for tensor, weights in new.items():
        assert torch.equal(weights, (fresh if tensor.startswith("head.") else old.state_dict())[tensor]), tensor
    told = capsys.readouterr().out
    assert "head is drawn anew (" in told
    assert ("head.bias: (3,) in the file, (4,) in the network" if len(names) == 4 else "other names") in told


def test_the_head_of_arcface_is_drawn_anew(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    old, run = network("resnet50"), RUNS["resnet50"]
    new = started("resnet50", saved(old, "resnet50"), run=replace(run, loss=replace(run.loss, arcface=ArcFace())))
    assert torch.equal(new.state_dict()["stem.0.weight"], old.state_dict()["stem.0.weight"])
    assert capsys.readouterr().out.endswith("head is drawn anew (head.bias: not in the network)\n")


def changed(name: str, **arguments: Any) -> Run:
    return replace(RUNS[name], model=replace(RUNS[name].model, **arguments))


@pytest.mark.parametrize(
    ("name", "run", "message"),
    [
        ("resnet50", changed("resnet50", width=8), r"stem\.0\.weight \(\(16, 3, 7, 7\) in the file, \(8, 3, 7, 7\)"),
        ("resnet50", changed("resnet50", depths=(1, 1, 1, 2)), r"stage4\.1\.conv1\.bias \(not in the file\), .* more$"),
        ("convnext", changed("convnext", depths=(1, 1, 1, 1)), r"stage3\.\w+\.\S+ \(not in the network\), "),
        ("bilstm", changed("bilstm", hidden=8), r"does not fit runs\.bilstm\.model: "),
        ("custom_resnet", changed("dilated_net"), "has the weights of custom_resnet, and the run trains dilated_net"),
    ],
)
def test_layers_that_do_not_fit_are_named(name: str, run: Run, message: str, project: Project) -> None:
    with pytest.raises(InputError, match=rf"^runs\.{name}\.train\.start_from\.file: w\.safetensors .*{message}"):
        started(name, saved(network(name), name), run=run)


def test_another_number_of_features_is_named(project: Project) -> None:
    start = saved(network("pblstm"), "pblstm")
    with pytest.raises(InputError, match=r"\(256, 13, \d\) in the file, \(256, 15, \d\) in the network"):
        started("pblstm", start, replace(SPEECH, num_features=15))


def test_a_file_that_is_gone_changed_or_foreign_is_refused(project: Project) -> None:
    start = saved(network("dilated_net"), "dilated_net")
    with pytest.raises(InputError, match=r"start_from\.file: gone: no such file; `dvc checkout`"):
        started("dilated_net", replace(start, file="gone"))
    with pytest.raises(InputError, match=rf"start_from\.sha256: the SHA-256 of \S+ is {start.sha256}; write that"):
        started("dilated_net", replace(start, sha256="0" * 64))
    own = f"{paths.model('dilated_net')}/best.safetensors"
    with pytest.raises(InputError, match=r"best\.safetensors lies in the run's own folder, which DVC empties first"):
        started("dilated_net", replace(start, file=own))
    Path("foreign").write_text("?")
    with pytest.raises(InputError, match="foreign: damaged or foreign"):
        started("dilated_net", StartFrom("foreign", digest("foreign")))


def test_a_training_and_its_range_test_begin_with_the_weights(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """Of nearly no rate, so that the network stays what it was, but for batch norm's statistics; and it never runs away."""
    run = "custom_resnet"
    project.set(
        precision="fp32",
        tasks__cifar10__sample={"train": 60, "test": 5},
        runs__custom_resnet__sample={"model": {"width": 2}, "epochs": 2, "batch_size": 30},
        runs__custom_resnet__optimizer={"name": "adam", "lr": 0.01},
    )
    download.main("cifar10")
    normalize.main("cifar10")
    find_lr.main(run)
    train.main(run)
    shutil.copytree(paths.model(run), "kept")
    first = checkpoint.load_trained(Path("kept/last.safetensors"))
    start = {"file": "kept/last.safetensors", "sha256": digest("kept/last.safetensors")}
    project.set(runs__custom_resnet__train={"start_from": start}, range_test={"steps": 5, "start": 1e-5, "end": 1.0})
    project.set(runs__custom_resnet__optimizer__lr="find")
    capsys.readouterr()
    with suppress(InputError):  # so small a network gives it too little to go by
        find_lr.main(run)
    paths.lr(run).write_text(json.dumps({"lr": 1e-12}))
    train.main(run)
    assert capsys.readouterr().out.count("starting from kept/last.safetensors, of epoch 2\n") == 2
    second = checkpoint.load_trained(paths.weights(run, "last"))
    assert second.run["train"]["start_from"] == start and len(second.history) == 2
    for name, weights in first.weights.items():
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            torch.testing.assert_close(second.weights[name], weights, rtol=0, atol=1e-6)
