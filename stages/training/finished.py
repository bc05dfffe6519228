"""What is kept of a run's last training that ended, so that one of more epochs continues it: the bits are those of one go.

`.resume/<run>/finished.json` has the number of epochs and all else that decides the result, by name.
`.resume/<run>/finished/` has the state, unless the schedule depends on the number of epochs. The next training of the run
that ends replaces both.
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
    """folder: of the state. basis: all that decides the result but the number of epochs, by the names that users know."""

    folder: Path
    run: Run
    basis: dict[str, Any]
    machine: str  # as of Resume

    def __post_init__(self) -> None:
        self._record = self.folder.with_suffix(".json")
        self.basis = json.loads(json.dumps(self.basis, default=str))  # as the record gives it back

    def keep(self, state: TrainState) -> None:
        """Put a training that has just ended in the place of the one before."""
        record = {"epochs": self.run.epochs, "trained": len(state.history), "basis": self.basis}
        with resuming(self.folder, machine=self.machine) as kept:
            kept.discard()
            with paths.replacing(self._record) as partial:
                partial.write_text(json.dumps(record, indent=2) + "\n")
            if not schedules.depends_on_epochs(self.run.schedule):
                # `mean` is of the last epochs, and those will be others.
                saved = {name: value for name, value in state.state_dict().items() if name != "mean"}
                saved["averages"] = {name: value for name, value in state.averages.items() if name != "mean"}
                kept.save({"of": record, "state": saved})

    def load(self) -> dict[str, Any] | None:
        """The state to continue from; None if there is none for this training.

        Where the number of epochs differs from that of the last training, a sentence says why it cannot be continued.
        With the same number there is nothing to add: `dvc repro -f` trains anew.
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
            return f"it went beyond {self.run.epochs}"
        if mean is not None and trained > self.run.epochs - mean:
            return f"train.mean takes the weights after each of the last {mean} epochs, and only new ones can be taken"
        if not (self.folder / STATE).is_file():
            return "its state was removed"
        return None
