"""Stage `submit` as a user runs it: a CSV and its metrics, and if enabled a score, through Kaggle's real client."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.features import FACES, write_stats
from stages import submit as stage
from stages.core import checksums, paths
from stages.core.errors import InputError
from stages.tasks.faces.statistics import Submission
from tests.conftest import Project
from tests.kaggle_server import Fault, KaggleServer

RUN, KEY = "custom_resnet", "tasks.cifar10.competitions"
CONTENT = "id,label\n1,cat\n2,dog\n10,ship\n"
PLAIN = {"competition": "cifar-10", "rows": 3, "sha256": hashlib.sha256(CONTENT.encode()).hexdigest()}
SCORED = PLAIN | {"reference": 1000, "status": "complete", "public_score": 0.9321}


@pytest.fixture
def server(project: Project) -> Iterator[KaggleServer]:
    """A server that scores at once, in a project with predictions for three images."""
    pytest.importorskip("kaggle", reason="Kaggle's client is not installed", exc_type=ImportError)
    (project.folder / "home").mkdir()
    write(paths.predictions(RUN) / "test.csv", "name,predicted\n10,ship\n1,cat\n2,dog\n")
    paths.features("cifar10").mkdir(parents=True)
    checksums.write(paths.features("cifar10"))
    project.set(submit={"enabled": True, "wait_minutes": 1}, tasks__cifar10__source="kaggle", tasks__faces__source="kaggle")
    with KaggleServer() as server:
        server.archives |= dict.fromkeys(
            ["cifar-10", "11-785-s23-hw2p2-classification", "11-785-s23-hw2p2-verification"], b""
        )
        server.submission_states = ["COMPLETE"]
        yield server


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    checksums.write(path.parent)


def start(server: KaggleServer, run: str = RUN, **variables: str) -> subprocess.Popen[str]:
    environment = server.environment(Path("home").resolve(), backoff=0.01) | {"KAGGLE_API_TOKEN": server.token} | variables
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "stages.submit", run]
    return subprocess.Popen(command, env=environment, text=True, stdout=pipe, stderr=pipe)


def submit(server: KaggleServer, run: str = RUN, **variables: str) -> SimpleNamespace:
    process = start(server, run, **variables)
    out, err = process.communicate(timeout=60)
    return SimpleNamespace(code=process.returncode, out=out, err=err)


def metrics(run: str = RUN) -> Any:
    return json.loads(paths.submission(run).read_text())


def test_as_published_nothing_is_sent_and_the_file_is_described(server: KaggleServer, project: Project) -> None:
    project.set(submit={"enabled": False, "wait_minutes": 1})
    unwanted = "{'kaggle', 'kagglesdk'} & set(sys.modules)"
    program = f"import sys; from stages import submit; submit.main({RUN!r}); assert not {unwanted}"
    subprocess.run([sys.executable, "-c", program], env=server.environment(Path("home")), check=True, capture_output=True)
    assert (paths.submissions(RUN) / "submission.csv").read_text() == CONTENT
    assert metrics() == {"submission": PLAIN}
    assert not server.requests and not paths.receipts().exists()


def test_predictions_of_made_up_data_are_never_sent(server: KaggleServer, project: Project) -> None:
    project.set(tasks__cifar10__source="sample")
    with pytest.raises(InputError, match=r"submit\.enabled: the source of cifar10 is sample"):
        stage.main(RUN)


def test_a_submission_and_the_same_again(server: KaggleServer, tmp_path: Path) -> None:
    root = tmp_path / "original"
    first = submit(server, DVC_ROOT=str(root))
    assert (first.code, first.err) == (0, "")
    assert first.out.splitlines() == [
        "cifar-10: submission 1000 is being scored",
        "data/submissions/custom_resnet/submission.csv: 3 rows, public_score 0.9321",
    ]
    assert list(server.uploads.values()) == [CONTENT.encode()]
    text, num = paths.submission(RUN).read_text(), len(server.requests)
    assert json.loads(text) == {"submission": SCORED}
    paths.submission(RUN).unlink()
    second = submit(server, DVC_ROOT=str(root))
    assert (second.code, second.out) == (0, first.out.splitlines(keepends=True)[1])
    assert paths.submission(RUN).read_text() == text and len(server.requests) == num
    assert not (tmp_path / ".receipts").exists()
    assert [file.suffix for file in sorted((root / ".receipts" / "cifar-10").iterdir())] == [".json", ".lock"]


def test_each_file_goes_to_its_own_competition(server: KaggleServer) -> None:
    kinds = ["classification", "verification"]
    header = ["id", "label"]
    files = {"classification": Submission(header, "name", "index"), "verification": Submission(header, "row", "identity")}
    stats = replace(FACES, classes=["a", "b"], known=["c"], submissions={kind: files[kind] for kind in kinds})
    paths.features("faces").mkdir(parents=True)
    write_stats(paths.features("faces"), stats)
    checksums.write(paths.features("faces"))
    tables = {"classification": "test.csv", "verification": "verification_test.csv"}
    people = {"classification": "b", "verification": "c"}
    run = "resnet50"
    for kind in kinds:
        write(paths.predictions(run) / tables[kind], f"name,predicted\n0.jpg,{people[kind]}\n")
    done = submit(server, run)
    assert done.code == 0, done.err
    assert [made["competitionName"] for made in server.submissions] == [f"11-785-s23-hw2p2-{kind}" for kind in kinds]
    assert {kind: facts["reference"] for kind, facts in metrics(run).items()} == dict(zip(kinds, (1000, 1001), strict=False))


def test_predictions_that_are_not_valid_are_not_uploaded(server: KaggleServer) -> None:
    write(paths.predictions(RUN) / "test.csv", "name,predicted\n1,cat\n2,tree\n")
    with pytest.raises(InputError, match="line 3: the prediction 'tree' for 2 must be one of the ten class names"):
        stage.main(RUN)
    assert not paths.submission(RUN).exists()


def test_a_competition_by_its_name_alone_is_that_of_the_only_file(server: KaggleServer, project: Project) -> None:
    project.set(tasks__cifar10__competitions="cifar-10")
    assert submit(server).code == 0
    assert metrics()["submission"]["competition"] == "cifar-10"


def test_a_run_without_any_competition_is_told(server: KaggleServer, project: Project) -> None:
    project.set(tasks__cifar10__competitions={"submision": "cifar-10"})
    words = r"competitions: names no competition for any of the run's files; give a name for each of submission"
    with pytest.raises(InputError, match=words):
        stage.main(RUN)


@pytest.mark.parametrize(
    ("state", "words"),
    [("PENDING", "is still being scored after 0.001 minutes"), ("ERROR", "Submission contains null values")],
)
def test_without_a_score_the_stage_fails_and_leaves_no_metrics(
    state: str, words: str, server: KaggleServer, project: Project
) -> None:
    project.set(submit={"enabled": True, "wait_minutes": 0.001})
    server.submission_states = [state]
    done = submit(server)
    assert done.code == 1 and done.err.startswith(f"error: {KEY}.submission: ") and words in done.err
    assert done.err.count("\n") == 1 and not paths.submission(RUN).exists()


def test_ctrl_c_while_waiting_loses_nothing(server: KaggleServer) -> None:
    server.submission_states = ["PENDING"]
    process = start(server)
    deadline = time.monotonic() + 60
    while not server.calls("GetSubmission"):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    message = "interrupted: submission 1000 to cifar-10: the same command continues, and submits nothing twice\n"
    assert (process.returncode, err) == (130, message)
    server.submission_states = ["COMPLETE"]
    assert submit(server).code == 0
    assert metrics() == {"submission": SCORED} and len(server.submissions) == 1


def test_without_credentials_one_sentence_says_what_to_do(server: KaggleServer) -> None:
    done = submit(server, KAGGLE_API_TOKEN="")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith(f"error: {KEY}.submission: Kaggle's client ") and "cifar-10/rules" in done.err
    assert not server.submissions and not list(Path("home").iterdir())


@pytest.mark.parametrize(("call", "fault"), [("upload", None), ("upload", Fault(401)), ("CreateSubmission", Fault(400))])
def test_no_secret_shows_in_output_or_files(call: str, fault: Fault | None, server: KaggleServer) -> None:
    """Even with a server that repeats what it was sent, and a client that was told to be talkative."""
    if fault is not None:
        server.faults[call] = [Fault(fault.status, f"Bad credentials: {server.token}")]
    done = submit(server, VERBOSE="true")
    assert done.code == (0 if fault is None else 1), done.err
    told = (done.out + done.err).encode() + b"".join(file.read_bytes() for file in Path().rglob("*") if file.is_file())
    for secret in (server.token.encode(), b"5169" * 16):  # the second signs the address of the storage
        assert secret not in told
    assert "Traceback" not in done.err and not list(Path("home").iterdir())
