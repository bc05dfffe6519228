"""The tasks, found by name: a folder here is a task, and its files have the same names and functions in every room.

    <task>/__init__.py      facts about the data that several stages need; torch-free
    <task>/settings.py      Settings and Run, with a class for each network and each block: the task's own keys of
                            params.yaml; torch-free
    <task>/public.py        PUBLIC: what the source `public` can download                              (stage download)
    <task>/sample/          make(out, settings, seed): an archive in the competition's own layout      (stage download)
    <task>/raw/             pack(archives, out, settings, seed): archives -> packed arrays, statistics (stage normalize)
    <task>/training/        build_model, example, train_batches, eval_batches, forward, loss, score and SCORE,
                            train_metric and TRAIN_METRIC; and check_epoch(train_metric) where it can
                            say that an epoch was in vain                                              (find_lr, train)
    <task>/evaluation/      evaluate(...): metrics, plots, predictions; HEADLINES: the metrics that    (stage evaluate)
                            `dvc metrics show` lists
    <task>/prediction.py    read(...), predict(...), describe(...): of a user's own files, answers as dataclasses; and
                            compare(...) where there is something to compare             (stages.predict, stages.demo)
    <task>/export.py        ABOUT, graph(model, stats): the trained network for ONNX and its card; and as_evaluated(...)
                            where evaluation adds to it                                                (stages.export)
    <task>/submission.py    write(...), check(...): the competition's CSV, torch-free                  (stage submit)
    <task>/models/<name>.py Model

What varies from stage to stage sits in its own file so that DVC re-runs only what a change can affect.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from stages.config import params
from stages.config.check import nearest
from stages.config.schema import Params
from stages.core import paths
from stages.core.errors import InputError

HERE = Path(__file__).parent


def part(task: str, name: str = "") -> ModuleType:
    """The module `name` of a task, or its package face. Raises InputError for an unknown task."""
    known = [folder.parent.name for folder in HERE.glob("*/__init__.py")]
    if task not in known:
        raise InputError(f"tasks.{task}: there is no such task; {nearest(task, known)}")
    return import_module(f"{__name__}.{task}.{name}".rstrip("."))


def load_params(path: Path = paths.PARAMS) -> Params:
    """params.yaml, checked against every task's own classes."""
    return params.load(lambda task: part(task, "settings"), path)
