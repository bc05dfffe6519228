"""The final state of a run's last finished training, so that more epochs continue it, with the same bits as in one go.

`.resume/<run>/finished.json` has the number of epochs and everything else that decides the result, by name.
`.resume/<run>/finished/` has the state, unless the schedule depends on the number of epochs. The next training that finishes
replaces both.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.config.schema import Run
from stages.core import paths
from stages.training import schedules
from stages.training.resume import STATE, resuming
from stages.training.state import TrainState


@dataclass
class Finished:
    """folder: of the state. basis: everything that decides the result except the number of epochs, by its user's name."""

    folder: Path
    run: Run
    basis: dict[str, Any]
    machine: str  # see Resume

    def __post_init__(self) -> None:
        self._record = self.folder.with_suffix(".json")
        self.basis = json.loads(json.dumps(self.basis, default=str))  # comparable with the record

    def keep(self, state: TrainState) -> None:
        """Save the state of a training that has just ended in place of the last one."""
        record = {"epochs": self.run.epochs, "trained": len(state.history), "basis": self.basis}
        with resuming(self.folder, machine=self.machine) as kept:
            kept.discard()
            with paths.replacing(self._record) as partial:
                partial.write_text(json.dumps(record, indent=2) + "\n")
            if not schedules.depends_on_epochs(self.run.schedule):
                # Without `mean`: the last epochs will be others.
                saved = {name: value for name, value in state.state_dict().items() if name != "mean"}
                saved["averages"] = {name: value for name, value in state.averages.items() if name != "mean"}
                kept.save({"of": record, "state": saved})

    def load(self) -> dict[str, Any] | None:
        """Return the state to continue from, or None. If the number of epochs changed, print why it cannot be continued.

        With the same number of epochs the result is None: `dvc repro -f` trains from the beginning.
        """
        with resuming(self.folder, machine=self.machine) as kept:
            try:
                record = json.loads(self._record.read_text())
            except (FileNotFoundError, ValueError):
                return None
            if record["epochs"] == self.run.epochs:
                return None
            if why := self._why_not(record):
                after = f"not after epoch {record['trained']} of the last training"
                print(f"training starts from the beginning, {after}: {why}", flush=True)
                return None
            found = kept.load()
            return found["state"] if found and found["of"] == record else None

    def _why_not(self, record: dict[str, Any]) -> str | None:
        trained, mean, before = record["trained"], self.run.train.mean, record["basis"]
        if schedules.depends_on_epochs(self.run.schedule):
            return f"the schedule {self.run.schedule.name} depends on the number of epochs"
        changed = sorted(key for key in self.basis.keys() | before.keys() if self.basis.get(key) != before.get(key))
        if changed:
            return f"{', '.join(changed[:3])}{' and others' if len(changed) > 3 else ''} changed since"
        if trained > self.run.epochs:
            return f"it has more epochs than {self.run.epochs}"
        if mean is not None and trained > self.run.epochs - mean:
            return f"train.mean averages the weights after each of the last {mean} epochs, which were not saved"
        if not (self.folder / STATE).is_file():
            return "its state is missing"
        return None
