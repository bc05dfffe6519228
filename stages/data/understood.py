"""What `normalize` has understood of a source, in a few lines, and the refusal of what would train on the wrong thing.

A layout that is nearly right can give a number that looks right: all pictures in one class, a table that nobody read.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stages.core.errors import InputError
from stages.data.archive import Archive

# Files that carry labels or pairs. One that no reader has opened means that the layout was not understood.
TABLE = re.compile(r"(.*[_-])?(labels?|pairs?|trials?|identities)([_-].*)?\.(txt|csv|tsv)", re.IGNORECASE)


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


def check_all_read(archives: Iterable[Archive], passed_over: re.Pattern[str]) -> None:
    """Raises InputError for a table of labels or pairs that was not read, and where most of an archive was not.

    passed_over: names of members that a known layout has and the task does not need.
    """
    for archive in archives:
        unread = [name for name in archive.unread if not passed_over.fullmatch(name)]
        table = next((name for name in unread if TABLE.fullmatch(name.rpartition("/")[2])), None)
        if table is not None:
            raise InputError(
                f"{archive.path}: {table} is there and was not used, so the layout was not understood; "
                "see docs/COMPETING.md for the layouts, or remove the file if it is not needed"
            )
        if len(unread) > len(archive.names) / 2:
            raise InputError(
                f"{archive.path}: {len(unread):,} of its {len(archive.names):,} files were used for nothing, the first is "
                f"{unread[0]}; see docs/COMPETING.md for the layouts that are understood"
            )
