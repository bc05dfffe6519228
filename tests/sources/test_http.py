"""Downloads from a server on this machine that does all that servers do: redirect, stall, break off, change its mind."""

import hashlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from stages.core import progress
from stages.core.errors import InputError, Interrupted
from stages.sources import http, retries
from stages.sources.retries import Retries

BODY = np.random.default_rng(0).bytes(1_000_003)
OTHER = np.random.default_rng(1).bytes(900_001)
SHA256 = f"sha256:{hashlib.sha256(BODY).hexdigest()}"


@dataclass
class Answer:
    """How one request is answered. cut, stall: the share of the body after which it breaks off or falls silent."""

    body: bytes = BODY
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"v1"'})
    ranges: bool = True
    cut: float = 1.0
    stall: bool = False
    pause: float = 0.0  # after every 64 KiB
    claim: int | None = None  # a Content-Length that is not true; -1 for none


class Site:
    """A server whose next answers are `plan`, and `then` ever after.

    asked: the Range of each request, or None. accepted: the encodings that were.
    """

    def __init__(self) -> None:
        self.plan: list[Answer] = []
        self.then = Answer()
        self.asked: list[str | None] = []
        self.accepted: set[str] = set()
        self.released = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.headers["Range"])
                site.accepted.add(self.headers["Accept-Encoding"])
                site.answer(self, site.plan.pop(0) if site.plan else site.then)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/data/set.tar.gz"

    def answer(self, request: BaseHTTPRequestHandler, answer: Answer) -> None:
        status, body, headers, start = answer.status, answer.body, dict(answer.headers), 0
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers["Range"] or "")
        validators = (None, headers.get("ETag"), headers.get("Last-Modified"))
        if status == 200 and answer.ranges and wanted and request.headers["If-Range"] in validators:
            start = int(wanted[1])
            status = 206 if start < len(body) else 416
            headers["Content-Range"] = (
                f"bytes {start}-{len(body) - 1}/{len(body)}" if status == 206 else f"bytes */{len(body)}"
            )
        body = body[start:] if status in (200, 206) else b"no"
        request.send_response(status)
        if answer.claim != -1:
            headers["Content-Length"] = str(answer.claim or len(body))
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        end = round(answer.cut * len(body))
        try:
            for place in range(0, end, 1 << 16):
                request.wfile.write(body[place : min(end, place + (1 << 16))])
                time.sleep(answer.pause)
        except OSError:  # the other side was killed
            return
        if answer.stall:
            self.released.wait(60)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(Retries, "backoff", 0.001)
    site = Site()
    threading.Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield site
    site.released.set()
    site.server.shutdown()
    site.server.server_close()


Fetch = Callable[..., Path]


@pytest.fixture
def fetch(site: Site, tmp_path: Path) -> Fetch:
    def run(url: str | None = None, checksum: str | None = SHA256) -> Path:
        return http.fetch(url or site.url, tmp_path / "out", tmp_path / "cache", checksum=checksum)

    return run


def kept(folder: Path) -> list[str]:
    """What lies in the cache, but for the lock, which cannot be removed without a race."""
    return sorted(file.name for file in (folder / "cache").iterdir() if file.suffix != ".lock")


def test_a_file_comes_whole_under_its_name_and_leaves_no_traces(fetch: Fetch, tmp_path: Path) -> None:
    assert fetch() == tmp_path / "out/set.tar.gz"
    assert fetch().read_bytes() == BODY
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["set.tar.gz"]
    assert kept(tmp_path) == []


def test_a_redirect_to_a_slow_server_is_followed(site: Site, fetch: Fetch) -> None:
    site.plan = [Answer(status=302, headers={"Location": "/mirror/other"}), Answer(pause=0.01)]
    assert fetch().name == "set.tar.gz"
    assert fetch().read_bytes() == BODY


