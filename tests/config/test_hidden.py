"""A changed value of params.yaml that its run's sample block hides is refused."""

import subprocess
from pathlib import Path

import pytest

from stages.config.hidden import refuse_hidden_change
from stages.core.errors import InputError
from stages.tasks import load_params
from tests.conftest import Project


@pytest.fixture
def committed(project: Project) -> Project:
    """A project in a git repository, its params.yaml committed."""
    for command in ("init -q", "add params.yaml", "-c user.name=a -c user.email=b commit -qm first"):
        subprocess.run(["git", *command.split()], check=True)
    return project


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"runs__bilstm__model__dropout": 0.2},
            r"runs\.bilstm\.model\.dropout: .* sample block hides it; set runs\.bilstm\.sample\.model\.dropout, ",
        ),
        ({"runs__bilstm__epochs": 7}, r"set runs\.bilstm\.sample\.epochs, or"),
        ({"runs__bilstm__sample__model__dropout": 0.2}, None),
        ({"runs__bilstm__model__dropout": 0.2, "tasks__speech__source": "a.zip"}, None),
        ({"runs__pblstm__model__dropout": 0.3}, None),
        ({"epochs": 3}, None),
        # The sample's fewer epochs move the peak in proportion, so the change has an effect.
        ({"runs__bilstm__schedule": {"name": "one_cycle", "peak_epoch": 20}}, None),
    ],
)
def test_a_change_without_effect_names_the_key_to_set(committed: Project, changes: dict, message: str | None) -> None:
    committed.set(**changes)
    if message is None:
        refuse_hidden_change(load_params(), "bilstm")
    else:
        with pytest.raises(InputError, match=message):
            refuse_hidden_change(load_params(), "bilstm")


def test_without_git_nothing_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(Path.cwd().parent))
    project.set(runs__bilstm__model__dropout=0.2)
    refuse_hidden_change(load_params(), "bilstm")
