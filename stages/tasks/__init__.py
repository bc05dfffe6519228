"""The kinds of tasks. Each folder is a kind, found by its name, and all have the same files and functions.

Each task of params.yaml names its `kind`; a kind may have several tasks, each with its own data.

    <kind>/__init__.py      facts about the data that several stages need; torch-free
    <kind>/settings.py      Settings and Run, with a class for each block: the task's own keys of params.yaml; torch-free
    <kind>/statistics.py    Stats: what `normalize` writes to stats.json; torch-free
    <kind>/public.py        PUBLIC: what the source `public` can download                              (stage download)
    <kind>/sample/          make(out, settings, seed): an archive in the competition's own layout      (stage download)
    <kind>/raw/             pack(archives, out, settings, seed): archives -> packed arrays, statistics (stage normalize)
    <kind>/training/        build_model, example, train_batches, eval_batches, forward, loss, score and SCORE,
                            train_metric and TRAIN_METRIC; optionally check_epoch(train_metric), which
                            raises if an epoch learned nothing                                         (find_lr, train)
    <kind>/evaluation/      evaluate(...): metrics, plots, predictions; HEADLINES: the metrics that    (stage evaluate)
                            `dvc metrics show` lists
    <kind>/ensemble.py      combine(...): the same for an ensemble's members                           (stage ensemble)
    <kind>/folds.py         score(...), predict_test(...): for the networks of several folds; only
                            where Settings has a fold                                                  (stages.folds)
    <kind>/prediction.py    read(...), predict(...), describe(...): answers for a user's files, as dataclasses;
                            optionally compare(...)                                      (stages.predict, stages.demo)
    <kind>/export.py        ABOUT, graph(model, stats): the trained network for ONNX and its card; optionally
                            as_evaluated(...), with what evaluation adds                               (stages.export)
    <kind>/submission.py    write(...), check(...): the competition's CSV, torch-free                  (stage submit)

Each stage's code has its own file, so that DVC reruns only the stages that a change can affect.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from stages.config import params
from stages.config.check import nearest
from stages.config.schema import Params
from stages.core import paths
from stages.core.errors import InputError

ROOT = Path(__file__).parent


def task_module(kind: str, name: str = "") -> ModuleType:
    """Import the module `name` of a kind of task, or its package. Raises InputError for an unknown kind."""
    known = [file.parent.name for file in ROOT.glob("*/__init__.py")]
    if kind not in known:
        raise InputError(f"{kind!r} is not a kind of task; {nearest(kind, known)}")
    return import_module(f"{__name__}.{kind}.{name}".rstrip("."))


def load_params(path: Path = paths.PARAMS) -> Params:
    """Read params.yaml and check it against the settings of each task's kind. Raises InputError."""
    return params.load(lambda kind: task_module(kind, "settings"), path)
