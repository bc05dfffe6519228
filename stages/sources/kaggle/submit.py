"""Submit a file to Kaggle once and wait for its score.

A receipt (receipt.py) records the state of each file, so that nothing is submitted twice:

- It is written before the submission, then with Kaggle's reference, then with the scores or Kaggle's error.
- Without a reference (no receipt, a killed process, a lost response) the file's hash is searched in the descriptions of the
  team's submissions: once, or for minutes if the file may be on its way. After a lost response the file is not sent again
  automatically: the stage stops, and the same command searches first.
- With a reference the score is requested. With scores or an error nothing is.

The client's `competition_submit` (2.2.4) is not used: it uploads without a time-out, prints errors to stdout, and returns a
message for a failed upload instead of raising.
"""

import hashlib
import math
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import requests
from rich.console import Console

from stages.core.errors import InputError, Interrupted
from stages.core.locks import Locked, locked
from stages.sources.kaggle import client
from stages.sources.kaggle.client import Retries
from stages.sources.kaggle.receipt import Receipt

POLL, LONGEST_POLL = 2.0, 30.0  # seconds between requests for the score; each wait is 1.5 times the last
SETTLING = 300.0  # seconds after which a file that is not in Kaggle's list counts as not submitted
LOOK = 10.0  # seconds between two reads of the list
PAGE = 100  # submissions on a page of the list


def submit(file: Path, competition: str, *, receipts: Path, wait_minutes: float, where: str) -> dict[str, str | int | float]:
    """Submit the file unless it was submitted before, and wait for its score.

    Returns reference, status, and public_score and private_score as far as Kaggle gives them. receipts: a folder that must
    survive a failed stage. where: the key in params.yaml, for messages. Raises InputError if Kaggle refuses the file, cannot
    score it, or has not scored it after wait_minutes, and Interrupted after Ctrl-C; the same call continues.
    """
    client.check_name(competition, where)
    content = file.read_bytes()
    path = receipts / competition / f"{hashlib.sha256(content).hexdigest()}.json"
    with _alone(path.with_suffix(".lock")):
        receipt = Receipt(path)
        try:
            if receipt.facts.status is None:
                _Submission(file, content, competition, receipt, where).finish(wait_minutes)
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
    keys = ("reference", "status", "public_score", "private_score")
    return {key: value for key, value in receipt.known().items() if key in keys}


class _Submission:
    """The submission of one file."""

    def __init__(self, file: Path, content: bytes, competition: str, receipt: Receipt, where: str) -> None:
        self.file, self.content, self.competition, self.receipt, self.where = file, content, competition, receipt, where
        self.mark = receipt.path.stem[:16]  # of the hash
        self.retries = Retries(competition, where)
        self.api = client.sign_in(self.retries)

    def finish(self, wait_minutes: float) -> None:
        """Continue from the receipt's state until there is a score or an error."""
        if self.receipt.facts.reference is None:
            reference = self.find()
            if reference is None:
                reference = self.send()
            self.receipt.add(reference=reference)
        self.wait(wait_minutes)

    def find(self) -> int | None:
        """Return the reference of the team's submission of this file, if Kaggle lists one.

        Looks once if it was not sent, else until SETTLING seconds after it was sent.
        """
        left = min(max(SETTLING - self.receipt.facts.age(), 0.0), SETTLING)
        end = time.monotonic() + left
        if left > 0:
            message = f"{self.file}: may have arrived; looking for it in Kaggle's list for up to {left:.0f} s"
            print(message, file=sys.stderr, flush=True)
        while (reference := self._listed()) is None and (left := end - time.monotonic()) > 0:
            time.sleep(min(LOOK, left))
        return reference

    def send(self) -> int:
        """Upload and submit the file, and return its reference.

        Raises InputError if Kaggle refuses it, or if the response is lost and Kaggle's list does not show the file.
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
                if status is not None and status < 500 and status != 408:  # refused, so there is no submission
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
                    f"{self.where}: {lost}; {self.file} may have arrived: look at {page}; the same command looks first and "
                    "sends it only if it is not there"
                )
            return reference

    def wait(self, minutes: float) -> None:
        """Wait for a score or an error. Raises InputError if there is neither after `minutes`."""
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
        """Return the file's reference in Kaggle's list, whatever its status."""
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
        """Upload the file to Kaggle's storage and return its token."""
        stat = {"content_length": len(self.content), "last_modified_epoch_seconds": int(self.file.stat().st_mtime)}
        target = self._ask("start_submission_upload", competition_name=self.competition, file_name=self.file.name, **stat)
        # Not in the client's session, which would send the user's credentials to the storage.
        response = requests.put(target.create_url, data=self.content, timeout=self.retries.timeout)
        status = response.status_code
        if status in (200, 201):
            return str(target.token)
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
        """Return what to add to a refusal if the submission limit is reached, else an empty string."""
        try:
            limits = self._ask("get_submission_limits", competition_name=self.competition)
        except requests.RequestException:
            return ""
        if limits.num_allowed_now > 0:
            return ""
        if limits.limited_by_total:
            return f"; your team has made all of the {limits.num_total} submissions that the competition allows"
        if limits.num_today == 0:  # as for a user without a team
            return ""
        now = datetime.now(UTC)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        hours, minutes = divmod(math.ceil((midnight - now) / timedelta(minutes=1)), 60)
        return f"; the limit starts again at midnight UTC (in {hours} h {minutes} min)"

    def _ask(self, method: str, **fields: Any) -> Any:
        """Call one of the client's competition methods, over a new connection."""
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
    """Parse one of Kaggle's scores, which are strings and empty if there is none."""
    try:
        number = float(score or "nan")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Make a second process with the same file wait for the first one's result, which serves both."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(lock))
        except Locked:
            print(f"{lock}: another process is submitting the same file; waiting for it", file=sys.stderr)
            stack.enter_context(locked(lock, math.inf))
        yield
