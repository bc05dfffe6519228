"""Optuna's record of a sweep, .sweeps/<run>.log: a file that several processes and machines may add to.

A trial that runs is locked by the process that carries it out. One that runs and is not locked was lost with its process: it
becomes a failed trial without an error, and its values wait to be tried again.
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
WAIT = 600.0  # seconds for a lock that is held for a moment
STARTUP_TRIALS = 4  # that end before any is stopped early

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
warnings.filterwarnings("ignore", module="optuna")  # of trials that all have one score


@dataclass(frozen=True)
class Sweep:
    """folder: of what the trials that run have."""

    space: Space
    study: Any
    folder: Path

    @classmethod
    def open(cls, space: Space, basis: str, *, maximize: bool, epochs: int) -> "Sweep":
        """The run's sweep, begun or gone on with. basis: a hash of all that decides a score beside the parameters.

        A trial stops early where its best score so far is worse than the median of the others' at this epoch (Golovin et al.
        2017, Google Vizier), after a quarter of `epochs`. Raises InputError if it was begun with another space or basis.
        """
        folder, log = FOLDER / space.run, FOLDER / f"{space.run}.log"
        folder.mkdir(parents=True, exist_ok=True)
        about = {"space": json.dumps([vars(parameter) for parameter in space.parameters], default=str), "basis": basis}
        with locked(folder / "record.lock", WAIT):
            study = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(log))),
                study_name=space.run,
                direction="maximize" if maximize else "minimize",
                sampler=optuna.samplers.TPESampler(constant_liar=True),  # takes what still runs for bad
                pruner=optuna.pruners.MedianPruner(STARTUP_TRIALS, n_warmup_steps=epochs // 4),
                load_if_exists=True,
            )
            begun = study.user_attrs
            for key, words in (("space", f"the space of {space.run}"), ("basis", "the code, the data or another parameter")):
                if key not in begun:
                    study.set_user_attr(key, about[key])
                elif begun[key] != about[key]:
                    raise InputError(f"{log}: {words} has changed since this sweep began; move the file away to begin anew")
        return cls(space, study, folder)

    def name(self, number: int) -> str:
        """Of a trial's experiment."""
        return f"{self.space.run}-sweep-{self.study.user_attrs['basis'][:4]}-{number}"

    @property
    def trials(self) -> list[FrozenTrial]:
        """All but those that were interrupted, which are tried again."""
        states = {TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING}
        return [trial for trial in self.study.trials if trial.state in states or "error" in trial.user_attrs]

    @contextmanager
    def taken(self, most: int) -> Iterator[optuna.Trial | None]:
        """A trial for this process to carry out, locked within the block; None where the sweep has `most` of them."""
        with ExitStack() as held:
            with locked(self.folder / "record.lock", WAIT):
                self._find_lost()
                trial = self.study.ask() if len(self.trials) < most else None
                if trial:
                    lock = self._lock(trial.number)
                    held.enter_context(locked(lock))
                    held.callback(lock.unlink)
            yield trial

    def lose(self, trial: optuna.Trial | FrozenTrial) -> None:
        """Record a trial as interrupted. A later one takes its values, and continues its training."""
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
