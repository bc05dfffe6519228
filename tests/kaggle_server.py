"""A stand-in for Kaggle on 127.0.0.1: it speaks as much of the real client's protocol (2.2) as this project uses.

Download: POST …/DownloadDataFiles -> 302 -> GET of the archive from another host name, with ETag, Range and If-Range.
Submit: POST …/StartSubmissionUpload -> PUT to another host name -> POST …/CreateSubmission -> POST …/GetSubmission until it
is not PENDING; …/ListSubmissions has all of them, the newest first, and …/GetSubmissionLimits says how many more may come.
To try it by hand: `python -m tests.kaggle_server cifar-10=archive.zip` prints the environment that leads the client to it.
"""

import base64
import hashlib
import http.server
import json
import os
import re
import shlex
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

TESTS = Path(__file__).parent
PIECE = 1 << 16
RULES = "You must accept this competition's rules before you'll be able to download files."
DAILY_LIMIT = (
    "Submission not allowed: Your team has used its daily Submission allowance (5) today, please try again tomorrow UTC."
)


class Content(Protocol):
    """The bytes of an archive: `bytes`, or something that makes them as they are asked for."""

    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> bytes: ...


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request. Without a status the right answer is given, but not well.

    A method of the API that is cut does what it was asked for, but nobody learns of it; one that stalls does nothing.
    """

    status: int | None = None
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cut: float | None = None  # the share of the body after which the connection ends
    stall: float | None = None  # the share after which nothing more comes, while the connection stays
    pause: float = 0.0  # seconds before each piece of the body
    longer: int = 0  # what Content-Length says beyond the true length
    late: float = 0.0  # seconds before a method of the API does what it was asked for; its client may have gone by then


@dataclass(frozen=True)
class Request:
    """What was asked. call: the API's method, or `archive`, or `upload`. signed: whether it brought credentials."""

    call: str
    signed: bool
    headers: dict[str, str]  # without Authorization
    payload: dict[str, Any]  # without a token to introspect


