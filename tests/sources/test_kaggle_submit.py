"""Submissions through Kaggle's real client, to a server that loses answers: whatever happens, a file is submitted once."""

import fcntl
import hashlib
import io
import json
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stages.core.errors import InputError
from stages.sources.kaggle import client
from stages.sources.kaggle import submit as kaggle_submit
from stages.sources.kaggle.receipt import Receipt
from tests.kaggle_server import DAILY_LIMIT, RULES, Fault, KaggleServer

KEY = "tasks.cifar10.competitions.submission"
CONTENT = b"id,label\n1,cat\n2,dog\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
SCORED = {"reference": 1000, "status": "complete", "public_score": 0.9321}
ASKING = ["IntrospectToken", "ListSubmissions", "StartSubmissionUpload", "upload", "CreateSubmission", "GetSubmission"]


@pytest.fixture
def server(kaggle_server: KaggleServer, monkeypatch: pytest.MonkeyPatch) -> KaggleServer:
    kaggle_server.archives["cifar-10"] = b""
    kaggle_server.submission_states = ["COMPLETE"]
    monkeypatch.setattr(kaggle_submit, "POLL", 0.01)
    monkeypatch.setattr(kaggle_submit, "LOOK", 0.01)
    monkeypatch.setattr(kaggle_submit, "SETTLING", 0.02)
    return kaggle_server


@pytest.fixture
def submit(tmp_path: Path) -> Any:
    """submit(content, run) -> what is told of a file with that content. receipts: another checkout has its own."""

    def run(
        content: bytes = CONTENT,
        run: str = "custom_resnet",
        wait: float = 1.0,
        competition: str = "cifar-10",
        receipts: str = "receipts",
    ) -> Any:
        file = tmp_path / run / "submission.csv"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        return kaggle_submit.submit(file, competition, receipts=tmp_path / receipts, wait_minutes=wait, where=KEY)

    return run


def receipt(folder: Path, digest: str = DIGEST) -> Path:
    return folder / "receipts" / "cifar-10" / f"{digest}.json"


def refused(call: Any, *words: str) -> str:
    """The one sentence in which call() fails, with these words in it."""
    with pytest.raises(InputError) as caught:
        call()
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def asked(server: KaggleServer, start: int = 0) -> list[str]:
    return [request.call for request in server.requests[start:]]


# A file's way to its score.


def test_a_file_is_sent_once_and_its_score_is_waited_for(server: KaggleServer, submit: Any, tmp_path: Path) -> None:
    server.submission_states = ["PENDING", "PENDING", "COMPLETE"]
    assert submit() == SCORED
    assert asked(server) == [*ASKING, "GetSubmission", "GetSubmission"]
    assert list(server.uploads.values()) == [CONTENT]
    [made] = server.submissions
    assert made["competitionName"] == "cifar-10"
    assert made["submissionDescription"] == f"custom_resnet/submission.csv {DIGEST[:16]}"
    [start] = server.calls("StartSubmissionUpload")
    assert (start.payload["fileName"], start.payload["contentLength"]) == ("submission.csv", len(CONTENT))
    facts = json.loads(receipt(tmp_path).read_text())
    assert facts["reference"] == 1000 and abs(datetime.now(UTC) - datetime.fromisoformat(facts["sent"])) < timedelta(hours=1)


def test_credentials_are_shown_to_kaggle_and_not_to_its_storage(server: KaggleServer, submit: Any) -> None:
    submit()
    assert [request.signed for request in server.calls("upload")] == [False]
    assert all(request.signed for request in server.calls("StartSubmissionUpload", "CreateSubmission", "GetSubmission"))


def test_a_file_that_has_its_score_costs_no_request(server: KaggleServer, submit: Any) -> None:
    first = submit()
    num = len(server.requests)
    assert submit() == submit(run="another_run") == first
    assert len(server.requests) == num


def test_another_file_is_another_submission(server: KaggleServer, submit: Any) -> None:
    assert [submit()["reference"], submit(CONTENT + b"3,cat\n")["reference"]] == [1000, 1001]


@pytest.mark.parametrize(
    ("public", "private", "scores"),
    [
        ("0.93210", "0.93000", {"public_score": 0.9321, "private_score": 0.93}),
        ("-1.5e-3", "n/a", {"public_score": -0.0015}),
        ("nan", "inf", {}),
    ],
)
def test_scores_are_finite_numbers_or_are_left_out(
    public: str, private: str, scores: dict[str, float], server: KaggleServer, submit: Any
) -> None:
    server.public_score, server.private_score = public, private
    assert submit() == {"reference": 1000, "status": "complete"} | scores


