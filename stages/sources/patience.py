"""How long a server may keep us waiting, and when a request that failed is worth another."""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

import requests
import urllib3

from stages.core.errors import InputError

T = TypeVar("T")


class Setback(requests.ConnectionError):
    """A failure that may be none next time, in words of ours."""


class Patience:
    """Decides whether a failed request is worth another attempt, and waits before it.

    where: what a message begins with, such as an address or a key in params.yaml.
    """

    timeout = (15.0, 60.0)  # seconds to connect, and between two pieces of an answer
    attempts = 8  # in a row, without anything new: two minutes of waiting in all
    backoff = 1.0  # seconds before the second attempt; doubles from then on
    longest_wait = 300.0  # seconds; who asks for more is answered by giving up
    server = "the server"

    def __init__(self, where: str) -> None:
        self.where = where
        self._failures = 0

    def reset(self) -> None:
        """Something new has arrived: count from the beginning."""
        self._failures = 0

    def wait(self, error: requests.RequestException) -> None:
        """Sleep before the next attempt. Raises InputError if there is no point in one, or were enough of them."""
        self._failures += 1
        asked = _retry_after(error)
        seconds = min(self.backoff * 2 ** (self._failures - 1), self.longest_wait) if asked is None else asked
        again = "run the same command again later, it continues where it stopped"
        if not _may_pass(error):
            advice = self.advice(None if error.response is None else error.response.status_code)
        elif seconds > self.longest_wait:
            advice = f"it asks to wait for {seconds / 60:.0f} minutes; {again}"
        elif self._failures == self.attempts:
            advice = f"given up after {self._failures} attempts in a row; {again}"
        else:
            count = f"{self._failures} of {self.attempts}"
            print(f"{self._outline(error)}; trying again in {seconds:.0f} s ({count})", file=sys.stderr)
            time.sleep(seconds)
            return
        raise InputError(f"{self.where}: {self._outline(error)}; {advice}") from None

    def run(self, call: Callable[[], T]) -> T:
        """call() until it succeeds."""
        while True:
            try:
                result = call()
            except requests.RequestException as error:
                self.wait(error)
            else:
                self.reset()
                return result

    def advice(self, status: int | None) -> str:
        """What to do about a refusal; without a status the request could not even be made."""
        return "check the address, or download it by hand"

    def reason(self, response: requests.Response) -> str:
        """Why the server refuses, on one line."""
        return response.reason

    def _outline(self, error: requests.RequestException) -> str:
        """What went wrong, without what must not show: the exception's own text may hold a signed address."""
        cause = next(iter(error.args), None)
        if isinstance(error, Setback):
            return str(error)
        if isinstance(error, requests.ConnectTimeout):
            return f"no connection to {self.server} within {self.timeout[0]:.0f} s"
        if isinstance(error, requests.Timeout) or isinstance(cause, urllib3.exceptions.ReadTimeoutError):
            return f"no answer from {self.server} for {self.timeout[1]:.0f} s"
        if error.response is None:
            kind = type(getattr(cause, "reason", None) or error).__name__
            return f"the connection to {self.server} broke or could not be made ({kind})"
        return f"{self.server} answers {error.response.status_code} ({self.reason(error.response)})"


def _may_pass(error: requests.RequestException) -> bool:
    if error.response is None:
        return isinstance(error, (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError))
    status = error.response.status_code
    return status in (408, 429) or (status >= 500 and status != 501)  # 501: it knows no such request


def _retry_after(error: requests.RequestException) -> float | None:
    """The seconds that the server asks to wait, which it says as a number or a date."""
    try:
        return None if error.response is None else urllib3.Retry().get_retry_after(error.response.raw)
    except urllib3.exceptions.InvalidHeader:
        return None
