"""Every kind of task holds the same files with the same functions; every run's model can be built and fed."""

import dataclasses
import inspect
from importlib import import_module
from typing import Any, get_args, get_type_hints

import pytest
import torch

from benchmarks.features import PICTURES, SPEECH
from stages.compute.device import Compute
from stages.config.schema import Run, TaskSettings
from stages.data.statistics import Stats
from stages.tasks import load_params, task_module
from stages.training.protocol import Score
from tests.conftest import ROOT

KINDS = [folder.parent.name for folder in sorted((ROOT / "stages/tasks").glob("*/__init__.py"))]
FUNCTIONS = {
    "sample": {"make": ["out", "settings", "seed"]},
    "raw": {"pack": ["archives", "out", "settings", "seed"]},
    "training": {
        "build_model": ["run", "stats"],
        "example": ["stats"],
        "train_batches": ["features", "run", "compute", "seed"],
        "eval_batches": ["features", "split", "run", "compute"],
        "forward": ["model", "batch"],
        "loss": ["output", "batch", "settings"],
        "score": ["output", "batch"],
        "train_metric": ["output", "batch"],
    },
    "export": {"graph": ["model", "stats"]},
    "evaluation": {
        "evaluate": ["model", "name", "run", "features", "compute", "seed", "plots_to", "predictions_to"],
    },
    "ensemble": {"combine": ["name", "members", "features", "ensemble", "plots_to", "predictions_to"]},
    "prediction": {
        "read": ["content", "stats"],
        "predict": ["model", "inputs", "run", "stats", "compute"],
        "describe": ["answer"],
    },
    "submission": {"write": ["predictions", "features", "out"], "check": ["file", "features", "predictions"]},
}
# Of a kind whose tasks may have folds.
FOLDS = {"score": ["predictions"], "predict_test": ["members", "features", "run", "predictions_to"]}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_every_function(kind: str) -> None:
    for name, functions in FUNCTIONS.items():
        for function, arguments in functions.items():
            found = getattr(task_module(kind, name), function)
            assert list(inspect.signature(found).parameters) == arguments, f"{kind}.{name}.{function}"
            assert found.__doc__, f"{kind}.{name}.{function} has no docstring"
    settings = task_module(kind, "settings")
    if "fold" in {field.name for field in dataclasses.fields(settings.Settings)}:
        for function, arguments in FOLDS.items():
            found = getattr(task_module(kind, "folds"), function)
            assert list(inspect.signature(found).parameters) == arguments and found.__doc__, f"{kind}.folds.{function}"
    assert issubclass(settings.Settings, TaskSettings)
    assert all(
        url.startswith("https://") and ":" in checksum for url, checksum in task_module(kind, "public").PUBLIC.values()
    )
    assert issubclass(settings.Run, Run)
    assert isinstance(task_module(kind, "training").SCORE, Score)
    assert issubclass(task_module(kind, "statistics").Stats, Stats)


@pytest.mark.parametrize("kind", KINDS)
def test_every_network_of_its_inputs_is_a_kinds_to_choose(kind: str) -> None:
    settings = task_module(kind, "settings")
    [inputs] = get_args(get_type_hints(settings.Settings)["inputs"])
    assert get_type_hints(settings.Run)["model"] == import_module(f"stages.{inputs}.settings").Model


@pytest.mark.parametrize("inputs", ["images", "sequences"])
def test_the_keys_of_a_model_are_the_arguments_of_its_constructor(inputs: str) -> None:
    blocks = get_args(import_module(f"stages.{inputs}.settings").Model)
    named = {get_args(get_type_hints(block)["name"])[0]: block for block in blocks}
    assert named.keys() == {file.stem for file in (ROOT / "stages" / inputs / "models").glob("[!_]*.py")}
    for name, block in named.items():
        model = import_module(f"stages.{inputs}.models.{name}").Model
        parameters = inspect.signature(model).parameters.values()
        arguments = {parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
        assert {field.name for field in dataclasses.fields(block)} == {"name"} | arguments, name


@pytest.mark.parametrize("name", load_params(ROOT / "params.yaml").runs)
def test_a_runs_model_takes_its_example(name: str) -> None:
    run = load_params(ROOT / "params.yaml").run(name)
    task = task_module(run.kind, "training")
    stats: Any = SPEECH
    if run.inputs == "images":
        stats = dataclasses.replace(PICTURES, side=getattr(task_module(run.kind), "SIDE", 64))
    model: Any = Compute(torch.device("cpu"), "fp32").to_device(task.build_model(run, stats)).eval()
    output = model(*task.example(stats))
    if run.inputs == "images":
        assert torch.equal(output, model.head(model.embed(*task.example(stats))))
    assert (output if isinstance(output, torch.Tensor) else output[0]).isfinite().all()
    assert model.__doc__ and "parameters" in model.__doc__
