"""The report and the page of experiments over HTTP, for this machine alone; the report follows a training that is running.

A page is made when it is asked for. The report then asks for its curves every two seconds and draws those that have grown.
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
<p>error: {}</p><p>This page asks again every three seconds.</p>"""


def server(port: int) -> ThreadingHTTPServer:
    """Ready to serve; port 0: any that is free. Raises OSError: the port is taken or not allowed."""
    return ThreadingHTTPServer((ADDRESS, port), _Handler)


def state() -> dict[str, Any]:
    """What may have changed: rows by the chart they belong to, the runs with old numbers, and when any was last measured."""
    rows: dict[str, Any] = {}
    outdated = []
    for folder in sorted(Path("metrics").glob("*/train")):
        run = folder.parent.name
        try:
            found = curves(paths.history(run))
            if _is_outdated(run):
                outdated.append(run)
        except (OSError, KeyError, TypeError, ValueError):
            continue  # DVC takes it away, or a line is half written: the next time, then
        rows |= {f"{run} {metric}": charts.curve(run, metric, splits)["data"]["values"] for metric, splits in found.items()}
    measured = max((file.stat().st_mtime for file in Path("metrics").glob("*.json")), default=0)
    return {"rows": rows, "outdated": outdated, "measured": measured}


def _is_outdated(run: str) -> bool:
    """Whether the run's numbers are older than its curves, and not only by the seconds that a checkout takes."""
    tables = [file.stat().st_mtime for file in paths.history(run).rglob("*.tsv")]
    numbers = paths.headlines(run)
    return numbers.is_file() and bool(tables) and numbers.stat().st_mtime + CHECKOUT_SECONDS < max(tables)


def _report() -> str:
    return page.render(collect(load_params()), environment(), live=True)


def _experiments() -> str:
    from stages.reporting.experiments.collect import collect  # with DVC, whose import takes a second
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
        except Exception as error:  # a file half written, or a mistake of ours: the server goes on
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
        with contextlib.suppress(ConnectionError):  # the page was left before it came
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: a line for every two seconds would say nothing."""