def test_what_is_still_pending_is_asked_about_again_and_not_sent_again(server: KaggleServer, submit: Any) -> None:
    server.submission_states = ["PENDING"]
    start = time.monotonic()
    refused(
        lambda: submit(wait=0.2 / 60), f"{KEY}: submission 1000 to cifar-10 is still being scored", "the same command asks"
    )
    assert time.monotonic() - start >= 0.2
    server.submission_states = ["PENDING", "COMPLETE"]
    num = len(server.requests)
    assert submit() == SCORED
    assert asked(server, num) == ["IntrospectToken", "GetSubmission", "GetSubmission"]


def test_kaggles_reason_for_an_error_is_told_word_for_word_and_the_file_stays_out(
    server: KaggleServer, submit: Any, tmp_path: Path
) -> None:
    server.submission_states, server.error_description = ["PENDING", "ERROR"], "Evaluation Exception: 'a' is no id (line 7)"
    first = refused(
        submit, "(submission 1000): Evaluation Exception: 'a' is no id (line 7); see https://www.kaggle.com/comp"
    )
    num = len(server.requests)
    assert refused(submit, "not submitted again, unless by hand") == first
    assert len(server.requests) == num
    assert refused(lambda: submit(receipts="of another checkout"), "(submission 1000)") == first
    assert len(server.submissions) == 1


# What gets lost between Kaggle and here.


def test_without_a_receipt_the_file_is_looked_for_in_kaggles_list(server: KaggleServer, submit: Any, tmp_path: Path) -> None:
    assert submit() == SCORED
    receipt(tmp_path).unlink()
    server.private_score, server.page_size = "0.93000", 2
    server.submissions += [server.submissions[0] | {"ref": ref, "submissionDescription": "by hand"} for ref in range(5)]
    num = len(server.requests)
    assert submit() == SCORED | {"private_score": 0.93}
    assert asked(server, num) == ["IntrospectToken", *["ListSubmissions"] * 3, "GetSubmission"]


