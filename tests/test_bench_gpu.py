"""The benchmark of a GPU, tried without one: every part measures at a tiny size, and nothing is claimed."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import features
from benchmarks.gpu import __main__ as bench
from benchmarks.gpu import cifar10, determinism, faces, speech, steps
from benchmarks.gpu.sizes import FULL, SMALL, at_size, full_params
from stages.config.schema import Params
from stages.sequences.models import pblstm
from stages.tasks import load_params
from stages.tasks.speech import training
from stages.tasks.speech.settings import Loss
from tests.conftest import ROOT, Project


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before, threads = torch.get_deterministic_debug_mode(), torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_deterministic_debug_mode(before)
    torch.set_num_threads(threads)


@pytest.fixture
def params(project: Project) -> Params:
    project.set(precision="fp32")
    return full_params()


def test_the_hyperparameters_are_those_of_the_real_data(project: Project) -> None:
    project.set(epochs=3, lr=0.5, tasks__cifar10__source="sample")
    run, small = full_params().run("custom_resnet"), load_params().run("custom_resnet")
    assert (run.model.width, run.epochs, run.batch_size) == (64, 24, 512)
    assert small.model.width < 64 and small.epochs == 3
    changed = at_size(full_params(), "custom_resnet", epochs=2, model={"width": 2}).run("custom_resnet")
    assert (changed.epochs, changed.model) == (2, replace(run.model, width=2))


def test_cifar10_trains_for_every_seed_and_way_and_claims_no_accuracy_of_made_up_images(params: Params) -> None:
    found = cifar10.measure(params, "cpu", SMALL)
    ways = [(row["deterministic"], row["compile"], row["seed"] - params.seed) for row in found["trainings"]]
    assert ways == [(True, False, 0), (True, False, 1), (False, False, 0)]
    assert all(len(row["epoch_seconds"]) == SMALL.cifar_epochs and "accuracy" not in row for row in found["trainings"])
    assert found["floor, seconds"] > 0
    assert "random pixels" in cifar10.lines(found)[0]


def test_the_operations_of_a_step_are_three_times_those_that_the_network_says_of_itself(params: Params) -> None:
    """379.27 M multiply-adds, in the network's docstring, are two operations each."""
    assert cifar10._flops(params) == pytest.approx(3 * 2 * 379.27e6, rel=1e-4)


def test_faces_come_from_three_sources(params: Params) -> None:
    found = faces.measure(params, "cpu", SMALL)
    [row] = found["batches"]
    assert all(row[kind] > 0 for kind in ("synthetic", "device", "workers"))
    assert row["device to synthetic"] == row["device"] / row["synthetic"]
    assert "batch 8:" in faces.lines(found)[1]


@pytest.mark.slow
def test_speech_is_measured_in_four_ways(params: Params) -> None:
    found = speech.measure(params, "cpu", SMALL)
    ways = [value for value in found.values() if isinstance(value, dict)]
    assert len(ways) == 4 and all(way["seconds an epoch, extrapolated"] > 0 for way in ways)
    assert len(speech.lines(found)) == 5


def test_packed_two_way_lstms_in_the_place_of_ours_give_the_same_losses(params: Params, tmp_path: Path) -> None:
    changed = at_size(params, "pblstm", batch_size=3, model={"hidden": 4, "decoder": 8})
    data, _ = features.speech(tmp_path / "speech", 6)
    compute = steps.choose("cpu", changed, deterministic=True)
    ours = steps.Trainer(changed, "pblstm", compute, data)
    packed = steps.Trainer(changed, "pblstm", compute, data, speech.use_cudnn(is_packed=True))
    one, other = ours.network.eval(), packed.network.eval()
    assert isinstance(one, pblstm.Model) and isinstance(other, pblstm.Model)
    other.load_state_dict({key: value for key, value in one.state_dict().items() if ".lstm." not in key}, strict=False)
    for mine, theirs in ((one.pyramid1, other.pyramid1), (one.pyramid2, other.pyramid2)):
        layers = [(ahead, back) for ahead, back in zip(mine.lstm.forwards, mine.lstm.backwards, strict=True)]
        values = [value for layer in layers for one_way in layer for value in one_way.state_dict().values()]
        theirs.lstm.load_state_dict(dict(zip(theirs.lstm.state_dict(), values, strict=True)))
    batch = next(ours.endless())
    with torch.no_grad():
        losses = [training.loss(training.forward(network, batch), batch, Loss()) for network in (one, other)]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_determinism_is_measured_for_a_run_of_each_task(params: Params) -> None:
    found = determinism.measure(params, "cpu", replace(SMALL, steps=5))
    assert {params.run(run).task for run in found} == params.tasks.keys()
    assert all(row["ratio"] > 0 for row in found.values())
    assert len(determinism.lines(found)) == 4


def test_a_part_that_fails_is_told_and_the_others_are_written(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Part:
        @staticmethod
        def measure(*_: object) -> dict[str, Any]:
            return {"number": 1.5}

        @staticmethod
        def lines(found: dict[str, Any]) -> list[str]:
            return [f"it is {found['number']}"]

    class Failing(Part):
        @staticmethod
        def measure(*_: object) -> dict[str, Any]:
            raise RuntimeError("no such kernel")

    monkeypatch.setattr(bench, "PARTS", {"one": Failing, "other": Part})
    assert not bench.main("cpu", SMALL, tmp_path)
    [file] = tmp_path.glob("*.json")
    record = json.loads(file.read_text())
    assert record["one"]["error"] == "RuntimeError: no such kernel" and record["other"]["number"] == 1.5
    assert record["machine"]["device"] == "cpu" and "it is 1.5" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("arguments", [[], ["--device", "cpu"]], ids=" ".join)
def test_without_a_gpu_it_says_so_in_a_sentence(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == "error: there is no CUDA device here; `--device cpu --small` tries the benchmark without one\n"


def test_the_real_sizes_are_those_of_the_claims() -> None:
    assert (FULL.cifar_images, FULL.cifar_seeds, FULL.faces_side, FULL.faces_classes) == (50_000, 5, 224, 7000)
    assert FULL.compiles and 128 in FULL.faces_batches
