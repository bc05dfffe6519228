"""Bad items of a source: the first one stops the stage, unless the task's `on_bad` is `skip`."""

from dataclasses import dataclass, field

from stages.core.errors import InputError
from stages.data.statistics import LeftOut


@dataclass
class Rejected:
    """The items that were left out, and why. may_skip: `on_bad: skip`."""

    may_skip: bool
    items: list[LeftOut] = field(default_factory=list)

    def check(self, where: str, reason: str) -> None:
        """Raises InputError if bad items stop the stage."""
        if not self.may_skip:
            raise InputError(f"{where}: {reason}; `on_bad: skip` leaves such items out")

    def add(self, where: str, reason: str, *, is_needed: bool = False) -> None:
        """Record a bad item. Raises InputError if bad items stop the stage, or a submission has a row for this one."""
        if is_needed:
            raise InputError(f"{where}: {reason}; a submission has a row for it, so it cannot be left out")
        self.check(where, reason)
        self.items.append(LeftOut(where, reason))
