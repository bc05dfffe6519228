"""stats.json: read as it was written, in the file's order, or named with what makes it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks.features import STATS, write_stats
from stages.core.errors import InputError
from stages.data.statistics import LeftOut, Stats, Understood
from stages.images.statistics import ImageStats
from stages.tasks import task_module

CONTENT: dict[str, Any] = {
    "rejected": [{"item": "a.zip: b.png", "reason": "is empty"}],
    "understood": {"layout": "a", "classes": "2", "items": {"dev": 1}, "submissions": {"s": ["id"]}, "verification": ""},
    "num": {"dev": 1, "test": 0},
}


def test_the_file_has_the_contents_order_and_gives_it_back(tmp_path: Path) -> None:
    understood = Understood("a", "2", {"dev": 1}, {"s": ["id"]})
    content = CONTENT | {"rejected": [LeftOut("a.zip: b.png", "is empty")], "understood": understood}
    stats = Stats.write(tmp_path, content)
    assert (tmp_path / "stats.json").read_text() == json.dumps(CONTENT, indent=2) + "\n"
    assert stats == Stats.read(tmp_path) == Stats(**content) and asdict(stats) == CONTENT


@pytest.mark.parametrize("task", STATS)
def test_nothing_of_a_kinds_file_is_lost(task: str, tmp_path: Path) -> None:
    """Checkpoints hold it, too."""
    write_stats(tmp_path, STATS[task])
    found = task_module(task, "statistics").Stats.read(tmp_path)
    assert found == STATS[task] and asdict(found) == json.loads((tmp_path / "stats.json").read_text())
    assert Stats.read(tmp_path).num == found.num


def test_statistics_that_are_not_there_yet_or_are_others_are_named_with_what_makes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    features = Path("data/features/speech")
    with pytest.raises(InputError, match=r"^data/features/speech/stats\.json: is missing; `dvc repro normalize@speech`"):
        Stats.read(features)
    features.mkdir(parents=True)
    write_stats(features, STATS["speech"])
    with pytest.raises(InputError, match=r"stats\.json: has no 'classes'; `dvc repro -f normalize@speech` makes it again"):
        ImageStats.read(features)
    (features / "stats.json").write_text(json.dumps(CONTENT | {"num": [1]}))
    with pytest.raises(InputError, match=r"stats\.json\.num: must be a block of keys"):
        Stats.read(features)
