"""The benchmark of a GPU, tried without one: every part measures at a tiny size, and nothing is claimed."""

import json
import runpy
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu import __main__ as bench
from benchmarks.gpu import cifar10, determinism, faces, speech
from benchmarks.gpu.sizes import SMALL, at_size, full_params
from stages.config.schema import Params
from stages.tasks import load_params
from tests.conftest import Project


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
def test_without_a_gpu_it_says_so_in_a_sentence(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", *arguments])
    with pytest.raises(SystemExit, match=r"^error: there is no CUDA device here; `--device cpu --small` tries"):
        runpy.run_path(bench.__file__, run_name="__main__")
