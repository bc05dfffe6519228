"""Kaggle's own client, tamed: signed in without side effects, with time-outs and sentences for its refusals.

As published (2.2.4) it signs in while it is imported, without a time-out; where it finds no credentials it prints help and
makes a folder in the user's home; and with VERBOSE set it prints the headers of every request, the token among them.
Its own retries leave out the calls about competitions.
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


# Of a refusal that ends at midnight, and not in seconds.
DAILY = re.compile(r"\b(daily|today|tomorrow)\b", re.IGNORECASE)


def competition_page(competition: str) -> str:
    return f"https://www.kaggle.com/competitions/{competition}"


def submissions_page(competition: str) -> str:
    return f"{competition_page(competition)}/submissions"


def check_name(competition: str, where: str) -> None:
    """Raises InputError if this can be no competition's name. where: the key in params.yaml, for the message."""
    if not re.fullmatch(r"[A-Za-z0-9-]+", competition):
        page = competition_page("<name>")
        raise InputError(f"{where}: {competition!r} is no competition's name; it is the last part of its address, {page}")


def how_to_sign_in(competition: str) -> str:
    return (
        "create a token on https://www.kaggle.com/settings/api, put it into KAGGLE_API_TOKEN or ~/.kaggle/access_token "
        f"(or the older kaggle.json into ~/.kaggle), and accept the rules on {competition_page(competition)}/rules"
    )


class Retries(retries.Retries):
    """The same for Kaggle, whose refusals it can explain. competition: its name. where: the key in params.yaml."""

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
        """A limit that ends at midnight may come as 429, too: that is not worth the minutes of waiting."""
        response = error.response
        if response is not None and response.status_code == 429 and DAILY.search(self.reason(response)):
            return False
        return super().is_temporary(error)

    def reason(self, response: requests.Response) -> str:
        """The one in the answer's body, without what is as long as a token or an address."""
        words = response.reason
        try:
            body = response.json()
            if response.status_code != 401:  # there it adds nothing, and might quote the credentials
                words = body.get("message") or body["error"]["message"]
        except (ValueError, KeyError, TypeError, AttributeError, requests.RequestException):
            pass
        return re.sub(r"[^\s\"']{24,}", "…", " ".join(str(words).split()))[:300]


def sign_in(retries: Retries) -> "KaggleApi":
    """Kaggle's client with the user's credentials, in the client's own order: token, kaggle.json or environment, OAuth.

    Every request that it makes through `build_kaggle_client` has a time-out.
    Raises InputError, in which no credential shows, if there are none or Kaggle does not take them.
    """
    api = _import()()
    _add_timeouts(api)
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            retries.run(api.authenticate)
    except InputError:
        raise
    except (SystemExit, KeyError, TypeError, ValueError, AttributeError, OSError):  # AttributeError: a kaggle.json of a list
        # Nothing of the error is passed on: http.client (ValueError) quotes a token that cannot stand in a header, and the
        # system (OSError) one that the client takes for a file's name.
        given = "KAGGLE_API_TOKEN" in os.environ
        found = "cannot use KAGGLE_API_TOKEN, which is wrong or has expired" if given else "finds no valid credentials"
        advice = how_to_sign_in(retries.competition)
        raise InputError(f"{retries.where}: Kaggle's client {found}; {advice}") from None
    if said.getvalue():  # such as a warning that others can read kaggle.json
        print(said.getvalue().strip(), file=sys.stderr)
    return api


@functools.cache
def _import() -> type["KaggleApi"]:
    """The client's class, imported while its hands are tied: no request, no folder, no print."""
    offline = requests.ConnectionError("an import has no business on the network")
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
        if isinstance(http._session.auth, tuple):  # requests would encode texts as Latin-1, or fail
            http._session.auth = tuple(str(part).encode() for part in http._session.auth)
        http._session.headers["Accept-Encoding"] = "identity"  # lengths and ranges count the archive's own bytes
        return client

    api.build_kaggle_client = build_with_timeouts


class _WithTimeout(HTTPAdapter):
    def send(self, *args: Any, **options: Any) -> requests.Response:
        return super().send(*args, **options | {"timeout": options.get("timeout") or Retries.timeout})
