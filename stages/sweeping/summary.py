"""The results of a sweep: a table for the terminal, and a plot."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import optuna
from matplotlib.figure import Figure
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

from stages.config.schema import readable
from stages.core import paths
from stages.core.columns import columns
from stages.reporting.experiments.charts import Axis
from stages.results import plots

WORDS = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}
WIDTH = 80
BLUE, RED, GREY = "#3f90da", "#bd1f01", "#94a4a2"


def table(trials: Sequence[FrozenTrial], score: str) -> str:
    """Return a row for each trial, at most 80 characters wide, then the errors of failed ones. score: its name."""
    names = _names(trials)
    rows = [["trial", "", "epochs", score, *names.values()]]
    for trial in trials:
        value, epoch = _score(trial), max(trial.intermediate_values, default="")
        shown = [readable(trial.params[path]) if path in trial.params else "" for path in names]
        rows.append([str(trial.number), WORDS[trial.state], str(epoch), "" if value is None else f"{value:.4f}", *shown])
    errors = [f"trial {trial.number}: {trial.user_attrs['error']}" for trial in trials if "error" in trial.user_attrs]
    return "\n".join(
        line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in [*columns(rows).splitlines(), *errors]
    )


def draw(study: optuna.Study, run: str, score: str) -> None:
    """Draw metrics/<run>/sweep.png: scores, parameter importance and parallel coordinates.

    Importance is by PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255). Trials that stopped early have their last score.
    """
    trials = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    shown = [trial for trial in trials if _score(trial) is not None]
    figure = Figure(figsize=(11, 9), layout="constrained")
    figure.suptitle(f"{run}: sweep")
    axes: dict[str, Any] = figure.subplot_mosaic([["history", "importance"], ["parallel", "parallel"]])
    _history(axes["history"], study, shown, score)
    _importance(axes["importance"], study, shown)
    _parallel(axes["parallel"], shown, score)
    plots.save(figure, paths.sweep_plot(run))


def _names(trials: Sequence[FrozenTrial]) -> dict[str, str]:
    """Return short names of the parameters by path: the last word, or the last two if the last is not unique."""
    found = list(dict.fromkeys(path for trial in trials for path in trial.params))
    last = [path.rpartition(".")[2] for path in found]
    return {
        path: name if last.count(name) == 1 else ".".join(path.split(".")[-2:])
        for path, name in zip(found, last, strict=True)
    }


def _score(trial: FrozenTrial) -> float | None:
    """Return a finished trial's score, or the last epoch's of another one."""
    if trial.state == TrialState.COMPLETE or not trial.intermediate_values:
        return trial.value if trial.state == TrialState.COMPLETE else None
    return float(trial.intermediate_values[max(trial.intermediate_values)])


def _history(axes: Any, study: optuna.Study, trials: Sequence[FrozenTrial], score: str) -> None:
    for state, mark, colour in ((TrialState.COMPLETE, "o", BLUE), (TrialState.PRUNED, "x", RED)):
        of_state = [trial for trial in trials if trial.state == state]
        numbers, values = [trial.number for trial in of_state], [_score(trial) for trial in of_state]
        axes.scatter(numbers, values, marker=mark, color=colour, label=WORDS[state])
        if state == TrialState.COMPLETE:
            best = np.maximum if study.direction == optuna.study.StudyDirection.MAXIMIZE else np.minimum
            axes.step(numbers, best.accumulate(np.array(values, float)), where="post", color=GREY, label="best so far")
    axes.set(xlabel="trial", ylabel=f"dev {score}")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()


def _importance(axes: Any, study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
    axes.set(xlabel="share of importance", xlim=(0, 1))
    if sum(trial.state == TrialState.COMPLETE for trial in trials) < 2:
        axes.text(0.5, 0.5, "needs two finished trials", ha="center")
        return
    found = optuna.importance.get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    names = _names(trials)
    axes.barh([names[path] for path in found], list(found.values()), color=BLUE)
    axes.invert_yaxis()


def _parallel(axes: Any, trials: Sequence[FrozenTrial], score: str) -> None:
    scales = {
        name: Axis(name, {str(trial.number): trial.params[path] for trial in trials})
        for path, name in _names(trials).items()
    }
    scales[f"dev {score}"] = Axis(score, {str(trial.number): float(_score(trial) or 0) for trial in trials})
    finished = Axis(score, {str(trial.number): trial.value for trial in trials if trial.state == TrialState.COMPLETE})
    for trial in trials:
        number = str(trial.number)
        heights = [scale.place(scale.values[number]) for scale in scales.values()]
        if trial.state == TrialState.PRUNED:
            axes.plot(heights, "x:", color=GREY, zorder=1)
        else:
            axes.plot(heights, "o-", color=matplotlib.colormaps["viridis"](finished.place(finished.values[number])))
    for x, scale in enumerate(scales.values()):
        for tick in scale.ticks():
            height = scale.place(tick)
            axes.text(x + 0.02, height, readable(tick), va="bottom" if height < 0.5 else "top", fontsize=9)
    axes.set_xticks(range(len(scales)), list(scales))
    axes.set_yticks([])
    axes.set_title("coloured by the score; dotted: stopped early", fontsize=11)
