"""A local server for the report and the page of experiments; the report follows a running training.

Pages are made on request. The report then polls its curves every two seconds and redraws those that changed.
"""

import contextlib
import json
import traceback
from collections.abc import Callable
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from stages.core import paths
from stages.core.errors import describe
from stages.reporting import charts, page
from stages.reporting.collect import collect, curves
from stages.reporting.environment import environment
from stages.tasks import load_params

ADDRESS = "127.0.0.1"
CHECKOUT_SECONDS = 5
ERROR = """<!DOCTYPE html><meta http-equiv="refresh" content="3"><title>error</title>
<p>error: {}</p><p>This page reloads every three seconds.</p>"""


def server(port: int) -> ThreadingHTTPServer:
    """Return a server that is ready to serve. port: 0 for any free one. Raises OSError if it is taken or not allowed."""
    return ThreadingHTTPServer((ADDRESS, port), _Handler)


def state() -> dict[str, Any]:
    """Return the rows of each chart, the runs whose numbers are outdated, and the time of the last evaluation."""
    rows: dict[str, Any] = {}
    outdated = []
    for folder in sorted(Path("metrics").glob("*/train")):
        run = folder.parent.name
        try:
            found = curves(paths.history(run))
            if _is_outdated(run):
                outdated.append(run)
        except (OSError, KeyError, TypeError, ValueError):
            continue  # DVC is replacing the file, or a line is incomplete; try again next time
        rows |= {f"{run} {metric}": charts.curve(run, metric, splits)["data"]["values"] for metric, splits in found.items()}
    measured = max((file.stat().st_mtime for file in Path("metrics").glob("*.json")), default=0)
    return {"rows": rows, "outdated": outdated, "measured": measured}


def _is_outdated(run: str) -> bool:
    """Whether the run's numbers are older than its curves, by more than the seconds that a checkout takes."""
    tables = [file.stat().st_mtime for file in paths.history(run).rglob("*.tsv")]
    numbers = paths.headlines(run)
    return numbers.is_file() and bool(tables) and numbers.stat().st_mtime + CHECKOUT_SECONDS < max(tables)


def _report() -> str:
    return page.render(collect(load_params()), environment(), live=True)


def _experiments() -> str:
    from stages.reporting.experiments.collect import collect  # imports DVC, which takes a second
    from stages.reporting.experiments.page import render

    return render(collect(), live=True)


PAGES: dict[str, tuple[str, Callable[[], str]]] = {
    "/": ("text/html", _report),
    "/experiments": ("text/html", _experiments),
    "/state": ("application/json", lambda: json.dumps(state())),
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind, make = PAGES.get(self.path.partition("?")[0], ("", None))
        if make is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        status = HTTPStatus.OK
        try:
            text = make()
        except Exception as error:  # an incomplete file or a bug; the server keeps running
            if (sentence := describe(error)) is None:
                traceback.print_exc()
                sentence = repr(error)
            kind, status = "text/html", HTTPStatus.INTERNAL_SERVER_ERROR
            text = ERROR.format(escape(sentence))
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        with contextlib.suppress(ConnectionError):  # the browser left the page
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Do not log requests, which come every two seconds."""
