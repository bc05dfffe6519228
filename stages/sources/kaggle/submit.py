"""A submission file to Kaggle: sent once, then asked about until it has a score.

What is known of a file stands in its receipt, <receipts>/<competition>/<SHA-256>.json, so that nothing is submitted twice:

- The receipt is written before the submission is made, then with Kaggle's reference, then with the scores or Kaggle's error.
- Without a reference (no receipt, a process that died, an answer that got lost) the file is looked for in Kaggle's list of
  the team's submissions, by the hash in its description: once, or for minutes if it may be on its way. After an answer that
  got lost it is not sent again by itself: the stage stops, and the same command looks again first.
- With a reference its score is asked for by that. With scores or an error nothing is asked at all.

So a receipt can be deleted: then the scores are read again, such as the private one, which appears when a competition ends.
Two checkouts, which have receipts of their own, know of each other by that list alone: what it does not show yet, both send.

The calls are the client's own. Its `competition_submit` (2.2.4) is not used: it uploads without a time-out, prints what went
wrong to stdout, and answers a failed upload with a message in place of an exception.
"""

import dataclasses
import hashlib
import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import requests
from rich.console import Console

from stages.config.check import Positive, build
from stages.core import paths
from stages.core.errors import InputError, Interrupted
from stages.core.locks import Locked, locked
from stages.sources.kaggle import client
from stages.sources.kaggle.client import Retries

POLL, LONGEST_POLL = 2.0, 30.0  # seconds between two questions about the score: the first is half as much again each time
SETTLING = 300.0  # seconds to give Kaggle's list before what is not in it counts as not submitted
LOOK = 10.0  # seconds between two looks into it
PAGE = 100  # submissions to a page of the list


def submit(file: Path, competition: str, *, receipts: Path, wait_minutes: float, where: str) -> dict[str, str | int | float]:
    """Submit the file unless that was done before, and wait for its score: reference, status, public_score, private_score.

    A score that Kaggle does not tell is left out. receipts: a folder that must survive a failed stage. where: the key in
    params.yaml, for messages. Raises InputError if Kaggle refuses the file, cannot score it, or has not after wait_minutes,
    and Interrupted after Ctrl-C; the same call continues after each of them.
    """
    client.check_name(competition, where)
    content = file.read_bytes()
    path = receipts / competition / f"{hashlib.sha256(content).hexdigest()}.json"
    with _alone(path.with_suffix(".lock")):
        receipt = _Receipt(path)
        try:
            if receipt.facts.status is None:
                _Submission(file, content, competition, receipt, where).bring_to_an_end(wait_minutes)
        except KeyboardInterrupt:
            what = str(file) if receipt.facts.reference is None else f"submission {receipt.facts.reference}"
            raise Interrupted(f"{what} to {competition}: the same command continues, and submits nothing twice") from None
    facts = receipt.facts
    if facts.status == "error":
        page = client.submissions_page(competition)
        raise InputError(
            f"{where}: Kaggle could not score {file} (submission {facts.reference}): {facts.error}; see {page}; "
            "the same file is not submitted again, unless by hand on that page"
        )
    told = ("reference", "status", "public_score", "private_score")
    return {key: value for key, value in receipt.known().items() if key in told}


@dataclass(frozen=True)
class _Facts:
    """What is known of a file, in the order in which it becomes known.

    sent: when it was sent, or when the answer got lost. reference: Kaggle's number of the submission.
    """

    file: str | None = None
    description: str | None = None
    sent: str | None = None
    reference: Annotated[int, Positive] | None = None
    status: Literal["complete", "error"] | None = None
    public_score: float | None = None
    private_score: float | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        if self.status is not None and self.reference is None:
            raise ValueError("reference: missing beside a status")
        if self.status == "error" and self.error is None:
            raise ValueError("error: missing beside that status")
        try:
            self.age()
        except (ValueError, OverflowError):
            raise ValueError(f"sent: must be a time, but is {self.sent!r}") from None

    def age(self) -> float:
        """Seconds since it was sent; infinite if it was not."""
        return math.inf if self.sent is None else time.time() - datetime.fromisoformat(self.sent).timestamp()


