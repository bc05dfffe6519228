"""States of trainings in progress: whole or not there, read without executing anything."""

import os
from pathlib import Path

import pytest

from stages.training.resume import STATE, resuming, write


def test_a_finished_run_leaves_no_state(tmp_path: Path) -> None:
    with resuming(tmp_path / "run" / "abc") as resume:
        assert resume.load() is None
        resume.save({"epoch": 3})
        assert resume.load() == {"epoch": 3}
        resume.discard()
    with resuming(tmp_path / "run" / "abc") as resume:
        assert resume.load() is None


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def test_a_state_from_elsewhere_cannot_execute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("run/abc") / STATE, {"training": "abc", "state": Hostile()})  # its checksum is right
    with resuming(Path("run/abc")) as resume:
        assert resume.load() is None
    assert "state.pt: not a readable state (UnpicklingError): training starts from the beginning" in capsys.readouterr().out
    assert not Path("executed").exists()


def test_a_state_of_something_else_is_told_and_the_next_one_takes_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run" / "abc" / STATE
    write(file, {"training": "def", "state": {"epoch": 3}})
    with resuming(file.parent) as resume:
        assert resume.load() is None
        assert capsys.readouterr().out == f"{file}: is not a state of this training: training starts from the beginning\n"
        resume.save({"epoch": 4})
        assert resume.load() == {"epoch": 4}