@pytest.mark.parametrize("headers", [{"ETag": '"v1"'}, {"Last-Modified": "Sat, 01 Jan 2022 00:00:00 GMT", "ETag": 'W/"v1"'}])
def test_a_body_that_breaks_off_is_continued_where_it_stopped(
    headers: dict[str, str], site: Site, fetch: Fetch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.plan, site.then = [Answer(headers=headers, cut=0.6), Answer(headers=headers, cut=0.5)], Answer(headers=headers)
    assert fetch().read_bytes() == BODY
    starts = [0 if asked is None else int(asked[6:-1]) for asked in site.asked]
    assert starts[0] == 0 < 0.55 * len(BODY) < starts[1] < 0.75 * len(BODY) < starts[2]
    assert "trying again in" in capsys.readouterr().err


def test_a_killed_download_is_continued_by_the_next_command(site: Site, fetch: Fetch, tmp_path: Path) -> None:
    site.plan = [Answer(pause=0.05)]
    code = f"""
from pathlib import Path
from stages.sources import http
http.fetch({site.url!r}, Path({str(tmp_path)!r}) / "out", Path({str(tmp_path)!r}) / "cache", checksum={SHA256!r})
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    partial = tmp_path / "cache/set.tar.gz.partial"
    deadline = time.monotonic() + 60
    while not partial.exists() or partial.stat().st_size < 300_000:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    size = partial.stat().st_size
    assert size < len(BODY) and not list((tmp_path / "out").iterdir())
    assert fetch().read_bytes() == BODY
    assert site.asked == [None, f"bytes={size}-"]
    assert kept(tmp_path) == []


def stop_at(site: Site, fetch: Fetch, share: float, answer: Answer | None = None) -> None:
    """Leave a partial file behind, as a killed process does."""
    site.plan = [answer or Answer(cut=share), *[Answer(status=404)]]
    with pytest.raises(InputError):
        fetch()
    site.asked.clear()


def cut_to(folder: Path, size: int) -> None:
    """How much of a broken-off body arrives is a matter of chance; this is not."""
    with (folder / "cache/set.tar.gz.partial").open("r+b") as file:
        assert file.seek(0, 2) > size
        file.truncate(size)


def test_a_part_that_is_whole_is_not_asked_for_again(site: Site, fetch: Fetch, tmp_path: Path) -> None:
    stop_at(site, fetch, 0.6)
    (tmp_path / "cache/set.tar.gz.partial").write_bytes(BODY)
    assert fetch().read_bytes() == BODY and site.asked == []


def test_a_part_of_another_address_is_not_continued(site: Site, fetch: Fetch) -> None:
    stop_at(site, fetch, 0.6)
    assert fetch(site.url.replace("data", "other")).read_bytes() == BODY
    assert site.asked == [None]


@pytest.mark.parametrize("note", ["", '{"length": "x"}'])
def test_a_part_with_a_damaged_note_is_not_continued(note: str, site: Site, fetch: Fetch, tmp_path: Path) -> None:
    stop_at(site, fetch, 0.6)
    (tmp_path / "cache/set.tar.gz.partial.json").write_text(note)
    assert fetch().read_bytes() == BODY
    assert site.asked == [None]


def test_a_file_that_changed_on_the_server_comes_anew(site: Site, fetch: Fetch) -> None:
    stop_at(site, fetch, 0.6)
    site.then = Answer(body=OTHER, headers={"ETag": '"v2"'})
    assert fetch(checksum=None).read_bytes() == OTHER
    assert len(site.asked) == 1  # If-Range: the server itself sends the whole


@pytest.mark.parametrize(("version", "length"), [("v1", len(OTHER)), ("v2", len(BODY))])
def test_a_changed_file_is_noticed_though_the_server_ignores_if_range(
    version: str, length: int, site: Site, fetch: Fetch, tmp_path: Path
) -> None:
    stop_at(site, fetch, 0.6)
    cut_to(tmp_path, 500_000)
    headers = {"ETag": f'"{version}"', "Content-Range": f"bytes 500000-{length - 1}/{length}"}
    site.plan = [Answer(body=OTHER[500_000:], status=206, headers=headers)]
    site.then = Answer(body=OTHER, headers={"ETag": '"v2"'})
    assert fetch(checksum=None).read_bytes() == OTHER
    assert site.asked[1] is None


def test_a_changed_file_that_is_shorter_than_the_part_comes_anew(site: Site, fetch: Fetch) -> None:
    stop_at(site, fetch, 0.6)
    site.then = Answer(body=OTHER[:1000])  # of the same ETag, so that the server answers 416
    assert fetch(checksum=None).read_bytes() == OTHER[:1000]
    assert len(site.asked) == 2 and site.asked[1] is None


def test_a_server_that_sends_less_than_was_asked_for_is_asked_for_the_rest(site: Site, fetch: Fetch, tmp_path: Path) -> None:
    stop_at(site, fetch, 0.6)
    cut_to(tmp_path, 500_000)
    headers = {"ETag": '"v1"', "Content-Range": f"bytes 500000-699999/{len(BODY)}"}
    site.plan = [Answer(body=BODY[500_000:700_000], status=206, headers=headers)]
    assert fetch().read_bytes() == BODY
    assert site.asked == ["bytes=500000-", "bytes=700000-"]


@pytest.mark.parametrize("then", [Answer(ranges=False), Answer(headers={}), Answer(headers={"ETag": 'W/"v1"'})])
def test_a_server_without_ranges_or_without_versions_sends_the_whole_again(then: Answer, site: Site, fetch: Fetch) -> None:
    site.plan, site.then = [Answer(headers=then.headers, ranges=then.ranges, cut=0.6)], then
    assert fetch().read_bytes() == BODY
    assert len(site.asked) == 2 and (site.asked[1] is None) == then.ranges


def test_a_body_of_unknown_length_comes_whole(site: Site, fetch: Fetch) -> None:
    site.then = Answer(claim=-1)
    assert fetch().read_bytes() == BODY


def test_what_a_server_calls_an_encoding_is_kept_as_it_comes(site: Site, fetch: Fetch) -> None:
    site.then = Answer(headers={"Content-Encoding": "gzip", "Content-Type": "application/x-tar"})
    assert fetch().read_bytes() == BODY
    assert site.accepted == {"identity"}


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_is_busy_twice_is_asked_a_third_time(status: int, site: Site, fetch: Fetch) -> None:
    site.plan = [Answer(status=status, headers={})] * 2
    assert fetch().read_bytes() == BODY
    assert len(site.asked) == 3


def test_it_waits_as_long_as_the_server_asks_and_else_twice_as_long_each_time(
    site: Site, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(retries, "time", SimpleNamespace(sleep=waits.append))
    monkeypatch.setattr(Retries, "backoff", 1.0)
    busy = Answer(status=503, headers={})
    site.plan = [busy, Answer(status=429, headers={"Retry-After": "17"}), busy, Answer(cut=0.6), busy]
    assert fetch().read_bytes() == BODY
    assert waits == [0, 17, 4, 0, 2]  # progress starts the count again


@pytest.mark.parametrize("asked", ["soon", "-1", "Sat, 01 Jan 2022 00:00:00 GMT"])
def test_a_wait_that_is_no_number_or_lies_in_the_past_delays_nothing(asked: str, site: Site, fetch: Fetch) -> None:
    site.plan = [Answer(status=503, headers={"Retry-After": asked})]
    assert fetch().read_bytes() == BODY


def test_a_server_that_asks_for_too_long_a_wait_is_an_error(site: Site, fetch: Fetch) -> None:
    site.plan = [Answer(status=429, headers={"Retry-After": "3600"})]
    with pytest.raises(InputError, match=r"answers 429 .*; it asks to wait for 60 minutes; run the same command again"):
        fetch()


@pytest.mark.parametrize("status", [403, 501])
def test_a_refusal_is_an_error_at_once(status: int, site: Site, fetch: Fetch, tmp_path: Path) -> None:
    site.then = Answer(status=status)
    with pytest.raises(InputError, match=rf"^{site.url}: the server answers {status} \(\w+.*\); check the address"):
        fetch()
    assert len(site.asked) == 1
    assert not list((tmp_path / "out").iterdir())


def test_a_server_that_falls_silent_is_left_and_asked_again(
    site: Site, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Retries, "timeout", (30.0, 0.3))
    site.plan = [Answer(cut=0.6, stall=True), Answer(body=BODY, cut=0.0, stall=True)]
    assert fetch().read_bytes() == BODY
    assert capsys.readouterr().err.count("no answer from the server for 0 s") >= 2
    assert site.asked[1] is not None and site.asked[1] == site.asked[2]


def test_without_progress_it_gives_up_and_the_same_command_continues(site: Site, fetch: Fetch, tmp_path: Path) -> None:
    site.plan, site.then = [Answer(cut=0.6)], Answer(status=503)
    with pytest.raises(InputError, match=rf"^{site.url}: the server answers 503 .* 8 attempts in a row; run the same"):
        fetch()
    assert len(site.asked) == Retries.attempts
    site.then, site.asked = Answer(), []
    assert fetch().read_bytes() == BODY
    assert site.asked[0] is not None


@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_that_always_breaks_off_at_the_same_place_makes_no_progress(ranges: bool, site: Site, fetch: Fetch) -> None:
    site.then = Answer(ranges=False, cut=0.6) if not ranges else Answer(claim=len(BODY) + 10, headers={})
    with pytest.raises(InputError, match="given up after 8 attempts in a row; run the same command again later"):
        fetch()
    assert len(site.asked) == Retries.attempts


@pytest.mark.parametrize(("algorithm", "share"), [("md5", 0.6), ("sha256", 0.0)])
def test_another_checksum_throws_the_part_away(
    algorithm: str, share: float, site: Site, fetch: Fetch, tmp_path: Path
) -> None:
    if share:
        stop_at(site, fetch, share, Answer(cut=share, body=BODY[:100] + b"!" + BODY[101:]))
    right = hashlib.new(algorithm, BODY).hexdigest()
    with pytest.raises(InputError, match=rf"its {algorithm} is \w+ instead of \w+, so it was deleted") as caught:
        fetch(checksum=f"{algorithm}:{right if share else right[::-1]}")
    assert site.url in str(caught.value)
    assert kept(tmp_path) == [] and not list((tmp_path / "out").iterdir())
    assert fetch(checksum=f"{algorithm}:{right.upper()}").read_bytes() == BODY
    assert site.asked[-1] is None


def test_too_little_space_is_an_error_before_anything_is_written(
    site: Site, fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = len(BODY) - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    with pytest.raises(InputError, match=r"cache: http.* needs 0\.001 GB there, but 0\.001 GB are free") as caught:
        fetch()
    assert site.url in str(caught.value)
    assert (tmp_path / "cache/set.tar.gz.partial").stat().st_size == 0
    free = len(BODY)
    assert fetch().read_bytes() == BODY


def test_a_part_needs_only_the_space_for_the_rest(site: Site, fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at(site, fetch, 0.6)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=0.45 * len(BODY)))
    assert fetch().read_bytes() == BODY


def test_another_file_system_for_the_result_needs_space_for_the_whole(
    site: Site, fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system, at /dev/shm")
    out = elsewhere / f"test-{tmp_path.name}-{time.time_ns()}"
    usage = {out: len(BODY) - 1, tmp_path / "cache": 10**9}
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=usage[folder]))
    try:
        with pytest.raises(InputError, match=rf"^{out}: http"):
            http.fetch(site.url, out, tmp_path / "cache", checksum=SHA256)
        usage[out] += 1
        assert http.fetch(site.url, out, tmp_path / "cache", checksum=SHA256).read_bytes() == BODY
        assert kept(tmp_path) == [] and len(list(out.iterdir())) == 1
    finally:
        shutil.rmtree(out, ignore_errors=True)


def test_a_second_download_of_the_same_file_is_refused_while_the_first_runs(site: Site, fetch: Fetch) -> None:
    site.plan = [Answer(cut=0.5, stall=True)]
    first = threading.Thread(target=fetch)
    first.start()
    while not site.asked and first.is_alive():
        time.sleep(0.005)
    with pytest.raises(InputError, match=rf"^{site.url}: another process is downloading it"):
        fetch()
    site.released.set()
    first.join()
    assert fetch().read_bytes() == BODY


def test_ctrl_c_says_where_it_continues(site: Site, fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(retries, "time", SimpleNamespace(sleep=interrupt))
    site.plan = [Answer(cut=0.6)]
    with pytest.raises(Interrupted, match=r"the same command continues from [56]\d\d,\d\d\d bytes"):
        fetch()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/a.zip", "nothing/a.zip"])
def test_what_is_no_address_is_an_error_at_once(url: str, fetch: Fetch) -> None:
    with pytest.raises(InputError, match=rf"^{url}: the connection .* could not be made .*; check the address"):
        fetch(url)


def test_a_server_that_is_not_there_is_named_after_some_attempts(site: Site, fetch: Fetch) -> None:
    site.server.shutdown()
    site.server.server_close()
    with pytest.raises(InputError, match=r"could not be made \(NewConnectionError\); given up after 8 attempts"):
        fetch()


def test_a_terminal_shows_a_bar_and_other_outputs_get_lines(
    site: Site, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SECONDS_PER_LINE", 0.0)
    fetch()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"set.tar.gz: 1.0 MB from {site.url}" and lines[-1].startswith("set.tar.gz: 1.0 of 1.0 MB, ")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fetch()
    shown = capsys.readouterr()
    assert shown.out == "" and "set.tar.gz" in shown.err


def test_a_name_is_taken_from_the_address_alone(site: Site, fetch: Fetch) -> None:
    assert fetch(site.url.replace("set.tar.gz", "a%20b.zip?version=1#top")).name == "a b.zip"
    with pytest.raises(InputError, match="names no file to download"):
        fetch(site.url.replace("data/set.tar.gz", "a/%2e%2e"))
