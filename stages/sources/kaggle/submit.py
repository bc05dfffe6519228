"""A submission file to Kaggle: sent once, then asked about until it has a score.

What is known of a file stands in its receipt, <receipts>/<competition>/<SHA-256>.json, so that nothing is submitted twice:

- The receipt is written before the submission is made, then with Kaggle's reference, then with the scores or Kaggle's error.
- Without a reference (no receipt, a process that died, an answer that got lost) the file is looked for in Kaggle's list of
  the team's submissions, by the hash in its description. It is sent if, and only if, it is not there.
- With a reference its score is asked for by that. With scores or an error nothing is asked at all.

So a receipt can be deleted: then the scores are read again, such as the private one, which appears when a competition ends;
only a file that Kaggle could not score is then sent again.

The calls are the client's own. Its `competition_submit` (2.2.4) is not used: it uploads without a time-out, prints what went
wrong to stdout, and answers a failed upload with a message in place of an exception.
"""

import hashlib
import json
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

from stages.core import paths
from stages.core.errors import InputError, Interrupted
from stages.core.locks import Locked, locked
from stages.sources.kaggle import client
from stages.sources.kaggle.client import Retries

POLL, LONGEST_POLL = 2.0, 30.0  # seconds between two questions about the score: the first is half as much again each time
SETTLING = 10.0  # seconds to give Kaggle's list before what is not in it counts as not submitted
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
            if "status" not in receipt.facts:
                _Submission(file, content, competition, receipt, where).bring_to_an_end(wait_minutes)
        except KeyboardInterrupt:
            what = f"submission {receipt.facts['reference']}" if "reference" in receipt.facts else str(file)
            raise Interrupted(f"{what} to {competition}: the same command continues, and submits nothing twice") from None
    facts = receipt.facts
    if facts["status"] == "error":
        page = f"{client.competition_page(competition)}/submissions"
        raise InputError(
            f"{where}: Kaggle could not score {file} (submission {facts['reference']}): {facts['error']}; see {page}; "
            f"the same file is not submitted again unless you delete {path}"
        )
    return {key: facts[key] for key in ("reference", "status", "public_score", "private_score") if key in facts}


class _Receipt:
    """What is known of a file. The keys, in the order in which they appear: file, description, sent, reference, status
    (complete or error), public_score and private_score or error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.facts: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
            if not isinstance(self.facts, dict):
                raise ValueError("facts have names")
        except (ValueError, RecursionError):
            raise InputError(f"{path}: is no receipt; delete it, and Kaggle's own list is asked instead") from None

    def add(self, **facts: Any) -> None:
        self.facts |= facts
        with paths.replacing(self.path) as beside:
            beside.write_text(json.dumps(self.facts, indent=2) + "\n")


class _Submission:
    """One file's way through Kaggle."""

    def __init__(self, file: Path, content: bytes, competition: str, receipt: _Receipt, where: str) -> None:
        self.file, self.content, self.competition, self.receipt, self.where = file, content, competition, receipt, where
        self.mark = receipt.path.stem[:16]  # of the hash
        self.retries = Retries(competition, where)
        self.api = client.sign_in(self.retries)

    def bring_to_an_end(self, wait_minutes: float) -> None:
        """From wherever the receipt says that it is."""
        if "reference" not in self.receipt.facts:
            reference = self.find()
            if reference is None:
                reference = self.send()
            self.receipt.add(reference=reference)
        self.wait(wait_minutes)

    def find(self) -> int | None:
        """The reference of the team's submission of this very file, if Kaggle lists one.

        One that ended in an error counts only if there is a receipt, that is, if it may be this process or its predecessor
        that has just made it.
        """
        sent = self.receipt.facts.get("sent")
        if sent is not None:
            age = time.time() - datetime.fromisoformat(sent).timestamp()
            time.sleep(min(max(SETTLING - age, 0.0), SETTLING))
        page = ""
        while True:
            fields = {"competition_name": self.competition, "page_size": PAGE, "page_token": page}
            answer = self.retries.run(partial(self._ask, "list_submissions", **fields))
            for listed in answer.submissions:
                if self.mark in (listed.description or "") and (sent is not None or listed.status.name != "ERROR"):
                    return int(listed.ref)
            page = answer.next_page_token
            if not page or not answer.submissions:
                return None

    def send(self) -> int:
        """Upload the file, make a submission of it, and return its reference."""
        token = self.retries.run(self._upload)
        description = f"{self.file.parent.name}/{self.file.name} {self.mark}"
        retries = Retries(self.competition, self.where)  # its own: looking into the list must not count as progress
        while True:
            self.receipt.add(file=str(self.file), description=description, sent=datetime.now(UTC).isoformat())
            fields = {"competition_name": self.competition, "submission_description": description}
            try:
                answer = self._ask("create_submission", blob_file_tokens=token, **fields)
            except requests.RequestException as error:
                status = _status(error)
                try:
                    retries.wait(error)
                except InputError as refusal:
                    raise InputError(f"{refusal}{self._limit() if status in (400, 429) else ''}") from None
                reference = self.find() if status != 429 else None  # the answer may be all that failed
            else:
                reference = answer.ref or self.find()
                if reference is None:
                    raise InputError(
                        f"{self.where}: Kaggle made no submission of {self.file}: {answer.message}{self._limit()}"
                    )
            if reference is not None:
                return int(reference)

    def wait(self, minutes: float) -> None:
        """Ask for the score until there is one, or an error. Raises InputError if there is neither after so many minutes."""
        reference, start = self.receipt.facts["reference"], time.monotonic()
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

    def _state(self, reference: int) -> Any:
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
