"""Kaggle's credentials through DVC, as a user runs it: reproduced, as an experiment, and out of the queue."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.core import paths
from tests.conftest import Project
from tests.kaggle_server import KaggleServer
from tests.test_submit import CONTENT, RUN, server, write  # noqa: F401  (a fixture)

STAGE = """
stages:
  submit:
    foreach: [{run}]
    do:
      cmd: python -m stages.submit {run}
      deps: [{predictions}]
      params: [submit]
      outs: [{submissions}]
      metrics: [{{{metrics}: {{cache: false}}}}]
"""
WAIT = """
import time
from dvc.repo import Repo
queue = Repo().experiments.celery_queue
while [*queue.iter_active(), *queue.iter_queued()]:
    time.sleep(0.5)
"""
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def repository(server: KaggleServer, project: Project) -> Iterator[dict[str, str]]:  # noqa: F811
    """A git repository with the stage submit alone; yields an environment that holds every secret there is."""
    paths.features("cifar10").mkdir(parents=True, exist_ok=True)
    write(paths.features("cifar10") / "stats.json", "{}")
    stage = {"predictions": paths.predictions(RUN), "submissions": paths.submissions(RUN), "metrics": paths.submission(RUN)}
    write(Path("dvc.yaml"), STAGE.format(run=RUN, **stage))
    write(Path(".gitignore"), f"home\n.receipts\n{paths.submissions(RUN)}\n")
    home = Path("home").resolve()
    write(home / ".kaggle" / "kaggle.json", json.dumps({"username": server.username, "key": KEY}))
    environment = server.environment(home, backoff=0.01) | {"KAGGLE_API_TOKEN": server.token, "KAGGLE_KEY": KEY}
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["git", "add", "."], ["git", *who, "commit", "-qm", "a"]):
        subprocess.run(command, env=environment, check=True, capture_output=True)
    yield environment | {f"GIT_{role}_{part}": "a@b" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}


def everything() -> bytes:
    """All files outside the home folder, and all that git keeps, unpacked."""
    files = [file for file in Path().rglob("*") if file.is_file() and file.parts[0] != "home"]
    objects = subprocess.run(["git", "cat-file", "--batch-all-objects", "--batch"], check=True, capture_output=True).stdout
    return b"".join(file.read_bytes() for file in files) + objects


def test_no_secret_reaches_what_git_or_dvc_keeps_nor_the_queue_s_logs(
    repository: dict[str, str],
    server: KaggleServer,  # noqa: F811
) -> None:
    said = b""
    for command in (
        "dvc repro",
        "dvc exp run -S submit.wait_minutes=2",
        "dvc exp run --queue -S submit.wait_minutes=3",
        "dvc queue start",
        "dvc queue status",
    ):
        done = subprocess.run(command.split(), env=repository, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        said += done.stdout + done.stderr
    subprocess.run([sys.executable, "-c", WAIT], env=repository, check=True, timeout=120, capture_output=True)
    kept = everything()
    assert CONTENT.encode() in kept and b"submit_minutes" not in kept
    assert b"wait_minutes: 3" in kept, "the queue's experiment is among it"
    assert [*Path(".dvc/tmp/exps").rglob("*.out")], "and its log"
    for secret in (server.token.encode(), KEY.encode(), b"5169" * 16):
        assert secret not in kept and secret not in said