class _Receipt:
    """The facts about a file, on disk. Raises InputError if what lies there is something else."""

    def __init__(self, path: Path) -> None:
        self.path, self.facts = path, _Facts()
        try:
            if path.exists():
                self.facts = build(_Facts, json.loads(path.read_text()), "")
        except (ValueError, RecursionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"{path}: is no receipt ({reason}); delete it, and Kaggle's own list is asked instead"
            ) from None

    def known(self) -> dict[str, Any]:
        return {key: value for key, value in dataclasses.asdict(self.facts).items() if value is not None}

    def add(self, **facts: Any) -> None:
        self.facts = dataclasses.replace(self.facts, **facts)
        with paths.replacing(self.path) as beside:
            beside.write_text(json.dumps(self.known(), indent=2) + "\n")

    def discard(self) -> None:
        """Kaggle has refused the file, so that it is not on its way."""
        self.facts = _Facts()
        self.path.unlink()


class _Submission:
    """One file's way through Kaggle."""

    def __init__(self, file: Path, content: bytes, competition: str, receipt: _Receipt, where: str) -> None:
        self.file, self.content, self.competition, self.receipt, self.where = file, content, competition, receipt, where
        self.mark = receipt.path.stem[:16]  # of the hash
        self.retries = Retries(competition, where)
        self.api = client.sign_in(self.retries)

    def bring_to_an_end(self, wait_minutes: float) -> None:
        """From wherever the receipt says that it is."""
        if self.receipt.facts.reference is None:
            reference = self.find()
            if reference is None:
                reference = self.send()
            self.receipt.add(reference=reference)
        self.wait(wait_minutes)

    def find(self) -> int | None:
        """The reference of the team's submission of this very file, if Kaggle lists one.

        One look if it was not sent; if it was, looks until it has been on its way for SETTLING seconds.
        """
        left = min(max(SETTLING - self.receipt.facts.age(), 0.0), SETTLING)
        end = time.monotonic() + left
        if left > 0:
            what = f"{self.file}: may have arrived; looking for it in Kaggle's list for up to {left:.0f} s"
            print(what, file=sys.stderr, flush=True)
        while (reference := self._listed()) is None and (left := end - time.monotonic()) > 0:
            time.sleep(min(LOOK, left))
        return reference

    def send(self) -> int:
        """Upload the file, make a submission of it, and return its reference.

        Raises InputError if Kaggle refuses it, or if its answer is lost and its list does not show the file.
        """
        token = self.retries.run(self._upload)
        description = f"{self.file.parent.name}/{self.file.name} {self.mark}"
        fields = {"competition_name": self.competition, "submission_description": description, "blob_file_tokens": token}
        while True:
            self.receipt.add(file=str(self.file), description=description, sent=_now())
            try:
                answer = self._ask("create_submission", **fields)
            except requests.RequestException as error:
                status = _status(error)
                if status is not None and status < 500 and status != 408:  # an answer: it was not made
                    self.receipt.discard()
                    try:
                        self.retries.wait(error)
                    except InputError as refusal:
                        raise InputError(f"{refusal}{self._limit() if status in (400, 429) else ''}") from None
                    continue
                lost = self.retries.outline(error)
            else:
                if answer.ref:
                    return int(answer.ref)
                lost = f"Kaggle gives no reference ({answer.message}){self._limit()}"
            self.receipt.add(sent=_now())
            if (reference := self.find()) is None:
                page = client.submissions_page(self.competition)
                raise InputError(
                    f"{self.where}: {lost}; {self.file} may have arrived: look at {page}; the same command looks, too, and "
                    "sends it only if it is not there"
                )
            return reference

    def wait(self, minutes: float) -> None:
        """Ask for the score until there is one, or an error. Raises InputError if there is neither after so many minutes."""
        reference, start = self.receipt.facts.reference, time.monotonic()
        title = f"{self.competition}: submission {reference} is being scored"
        console = Console(stderr=True)
        if not console.is_terminal:
            print(title, flush=True)
        pause = POLL
        with console.status(title) as line:
            while True:
                found = self.retries.run(partial(self._state, reference))
                if found.status.name == "COMPLETE":
                    scores = {"public_score": _number(found.public_score), "private_score": _number(found.private_score)}
                    known = {key: score for key, score in scores.items() if score is not None}
                    return self.receipt.add(status="complete", **known)
                if found.status.name == "ERROR":
                    reason = " ".join((found.error_description or "it gives no reason").split())
                    return self.receipt.add(status="error", error=reason)
                left = 60 * minutes - (time.monotonic() - start)
                if left <= 0:
                    raise InputError(
                        f"{self.where}: submission {reference} to {self.competition} is still being scored after "
                        f"{minutes:g} minutes; the same command asks again, and submits nothing twice"
                    )
                line.update(f"{title}, {left / 60:.0f} of {minutes:g} minutes left")
                time.sleep(min(pause, left))
                pause = min(1.5 * pause, LONGEST_POLL)

    def _listed(self) -> int | None:
        """The reference of the file as Kaggle's list has it now, whatever has become of it."""
        page = ""
        while True:
            fields = {"competition_name": self.competition, "page_size": PAGE, "page_token": page}
            answer = self.retries.run(partial(self._ask, "list_submissions", **fields))
            for listed in answer.submissions:
                if self.mark in (listed.description or ""):
                    return int(listed.ref)
            page = answer.next_page_token
            if not page or not answer.submissions:
                return None

    def _upload(self) -> str:
        """Lay the file down where Kaggle says, and return the token by which Kaggle knows it there."""
        stat = {"content_length": len(self.content), "last_modified_epoch_seconds": int(self.file.stat().st_mtime)}
        place = self._ask("start_submission_upload", competition_name=self.competition, file_name=self.file.name, **stat)
        # Not in the client's session, which would show the user's credentials to the storage.
        response = requests.put(place.create_url, data=self.content, timeout=self.retries.timeout)
        status = response.status_code
        if status in (200, 201):
            return str(place.token)
        if status in (408, 429) or status >= 500:
            raise requests.HTTPError(response=response)
        raise InputError(f"{self.where}: Kaggle's storage refuses {self.file} ({status} {response.reason}); run again")

    def _state(self, reference: int | None) -> Any:
        try:
            return self._ask("get_submission", ref=reference)
        except requests.HTTPError as error:
            status = _status(error)
            if status not in (403, 404):
                raise
            raise InputError(
                f"{self.where}: Kaggle answers {status} when asked about submission {reference}; sign in with the account "
                f"that made it, or delete {self.receipt.path}"
            ) from None

    def _limit(self) -> str:
        """What to add to a refusal, if its reason is that there were enough submissions."""
        try:
            limits = self._ask("get_submission_limits", competition_name=self.competition)
        except requests.RequestException:
            return ""
        if limits.num_allowed_now > 0:
            return ""
        if limits.limited_by_total:
            return f"; your team has made all of the {limits.num_total} submissions that the competition allows"
        if limits.num_today == 0:  # as for who is in no team yet
            return ""
        now = datetime.now(UTC)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        hours, minutes = divmod(math.ceil((midnight - now) / timedelta(minutes=1)), 60)
        return f"; the limit starts again at midnight UTC (in {hours} h {minutes} min)"

    def _ask(self, method: str, **fields: Any) -> Any:
        """Kaggle's answer to one of the client's calls about competitions, over a connection of its own."""
        from kagglesdk.competitions.types import competition_api_service

        words = "".join(word.capitalize() for word in method.split("_"))
        request = getattr(competition_api_service, f"Api{words}Request")()
        for name, value in fields.items():
            setattr(request, name, value)
        with self.api.build_kaggle_client() as client:
            return getattr(client.competitions.competition_api_client, method)(request)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _status(error: requests.RequestException) -> int | None:
    return None if error.response is None else error.response.status_code


def _number(score: str | None) -> float | None:
    """A score as a number: Kaggle's are texts, and empty where there is none to tell."""
    try:
        number = float(score or "nan")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Make a second process with the same file wait until the first has the answer, which then serves both."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(lock))
        except Locked:
            print(f"{lock}: another process is submitting the same file; waiting for it", file=sys.stderr)
            stack.enter_context(locked(lock, math.inf))
        yield
