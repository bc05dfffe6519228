"""What a training says: a row for each epoch that fits a terminal."""

import time
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.progress import TrainingProgress, brief, track


def test_an_epoch_is_one_row_of_at_most_80_columns_below_a_header(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TrainingProgress("custom_resnet", "distance", epochs=150, steps=3)
    for epoch in (99, 100):
        metrics = {
            "lr": 0.00012345,
            "train/loss": 1234.5678,
            "train/zeroed": 0.0,
            "dev/loss": 0.98765,
            "dev/distance": 12.34567,
        }
        progress.epoch({"epoch": float(epoch), **metrics}, best=11.5, seconds=7000.0)
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["rate", "loss", "dev", "loss", "distance", "best", "time", "left"]
    assert rows[1].split() == [
        "epoch",
        "100/150",
        "0.00012",
        "1235",
        "0.9877",
        "12.35",
        "11.5",
        "117",
        "min",
        *rows[1].split()[-2:],
    ]
    assert len(rows) == 2 and max(map(len, (header, *rows))) <= 80
    assert header.index("distance") + len("distance") == rows[0].index("12.35") + len("12.35"), "columns end together"


def test_the_time_left_counts_the_steps_since_the_restart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    progress = TrainingProgress("pblstm", "distance", epochs=5, steps=10)
    progress.begin(2, done=8)
    for epoch, now, left in ((3, 20.0, "3.3 min"), (4, 60.0, "50 s")):
        monkeypatch.setattr(time, "monotonic", partial(float, now))
        progress.epoch({"epoch": float(epoch), "lr": 0.1}, best=None, seconds=30.0)
        assert capsys.readouterr().out.endswith(f"{left}\n")
        progress.begin(epoch)


def test_the_time_left_after_a_restart_at_the_end_of_an_epoch_is_by_that_epochs_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = TrainingProgress("pblstm", "distance", epochs=5, steps=10)
    progress.begin(2, done=10)
    progress.epoch({"epoch": 3.0, "lr": 0.1}, best=None, seconds=30.0)
    assert capsys.readouterr().out.endswith("30 s     60 s\n")


@given(st.floats(0, 1e6))
def test_a_brief_duration_is_within_a_twentieth(seconds: float) -> None:
    number, unit = brief(seconds).split()
    assert float(number) * {"s": 1, "min": 60, "h": 3600}[unit] == pytest.approx(seconds, rel=0.05, abs=0.051)


def test_tracking_changes_no_item_and_writes_nothing_outside_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(iter("abc"), "letters")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")
