"""Kaggle's own client, signed in without side effects, with time-outs and clear error messages.

Version 2.2.4 signs in on import, without a time-out. Without credentials it prints help and makes a folder in the user's
home; with VERBOSE set it prints each request's headers, including the token. Its retries skip the competition calls.
"""

import functools
import io
import os
import re
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import requests
from requests.adapters import HTTPAdapter

from stages.core.errors import InputError
from stages.sources import retries

if TYPE_CHECKING:
    from kaggle.api.kaggle_api_extended import KaggleApi


# In a refusal that lasts until midnight, not for seconds.
DAILY = re.compile(r"\b(daily|today|tomorrow)\b", re.IGNORECASE)


def competition_page(competition: str) -> str:
    return f"https://www.kaggle.com/competitions/{competition}"


def submissions_page(competition: str) -> str:
    return f"{competition_page(competition)}/submissions"


def check_name(competition: str, where: str) -> None:
    """Raises InputError if `competition` cannot be a competition's name. where: the key in params.yaml."""
    if not re.fullmatch(r"[A-Za-z0-9-]+", competition):
        page = competition_page("<name>")
        raise InputError(f"{where}: {competition!r} is not a competition's name; use the last part of its address, {page}")


def how_to_sign_in(competition: str) -> str:
    return (
        "create a token on https://www.kaggle.com/settings/api, put it into KAGGLE_API_TOKEN or ~/.kaggle/access_token "
        f"(or the older kaggle.json into ~/.kaggle), and accept the rules on {competition_page(competition)}/rules"
    )


class Retries(retries.Retries):
    """Retries with advice on Kaggle's refusals. where: the key in params.yaml."""

    server = "Kaggle"

    def __init__(self, competition: str, where: str) -> None:
        super().__init__(where)
        self.competition = competition

    def advice(self, status: int | None) -> str:
        page = competition_page(self.competition)
        if status == 401:
            return f"the credentials are wrong or have expired; {how_to_sign_in(self.competition)}"
        if status == 403:
            return f"accept the rules on {page}/rules with the account that the credentials belong to, and run again"
        if status == 404:
            return f"is {self.competition!r} the last part of the competition's address, as in {page}?"
        return f"see {page}"

    def is_temporary(self, error: requests.RequestException) -> bool:
        """A daily limit may also come as 429; waiting minutes for that is pointless."""
        response = error.response
        if response is not None and response.status_code == 429 and DAILY.search(self.reason(response)):
            return False
        return super().is_temporary(error)

    def reason(self, response: requests.Response) -> str:
        """Return the reason in the body, without words as long as a token or an address."""
        words = response.reason
        try:
            body = response.json()
            if response.status_code != 401:  # its body adds nothing and might quote the credentials
                words = body.get("message") or body["error"]["message"]
        except (ValueError, KeyError, TypeError, AttributeError, requests.RequestException):
            pass
        return re.sub(r"[^\s\"']{24,}", "…", " ".join(str(words).split()))[:300]


def sign_in(retries: Retries) -> "KaggleApi":
    """Return Kaggle's client, signed in with the user's token, kaggle.json, environment or OAuth, in the client's order.

    Its requests through `build_kaggle_client` have a time-out. Raises InputError, which never shows a credential, if there
    are no credentials or Kaggle rejects them.
    """
    api = _import()()
    _add_timeouts(api)
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            retries.run(api.authenticate)
    except InputError:
        raise
    except (SystemExit, KeyError, TypeError, ValueError, AttributeError, OSError):  # AttributeError: a list in kaggle.json
        # The error is not shown: http.client (ValueError) quotes a token that no header may contain, and the system
        # (OSError) one that the client takes for a file name.
        has_token = "KAGGLE_API_TOKEN" in os.environ
        found = "cannot use KAGGLE_API_TOKEN, which is wrong or has expired" if has_token else "finds no valid credentials"
        advice = how_to_sign_in(retries.competition)
        raise InputError(f"{retries.where}: Kaggle's client {found}; {advice}") from None
    if printed.getvalue():  # such as a warning that others can read kaggle.json
        print(printed.getvalue().strip(), file=sys.stderr)
    return api


@functools.cache
def _import() -> type["KaggleApi"]:
    """Import the client's class without its requests, folders and prints."""
    offline = requests.ConnectionError("no requests during the import")
    with (
        patch.dict(os.environ),
        patch.object(requests.Session, "send", side_effect=offline),
        patch.object(os, "makedirs"),
        redirect_stdout(io.StringIO()),
    ):
        for name in ("VERBOSE", "VERBOSE_OUTPUT"):
            os.environ.pop(name, None)
        from kaggle.api.kaggle_api_extended import KaggleApi

    return KaggleApi


def _add_timeouts(api: "KaggleApi") -> None:
    build = api.build_kaggle_client

    def build_with_timeouts() -> Any:
        client = build()
        http = client.http_client()
        http._init_session()
        for prefix in ("https://", "http://"):
            http._session.mount(prefix, _WithTimeout())
        if isinstance(http._session.auth, tuple):  # requests would encode str as Latin-1, or fail
            http._session.auth = tuple(str(part).encode() for part in http._session.auth)
        http._session.headers["Accept-Encoding"] = "identity"  # so that lengths and ranges count the archive's bytes
        return client

    api.build_kaggle_client = build_with_timeouts


class _WithTimeout(HTTPAdapter):
    def send(self, *args: Any, **options: Any) -> requests.Response:
        return super().send(*args, **options | {"timeout": options.get("timeout") or Retries.timeout})