@pytest.mark.parametrize("state", ["PENDING", "ERROR"])
def test_a_process_that_dies_before_it_notes_the_reference_does_not_submit_twice(
    state: str, server: KaggleServer, submit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Receipt.add

    def die(self: Any, **facts: Any) -> None:
        if "reference" in facts:
            raise SystemExit
        add(self, **facts)

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(Receipt, "add", die)
        submit()
    server.submission_states = [state, "ERROR" if state == "ERROR" else "COMPLETE"]
    if state == "ERROR":
        refused(submit, "(submission 1000)")
    else:
        assert submit() == SCORED
    assert len(server.submissions) == 1


LOST = "may have arrived: look at https://www.kaggle.com/competitions/cifar-10/submissions"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", [Fault(cut=0.0), Fault(late=0.6)])
def test_a_submission_whose_answer_is_lost_is_found_in_kaggles_list_however_late(
    fault: Fault, server: KaggleServer, submit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client waits for 0.4 s: what takes longer counts from then, and not from when the request began."""
    monkeypatch.setattr(kaggle_submit, "SETTLING", 60)
    server.list_lag = 0.3
    server.faults["CreateSubmission"] = [fault]
    assert submit() == SCORED
    assert len(server.submissions) == len(server.calls("CreateSubmission")) == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", [Fault(stall=0.0), Fault(503, "Unavailable")])
def test_a_submission_that_the_list_does_not_show_is_not_sent_again_unless_told_to(
    fault: Fault, server: KaggleServer, submit: Any
) -> None:
    server.faults["CreateSubmission"] = [fault]
    refused(submit, f"{KEY}: ", LOST, "sends it only if it is not there")
    assert len(server.calls("CreateSubmission")) == 1 and not server.submissions
    num = len(server.requests)
    assert submit() == SCORED
    assert asked(server, num) == ASKING


def test_what_the_list_shows_after_the_refusal_is_not_sent_by_the_next_call_either(
    server: KaggleServer, submit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.list_lag, server.faults["CreateSubmission"] = 3600, [Fault(cut=0.0)]
    refused(submit, LOST)
    server.list_lag = 0
    assert submit() == SCORED
    assert len(server.submissions) == 1


def test_a_process_that_died_while_it_sent_leaves_minutes_of_looking(
    server: KaggleServer, submit: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kaggle_submit, "SETTLING", 60)
    submit()
    facts = json.loads(receipt(tmp_path).read_text())
    sent = datetime.now(UTC) - timedelta(seconds=50)
    receipt(tmp_path).write_text(json.dumps({"file": facts["file"], "sent": sent.isoformat()}))
    server.list_lag = time.monotonic() - server.submissions[0]["made"] + 0.5
    assert submit() == SCORED
    assert len(server.submissions) == 1
    assert re.search(r"may have arrived; looking for it in Kaggle's list for up to (9|10) s\n", capsys.readouterr().err)


def test_a_refusal_is_an_answer_after_which_nothing_is_looked_for(
    server: KaggleServer, submit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kaggle_submit, "SETTLING", 60)
    server.faults["CreateSubmission"] = [Fault(400, "The deadline has passed")]
    refused(submit, "The deadline has passed")
    assert not receipt(tmp_path).exists()
    assert submit() == SCORED


def test_another_checkout_finds_what_the_list_shows(server: KaggleServer, submit: Any) -> None:
    assert submit() == SCORED
    server.submission_states = ["PENDING", "COMPLETE"]
    assert submit(receipts="of another checkout") == SCORED
    assert len(server.submissions) == 1


@pytest.mark.parametrize("call", ["ListSubmissions", "upload", "CreateSubmission"])
def test_a_busy_server_is_asked_again(call: str, server: KaggleServer, submit: Any) -> None:
    server.faults[call] = [Fault(429, "Too many requests")] * 2
    assert submit() == SCORED
    assert len(server.submissions) == 1
    assert len(server.calls("ListSubmissions")) == (
        3 if call == "ListSubmissions" else 1
    )  # 429 is an answer: it was not made


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("ListSubmissions", Fault(stall=0.0)),
        ("StartSubmissionUpload", Fault(503)),
        ("upload", Fault(cut=0.0)),
        ("upload", Fault(stall=0.0)),
        ("GetSubmission", Fault(cut=0.0)),
    ],
)
def test_a_server_that_stalls_breaks_or_fails_is_asked_again(
    call: str, fault: Fault, server: KaggleServer, submit: Any
) -> None:
    server.faults[call] = [fault]
    assert submit() == SCORED
    assert len(server.submissions) == 1 and list(server.uploads.values())[-1] == CONTENT


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("call", ["ListSubmissions", "upload"])
def test_a_server_that_stalls_for_good_is_given_up(
    call: str, server: KaggleServer, submit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.Retries, "attempts", 2)
    server.faults[call] = [Fault(stall=0.0)] * 3
    refused(submit, f"{KEY}: no answer from Kaggle for 0 s", "given up after 2 attempts")


def test_two_at_a_time_share_one_submission(
    server: KaggleServer, submit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three, here: the test is the first, which holds the lock until the two wait for it, and ends without an answer."""
    lock_file, told = receipt(tmp_path).with_suffix(".lock"), io.StringIO()
    monkeypatch.setattr(sys, "stderr", told)  # capsys can lose what a thread writes while it is read
    lock_file.parent.mkdir(parents=True)
    with ThreadPoolExecutor() as pool:
        with lock_file.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            both = [pool.submit(submit, run=run) for run in ("custom_resnet", "dilated_net")]
            while told.getvalue().count("another process is submitting the same file; waiting for it") < 2:
                assert not any(done.done() for done in both)
                time.sleep(0.01)
        assert [done.result() for done in both] == [SCORED, SCORED]
    assert len(server.submissions) == 1


# Refusals.


@pytest.mark.parametrize(
    ("call", "fault", "words"),
    [
        ("ListSubmissions", Fault(401, "Unauthenticated"), ["401 (Unauthorized)", "https://www.kaggle.com/settings/api"]),
        ("StartSubmissionUpload", Fault(404, "Not found"), ["404 (Not found)", "is 'cifar-10' the last part"]),
        ("CreateSubmission", Fault(403, RULES), ["403 (You must accept this", "competitions/cifar-10/rules"]),
        ("CreateSubmission", Fault(400, "The deadline has passed"), ["400 (The deadline has passed)", "see https://www."]),
    ],
)
def test_a_refusal_says_what_to_do_and_is_not_repeated(
    call: str, fault: Fault, words: list[str], server: KaggleServer, submit: Any
) -> None:
    server.faults[call] = [fault]
    assert "midnight" not in refused(submit, f"{KEY}: ", *words)
    assert len(server.calls(call)) == 1 and not server.submissions
    assert submit() == SCORED


@pytest.mark.parametrize("status", [400, 429])
def test_the_daily_limit_is_told_at_once_in_kaggles_words_with_the_time_to_wait(
    status: int, server: KaggleServer, submit: Any
) -> None:
    server.daily_limit, server.limit_status = 1, status
    submit()
    left = timedelta(days=1) - (datetime.now(UTC) - datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0))
    message = refused(lambda: submit(b"another"), f"{status} ({DAILY_LIMIT})", "limit starts again at midnight UTC (in ")
    assert len(server.calls("CreateSubmission")) == 2
    found = re.search(r"\(in (\d+) h (\d+) min\)$", message)
    assert found
    off, minute = timedelta(hours=int(found[1]), minutes=int(found[2])) - left, timedelta(minutes=1)
    assert (off + minute) % timedelta(days=1) <= 2 * minute, "midnight may have passed in between"
    server.daily_limit = 2
    assert submit(b"another")["reference"] == 1001


def test_a_refusal_within_the_limit_is_not_blamed_on_it(server: KaggleServer, submit: Any) -> None:
    submit()
    server.faults["CreateSubmission"] = [Fault(400, "The deadline has passed")]
    assert "midnight" not in refused(lambda: submit(b"another"), "400 (The deadline has passed)")


def test_a_limit_for_good_is_not_said_to_end_at_midnight(server: KaggleServer, submit: Any) -> None:
    server.daily_limit, server.limited_by_total = 1, True
    submit()
    assert "midnight" not in refused(lambda: submit(b"another"), "has made all of the 1 submissions")


def test_a_limit_that_cannot_be_asked_for_does_not_hide_the_refusal(server: KaggleServer, submit: Any) -> None:
    server.daily_limit = 0
    server.faults["GetSubmissionLimits"] = [Fault(503)]
    refused(submit, f"400 ({DAILY_LIMIT})")


def test_an_answer_without_a_reference_is_looked_for(server: KaggleServer, submit: Any) -> None:
    server.faults["CreateSubmission"] = [Fault(200, "This competition takes notebooks")]
    refused(submit, "Kaggle gives no reference (This competition takes notebooks)", LOST)


def test_an_upload_that_is_refused_makes_no_submission(server: KaggleServer, submit: Any) -> None:
    server.faults["upload"] = [Fault(403, "Forbidden")]
    assert "rules" not in refused(submit, f"{KEY}: Kaggle's storage refuses ", "(403 Forbidden); run again")
    assert not server.calls("CreateSubmission")


def test_a_submission_of_another_account_is_named(server: KaggleServer, submit: Any, tmp_path: Path) -> None:
    server.faults["GetSubmission"] = [Fault(403, "Permission denied")]
    refused(submit, "403 when asked about submission 1000; sign in with the account", f"delete {receipt(tmp_path)}")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[" * 100_000,
        '{"sent": 5}',
        '{"sent": "0001-01-01T00:00:00"}',
        '{"status": "error", "reference": 1000}',
        '{"status": 5, "reference": 1000}',
        '{"reference": "abc"}',
        '{"reference": 1e400}',
        '{"reference": 1000, "status": "complete", "public_score": 1e400}',
        '{"refrence": 1000}',
    ],
    ids=lambda text: text[:60],
)
def test_a_receipt_that_is_none_is_named_and_nothing_is_asked(
    text: str, server: KaggleServer, submit: Any, tmp_path: Path
) -> None:
    receipt(tmp_path).parent.mkdir(parents=True)
    receipt(tmp_path).write_text(text)
    refused(submit, f"{receipt(tmp_path)}: is not a receipt (", "delete it, and Kaggle's list is used instead")
    assert not server.requests


def test_a_receipt_without_a_reference_is_as_good_as_none(server: KaggleServer, submit: Any, tmp_path: Path) -> None:
    receipt(tmp_path).parent.mkdir(parents=True)
    receipt(tmp_path).write_text('{"reference": null}')
    assert submit() == SCORED
    assert asked(server) == ASKING


@pytest.mark.parametrize("name", ["", "../cifar-10"])
def test_a_name_that_cannot_be_is_refused_before_anything_is_asked(
    name: str, server: KaggleServer, submit: Any, tmp_path: Path
) -> None:
    refused(lambda: submit(competition=name), f"{KEY}: {name!r} is not a competition's name")
    assert not server.requests and not (tmp_path / "receipts").exists()
