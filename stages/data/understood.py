"""What `normalize` has understood of a source, in a few lines; and the refusal of labels that leave nothing to learn."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stages.core.errors import InputError


@dataclass(frozen=True)
class Understood:
    """layout: its name. classes: of what, how many and which. items: of each split. submissions: the header of each file.

    verification: what there is to verify faces with, if the task does.
    """

    layout: str
    classes: str
    items: Mapping[str, int]
    submissions: Mapping[str, Sequence[str]]
    verification: str = ""

    def stats(self) -> dict[str, Any]:
        """As it stands in stats.json, below `understood`."""
        return asdict(self)


def lines(stats: Mapping[str, Any]) -> list[str]:
    """What the statistics say was understood, a line each."""
    found = Understood(**stats["understood"])
    items = ", ".join(f"{count:,} {split}" for split, count in found.items.items() if count)
    files = ", ".join(f"{name}.csv ({','.join(header)})" for name, header in found.submissions.items())
    facts = {
        "layout": found.layout,
        "classes": found.classes,
        "items": items,
        "verification": found.verification,
        "submission": files or "none, as there are no test items",
    }
    return [f"{key}: {fact}" for key, fact in facts.items() if fact]


def check_labels(source: Path, classes: Sequence[str], labels: Mapping[str, Counter[int]]) -> None:
    """Raises InputError for fewer than two classes, and for a split whose items all have one label.

    source: the archives' folder, for the message. labels: how many items of each labelled split have which label.
    """
    if len(classes) < 2:
        raise InputError(f"{source}: there is only one class, {''.join(classes)!r}, so there is nothing to tell apart")
    for split, counts in labels.items():
        if len(counts) == 1 and counts.total() > 1:
            [(label, num)] = counts.items()
            raise InputError(
                f"{source}: all {num:,} items of the {split} split are {classes[label]!r}; "
                "a score there would say nothing, so check the labels or the folders"
            )
