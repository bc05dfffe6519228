"""The kinds of tasks, found by name: a folder here is a kind, and its files have the same names and functions in every one.

Each task of params.yaml names its `kind`; a kind may have several tasks, each with data of its own.

    <kind>/__init__.py      facts about the data that several stages need; torch-free
    <kind>/settings.py      Settings and Run, with a class for each block: the task's own keys of params.yaml; torch-free
    <kind>/public.py        PUBLIC: what the source `public` can download                              (stage download)
    <kind>/sample/          make(out, settings, seed): an archive in the competition's own layout      (stage download)
    <kind>/raw/             pack(archives, out, settings, seed): archives -> packed arrays, statistics (stage normalize)
    <kind>/training/        build_model, example, train_batches, eval_batches, forward, loss, score and SCORE,
                            train_metric and TRAIN_METRIC; and check_epoch(train_metric) where it can
                            say that an epoch was in vain                                              (find_lr, train)
    <kind>/evaluation/      evaluate(...): metrics, plots, predictions; HEADLINES: the metrics that    (stage evaluate)
                            `dvc metrics show` lists
    <kind>/ensemble.py      combine(...): the same of an ensemble's members together                   (stage ensemble)
    <kind>/folds.py         score(...), predict_test(...): of the networks of several folds; where Settings
                            has a fold                                                         (stages.folds)
    <kind>/prediction.py    read(...), predict(...), describe(...): of a user's own files, answers as dataclasses; and
                            compare(...) where there is something to compare             (stages.predict, stages.demo)
    <kind>/export.py        ABOUT, graph(model, stats): the trained network for ONNX and its card; and as_evaluated(...)
                            where evaluation adds to it                                                (stages.export)
    <kind>/submission.py    write(...), check(...): the competition's CSV, torch-free                  (stage submit)

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


def part(kind: str, name: str = "") -> ModuleType:
    """The module `name` of a kind of task, or its package face. Raises InputError for an unknown kind."""
    known = [folder.parent.name for folder in HERE.glob("*/__init__.py")]
    if kind not in known:
        raise InputError(f"{kind!r} is no kind of task; {nearest(kind, known)}")
    return import_module(f"{__name__}.{kind}.{name}".rstrip("."))


def load_params(path: Path = paths.PARAMS) -> Params:
    """params.yaml, checked against the classes of every task's kind."""
    return params.load(lambda kind: part(kind, "settings"), path)
