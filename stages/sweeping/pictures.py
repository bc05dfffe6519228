"""What a sweep has found: a table for the terminal, and Optuna's pictures in metrics/<run>/sweep/."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import matplotlib as pictures

from stages.config.schema import readable
from stages.core import paths
from stages.core.columns import columns
from stages.results import plots

WORDS = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "runs",
}
WIDTH = 80


def table(trials: Sequence[FrozenTrial], score: str) -> str:
    """A row for each trial, at most 80 characters wide; a failed one has its error below. score: its name."""
    names = list(dict.fromkeys(path for trial in trials for path in trial.params))
    rows = [["trial", "", "epochs", score, *(name.rpartition(".")[2] for name in names)]]
    for trial in trials:
        epoch, value = max(trial.intermediate_values.items(), default=(0, None))
        value = trial.value if trial.state == TrialState.COMPLETE else value
        shown = ["" if value is None else f"{value:.4f}"]
        shown += [readable(trial.params[name]) if name in trial.params else "" for name in names]
        rows.append([str(trial.number), WORDS[trial.state], str(epoch or ""), *shown])
    errors = [f"trial {trial.number}: {trial.user_attrs['error']}" for trial in trials if "error" in trial.user_attrs]
    return "\n".join(_cut(line) for line in [*columns(rows).splitlines(), *errors])


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def draw(study: optuna.Study, run: str, score: str) -> list[Path]:
    """The pictures that there are enough finished trials for: the history, with the stopped ones, and, of two and more,
    each parameter's importance (PED-ANOVA: Watanabe et al. 2023, arXiv:2304.10255) and parallel coordinates."""
    matplotlib.use("Agg")
    finished = study.get_trials(states=(TrialState.COMPLETE,))
    if not finished:
        return []
    history = pictures.plot_optimization_history(study, target_name=score)
    stopped = [trial for trial in study.get_trials(states=(TrialState.PRUNED,)) if trial.intermediate_values]
    last = [trial.intermediate_values[max(trial.intermediate_values)] for trial in stopped]
    history.scatter([trial.number for trial in stopped], last, marker="x", color="#bd1f01", label="stopped early")
    history.legend()
    drawn = {"history": history}
    if len(finished) > 1:
        drawn["importance"] = pictures.plot_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        drawn["parallel"] = pictures.plot_parallel_coordinate(study, target_name=score)
    files = [paths.sweep(run) / f"{name}.png" for name in drawn]
    for file, axes in zip(files, drawn.values(), strict=True):
        axes.figure.suptitle(f"{run}: sweep")
        plots.save(axes.figure, file)
    return files
