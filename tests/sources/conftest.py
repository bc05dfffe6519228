"""A stand-in for Kaggle, to which the real client comes with a home folder of the test's own."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kaggle_server import KaggleServer


@pytest.fixture
def kaggle_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KaggleServer]:
    """A running server; the client in this process comes to it, signed in by its token, and is quick to try again."""
    pytest.importorskip("kaggle", reason="Kaggle's client is not installed", exc_type=ImportError)
    from kagglesdk import kaggle_env

    from stages.sources.kaggle import client

    with KaggleServer() as server:
        (tmp_path / "home").mkdir()
        environment = server.environment(tmp_path / "home") | {"KAGGLE_API_TOKEN": server.token}
        for name in set(os.environ) - set(environment):
            monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, server.url)
        monkeypatch.setattr(client.Retries, "backoff", 0.01)
        yield server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For answers that never come. Where they do, however late on a busy machine, nobody is to ask twice."""
    from stages.sources.kaggle import client

    monkeypatch.setattr(client.Retries, "timeout", (5.0, 0.4))


@pytest.fixture
def kaggle_json(tmp_path: Path, kaggle_server: KaggleServer) -> Path:
    """The older kind of credentials, in the home folder."""
    path = tmp_path / "home" / ".kaggle" / "kaggle.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"username": kaggle_server.username, "key": kaggle_server.key}))
    path.chmod(0o600)
    return path