class KaggleServer:
    """Serves while it is open (`with KaggleServer() as server`); everything public may be changed meanwhile.

    archives: what each competition's download holds. faults: per call, what goes wrong with its next requests.
    submission_states: the answers of GetSubmission in order, of which the last one stays.
    """

    def __init__(self, port: int = 0) -> None:
        self.token, self.username, self.key = "KGAT_" + "5ec2e7" * 6, "somebody", "c0ffee" * 6
        self.archives: dict[str, Content] = {}
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.requests: list[Request] = []
        self.version = 1  # a change of it is a change of the archives' ETags
        self.publishes_md5 = self.serves_ranges = True
        self.submission_states = ["PENDING", "COMPLETE"]
        self.public_score, self.private_score, self.error_description = "0.93210", "", "Submission contains null values"
        self.daily_limit, self.limited_by_total, self.limit_status = 5, False, 400
        self.list_lag = 0.0  # seconds before a submission is in ListSubmissions
        self.page_size = 100  # what a page of ListSubmissions holds at most
        self.uploads: dict[str, bytes] = {}
        self.submissions: list[dict[str, Any]] = []  # as CreateSubmission was asked for them, with their `ref`
        self.stopping = threading.Event()
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", port), _Handler)
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients hang up, which is what is tested
        self._http.fake = self  # type: ignore[attr-defined]
        self.port = self._http.server_port
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()

    def environment(self, home: Path, **constants: Any) -> dict[str, str]:
        """The environment for a process whose client shall come here: `home` instead of the user's, no credentials.

        constants: new values for those of stages.sources.kaggle.client.Retries.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("KAGGLE_", "XDG_", "VERBOSE"))}
        path = [str(TESTS / "kaggle_client"), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
        return kept | {
            "HOME": str(home),
            "NO_PROXY": "127.0.0.1,localhost",
            "PYTHONPATH": os.pathsep.join(path).rstrip(os.pathsep),
            "FAKE_KAGGLE": self.url,
            "FAKE_KAGGLE_CONSTANTS": json.dumps(constants),
        }

    def calls(self, *names: str) -> list[Request]:
        """The requests so far of these calls, or all of them."""
        return [request for request in self.requests if not names or request.call in names]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def fake(self) -> KaggleServer:
        return self.server.fake  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None: ...

    def do_POST(self) -> None:
        self.is_mute = False
        call = self.path.rsplit("/", 1)[1]
        payload = json.loads(self._read() or b"{}")
        if fault := self._begin(call, payload):
            if fault.status is not None:
                return self._error(fault.status, fault.message, fault.headers)
            if fault.stall is not None:
                return self._hang()
            self.fake.stopping.wait(fault.late)
            self.is_mute = fault.cut is not None
        if call == "IntrospectToken":
            active = payload["token"] == self.fake.token
            return self._json({"active": active, "username": self.fake.username if active else ""})
        if not self._knows_user():
            return self._error(401, "Unauthenticated")
        competition = payload.get("competitionName")
        if competition is not None and competition not in self.fake.archives:
            return self._error(404, f"Competition {competition} was not found")
        answer = {
            "DownloadDataFiles": self._redirect,
            "StartSubmissionUpload": self._start_upload,
            "CreateSubmission": self._create_submission,
            "GetSubmission": self._get_submission,
            "ListSubmissions": self._list_submissions,
            "GetSubmissionLimits": self._get_limits,
        }.get(call)
        return answer(payload) if answer else self._error(404, f"no method {call}")

    def do_GET(self) -> None:
        """The archive, as Google's storage serves it."""
        self.is_mute = False
        fault = self._begin("archive", {}) or Fault()
        if fault.status is not None:
            return self._error(fault.status, fault.message, fault.headers)
        found = re.match(r"/storage/([^/]+)/archive\.zip\?", self.path)
        content = self.fake.archives[found[1]] if found else b""
        etag = f'"{len(content)}-{self.fake.version}"'
        wanted = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        resumes = wanted and self.fake.serves_ranges and self.headers.get("If-Range", etag) == etag
        start = int(wanted[1]) if wanted and resumes else 0
        if start and start >= len(content):
            return self._error(416, "Requested Range Not Satisfiable")
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if self.fake.publishes_md5 and isinstance(content, bytes):
            self.send_header("x-goog-hash", f"md5={base64.b64encode(hashlib.md5(content).digest()).decode()}")
        self.send_header("Content-Length", str(len(content) - start + fault.longer))
        self.send_header("Content-Type", "application/zip")
        self.send_header("ETag", etag)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        end = int(len(content) * min(share for share in (fault.cut, fault.stall, 1.0) if share is not None))
        for position in range(start, end, PIECE):
            self.fake.stopping.wait(fault.pause)
            self.wfile.write(content[position : min(position + PIECE, end)])
        self.close_connection = True
        return None if fault.stall is None else self._hang()

    def do_PUT(self) -> None:
        self.is_mute = False
        content = self._read()
        fault = self._begin("upload", {}) or Fault()
        if fault.status is not None:
            return self._error(fault.status, fault.message, fault.headers)
        if fault.stall is not None:
            return self._hang()
        self.is_mute = fault.cut is not None
        self.fake.uploads[self.path.rsplit("/", 1)[1].split("?")[0]] = content
        return self._json({})

    def _read(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _begin(self, call: str, payload: dict[str, Any]) -> Fault | None:
        """Record the request, and take the fault that is planned for it."""
        headers = {name: value for name, value in self.headers.items() if name != "Authorization"}
        shown = {name: value for name, value in payload.items() if name != "token"}
        self.fake.requests.append(Request(call, "Authorization" in self.headers, headers, shown))
        return self.fake.faults[call].pop(0) if self.fake.faults[call] else None

    def _knows_user(self) -> bool:
        basic = base64.b64encode(f"{self.fake.username}:{self.fake.key}".encode()).decode()
        return self.headers.get("Authorization") in (f"Bearer {self.fake.token}", f"Basic {basic}")

    def _redirect(self, payload: dict[str, Any]) -> None:
        # Another host name, as with Kaggle and its storage: there the client must not show its credentials.
        address = f"http://localhost:{self.fake.port}/storage/{payload['competitionName']}/archive.zip"
        self._answer(302, b"", {"Location": f"{address}?X-Goog-Signature={'5169' * 16}"})

    def _start_upload(self, payload: dict[str, Any]) -> None:
        token = f"upload-{len(self.fake.calls('StartSubmissionUpload'))}"
        address = f"http://localhost:{self.fake.port}/upload/{token}?X-Goog-Signature={'5169' * 16}"
        self._json({"token": token, "createUrl": address})

    def _create_submission(self, payload: dict[str, Any]) -> None:
        if payload["blobFileTokens"] not in self.fake.uploads:
            return self._error(400, "The uploaded file was not found")
        if len(self.fake.submissions) >= self.fake.daily_limit:
            return self._error(self.fake.limit_status, DAILY_LIMIT)
        submission = payload | {"ref": 1000 + len(self.fake.submissions), "made": time.monotonic()}
        self.fake.submissions.append(submission)
        return self._json({"message": f"Successfully submitted to {payload['competitionName']}", "ref": submission["ref"]})

    def _get_submission(self, payload: dict[str, Any]) -> None:
        if payload.get("ref") not in [submission["ref"] for submission in self.fake.submissions]:
            return self._error(404, "Submission not found")
        states = self.fake.submission_states
        return self._json(self._submission(payload["ref"], states.pop(0) if len(states) > 1 else states[0]))

    def _list_submissions(self, payload: dict[str, Any]) -> None:
        shown = [s for s in self.fake.submissions if s["made"] + self.fake.list_lag <= time.monotonic()]
        of_competition = [s for s in shown if s["competitionName"] == payload["competitionName"]]
        listed = [self._submission(s["ref"], self.fake.submission_states[0]) for s in reversed(of_competition)]
        start = int(payload.get("pageToken") or 0)
        end = start + min(payload.get("pageSize", 20), self.fake.page_size)
        self._json({"submissions": listed[start:end], "nextPageToken": str(end) if end < len(listed) else ""})

    def _get_limits(self, payload: dict[str, Any]) -> None:
        made = len(self.fake.submissions)
        allowed = max(self.fake.daily_limit - made, 0)
        extra = {"numAllowedNow": allowed, "limitedByTotal": self.fake.limited_by_total}
        self._json({"numToday": made, "numTotal": made} | extra)

    def _submission(self, ref: int, state: str) -> dict[str, Any]:
        description = next(s["submissionDescription"] for s in self.fake.submissions if s["ref"] == ref)
        scores = {"publicScore": self.fake.public_score, "privateScore": self.fake.private_score}
        extra = {"COMPLETE": scores, "ERROR": {"errorDescription": self.fake.error_description}}.get(state, {})
        about = {"description": description, "fileName": "submission.csv", "date": "2026-01-02T03:04:05.678Z"}
        return {"ref": ref, "status": state} | about | extra

    def _error(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        """Kaggle writes the reason in one of two forms; its gate, which counts requests, in the second."""
        body: dict[str, Any] = {"code": status, "message": message}
        self._json({"error": body} if status == 429 else body, status, headers)

    def _json(self, body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        if self.is_mute:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _hang(self) -> None:
        self.close_connection = True
        self.fake.stopping.wait()


def main() -> None:
    with KaggleServer() as server:
        for argument in sys.argv[1:]:
            competition, path = argument.split("=", 1)
            server.archives[competition] = Path(path).read_bytes()
        environment = server.environment(Path.home()) | {"KAGGLE_API_TOKEN": server.token}
        names = ("PYTHONPATH", "NO_PROXY", "FAKE_KAGGLE", "KAGGLE_API_TOKEN")
        print("export " + " ".join(f"{name}={shlex.quote(environment[name])}" for name in names), flush=True)
        while True:
            time.sleep(1)


if __name__ == "__main__":
    main()
