"""Retries of failed requests. urllib3's Retry counts, backs off and reads Retry-After; the messages are ours.

The Retry is driven by hand, because a download that breaks off in the body is retried too, and progress resets the count.
"""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

import requests
from urllib3 import Retry
from urllib3.exceptions import InvalidHeader, MaxRetryError, ReadTimeoutError

from stages.core.errors import InputError

T = TypeVar("T")
TEMPORARY = (408, 429, 500, 502, 503, 504)


class BrokenOff(requests.ConnectionError):
    """A temporary failure, with a message for the user."""


class Retries:
    """Waits before another attempt, or gives up. where: the start of each message, such as an address."""

    timeout = (15.0, 60.0)  # seconds to connect, and between two pieces of a response
    attempts = 8  # in a row, without progress: two minutes of waiting in total
    backoff = 1.0  # seconds; the second attempt is immediate, the next come after 2, 4, 8, ... times as long
    longest_wait = 300.0  # seconds
    server = "the server"

    def __init__(self, where: str) -> None:
        self.where = where
        self.reset()

    def reset(self) -> None:
        """Restart the count, after progress."""
        self._retry = Retry(self.attempts - 1, backoff_factor=self.backoff, backoff_max=self.longest_wait)

    def wait(self, error: requests.RequestException) -> None:
        """Sleep before the next attempt. Raises InputError if the failure is permanent or too many came in a row."""
        again = "run the same command again later; it continues where it stopped"
        asked = self._retry_after(error)
        if not self.is_temporary(error):
            advice = self.advice(None if error.response is None else error.response.status_code)
        elif asked > self.longest_wait:
            advice = f"it asks to wait for {asked / 60:.0f} minutes; {again}"
        else:
            try:
                self._retry = self._retry.increment(error=error)
                seconds = asked or self._retry.get_backoff_time()
                count = f"{len(self._retry.history)} of {self.attempts}"
                print(f"{self.outline(error)}; trying again in {seconds:.0f} s ({count})", file=sys.stderr)
                time.sleep(seconds)
                return
            except MaxRetryError:
                advice = f"given up after {self.attempts} attempts in a row; {again}"
        raise InputError(f"{self.where}: {self.outline(error)}; {advice}") from None

    def run(self, call: Callable[[], T]) -> T:
        """Call `call` until it succeeds and return its result. Raises InputError like `wait`."""
        while True:
            try:
                result = call()
            except requests.RequestException as error:
                self.wait(error)
            else:
                self.reset()
                return result

    def is_temporary(self, error: requests.RequestException) -> bool:
        """Whether another attempt may succeed."""
        if error.response is None:
            return isinstance(error, (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError))
        return error.response.status_code in TEMPORARY

    def advice(self, status: int | None) -> str:
        """Return what to do about a refusal. status: None if there was no response."""
        return "check the address, or download it by hand"

    def reason(self, response: requests.Response) -> str:
        """Return the server's reason, on one line."""
        return response.reason

    def _retry_after(self, error: requests.RequestException) -> float:
        try:
            return 0.0 if error.response is None else self._retry.get_retry_after(error.response.raw) or 0.0
        except InvalidHeader:
            return 0.0

    def outline(self, error: requests.RequestException) -> str:
        """Describe the failure, without the exception's text, which may contain a signed URL."""
        cause = next(iter(error.args), None)
        if isinstance(error, BrokenOff):
            return str(error)
        if isinstance(error, requests.ConnectTimeout):
            return f"no connection to {self.server} within {self.timeout[0]:.0f} s"
        if isinstance(error, requests.Timeout) or isinstance(cause, ReadTimeoutError):
            return f"no answer from {self.server} for {self.timeout[1]:.0f} s"
        if error.response is None:
            kind = type(getattr(cause, "reason", None) or error).__name__
            return f"the connection to {self.server} broke or could not be made ({kind})"
        return f"{self.server} answers {error.response.status_code} ({self.reason(error.response)})"
