"""Optuna's record of a sweep, .sweeps/<run>.log, to which several processes and machines may write.

The process that runs a trial holds its lock. A running trial without a lock was lost with its process: it becomes a failed
trial without an error, and its values are queued again.
"""

import json
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from stages.core.errors import InputError
from stages.core.locks import Locked, locked
from stages.sweeping.space import Space

FOLDER = Path(".sweeps")
WAIT = 600.0  # seconds to wait for a lock that is held briefly
STARTUP_TRIALS = 4  # trials that must finish before any is stopped early

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
warnings.filterwarnings("ignore", module="optuna")  # about trials that all have the same score


@dataclass(frozen=True)
class Sweep:
    """A run's sweep. folder: for the files of running trials."""

    space: Space
    study: Any
    folder: Path

    @classmethod
    def open(cls, space: Space, basis: str, *, maximize: bool, epochs: int) -> "Sweep":
        """Start or continue the run's sweep. basis: a hash of what decides a score besides the parameters.

        After a quarter of `epochs`, a trial stops early if its best score so far is worse than the median of the others' at
        that epoch (Golovin et al. 2017, Google Vizier). Raises InputError if the sweep began with another space or basis.
        """
        folder, log = FOLDER / space.run, FOLDER / f"{space.run}.log"
        folder.mkdir(parents=True, exist_ok=True)
        current = {"space": json.dumps([vars(parameter) for parameter in space.parameters], default=str), "basis": basis}
        with locked(folder / "record.lock", WAIT):
            study = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(log))),
                study_name=space.run,
                direction="maximize" if maximize else "minimize",
                sampler=optuna.samplers.TPESampler(constant_liar=True),  # treats running trials as bad
                pruner=optuna.pruners.MedianPruner(STARTUP_TRIALS, n_warmup_steps=epochs // 4),
                load_if_exists=True,
            )
            recorded = study.user_attrs
            for key, words in (("space", f"the space of {space.run}"), ("basis", "the code, the data or another parameter")):
                if key not in recorded:
                    study.set_user_attr(key, current[key])
                elif recorded[key] != current[key]:
                    raise InputError(f"{log}: {words} has changed since this sweep began; move the file away to start again")
        return cls(space, study, folder)

    def name(self, number: int) -> str:
        """Return the name of a trial's experiment."""
        return f"{self.space.run}-sweep-{self.study.user_attrs['basis'][:4]}-{number}"

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials except interrupted ones, whose values are queued again."""
        states = {TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING}
        return [trial for trial in self.study.trials if trial.state in states or "error" in trial.user_attrs]

    @contextmanager
    def next_trial(self, max_trials: int) -> Iterator[optuna.Trial | None]:
        """Yield a trial for this process, locked within the block, or None if the sweep has `max_trials`."""
        with ExitStack() as stack:
            with locked(self.folder / "record.lock", WAIT):
                self._find_lost()
                trial = self.study.ask() if len(self.trials) < max_trials else None
                if trial:
                    lock = self._lock(trial.number)
                    stack.enter_context(locked(lock))
                    stack.callback(lock.unlink)
            yield trial

    def lose(self, trial: optuna.Trial | FrozenTrial) -> None:
        """Record a trial as interrupted. A later trial gets its values and continues its training."""
        known = self.study.trials[trial.number]
        self.study.tell(trial.number, state=TrialState.FAIL)
        if known.params:
            self.study.enqueue_trial(known.params, {"lost": [*known.user_attrs.get("lost", []), known.number]})

    def _find_lost(self) -> None:
        for trial in self.study.get_trials(states=(TrialState.RUNNING,)):
            try:
                with locked(lock := self._lock(trial.number)):
                    self.lose(trial)
                    lock.unlink()
            except Locked:
                continue

    def _lock(self, number: int) -> Path:
        return self.folder / f"{number}.lock"
