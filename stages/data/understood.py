"""The lines about a source as `normalize` understood it, and the refusal of labels from which nothing can be learned."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from stages.core.errors import InputError
from stages.data.statistics import Understood


def lines(found: Understood) -> list[str]:
    """Return a line for each fact."""
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
    """Raises InputError if there are fewer than two classes, or if all items of a split have one label.

    source: the archives' folder, for the message. labels: the number of items per label, for each labelled split.
    """
    if len(classes) < 2:
        raise InputError(f"{source}: there is only one class, {''.join(classes)!r}, so there is nothing to learn")
    for split, counts in labels.items():
        if len(counts) == 1 and counts.total() > 1:
            [(label, num)] = counts.items()
            raise InputError(
                f"{source}: all {num:,} items of the {split} split are {classes[label]!r}; "
                "a score there would mean nothing, so check the labels or the folders"
            )
