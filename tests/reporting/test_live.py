"""`make watch`: what the server answers, how a page follows a training in a browser, and how the command ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stages import watch
from stages.core.errors import InputError
from stages.reporting import live
from tests.browser import Opened
from tests.conftest import ROOT, Project
from tests.test_report import EPOCHS, write_run

TABLE = Path("metrics/custom_resnet/train/plots/metrics/dev/loss.tsv")


@pytest.fixture
def address(project: Project) -> Iterator[str]:
    """Of a server for a project in which one run was trained."""
    write_run("custom_resnet", "accuracy")
    with live.server(0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def get(address: str) -> str:
    with urllib.request.urlopen(address) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.read().decode()


def values(address: str, split: str) -> list[float]:
    """The loss of custom_resnet as the server has it now."""
    rows = json.loads(get(f"{address}state"))["rows"]["custom_resnet loss"]
    return [row["value"] for row in rows if row["split"] == split]


def grow(epoch: int, value: float) -> None:
    """What DVCLive writes after an epoch."""
    with TABLE.open("a") as table:
        table.write(f"{epoch}\t{value}\n")


def test_the_state_grows_with_the_tables(address: str) -> None:
    before = values(address, "dev")
    assert len(before) == EPOCHS
    grow(EPOCHS + 1, 0.125)
    assert values(address, "dev") == [*before, 0.125] and len(values(address, "train")) == EPOCHS
    TABLE.write_text("step\tloss\n1")
    assert "custom_resnet loss" not in json.loads(get(f"{address}state"))["rows"], "half a table is none"
    TABLE.write_text("step\tloss\n1\tnan\n")
    assert values(address, "dev") == [None]


def test_the_page_is_made_when_it_is_asked_for(address: str) -> None:
    assert "123" not in get(address)[:100] and 'id="live"' in get(address)
    write_run("pblstm", "distance")
    assert "edit distance 0.625" in get(address)


def test_what_cannot_be_made_is_told_and_the_server_goes_on(address: str, project: Project) -> None:
    project.set(seed="<b>")
    for path, code, text in (("", 500, "seed: "), ("nothing", 404, ""), ("experiments", 500, "need a git repository")):
        with pytest.raises(urllib.error.HTTPError) as raised:
            get(address + path)
        assert raised.value.code == code and text in (said := raised.value.read().decode()) and "<b>" not in said
    project.set(seed=1)
    assert "Results on sample data" in get(address)


def test_a_curve_grows_in_the_browser_and_keeps_its_place_and_its_zoom(address: str, browser: Any) -> None:
    opened = Opened(browser, address, 1280)
    page = opened.page
    page.wait_for_function("views.size == 3")
    page.get_by_role("button", name="zoom in").first.click()
    page.evaluate("scrollTo(0, 700)")
    rows = "views.get('custom_resnet loss').data('rows')"
    zoom = "JSON.stringify(views.get('custom_resnet loss').signal('zoom_epoch'))"
    zoomed = page.evaluate(zoom)
    page.wait_for_function("last.size == 3")
    grow(EPOCHS + 1, 0.125)
    page.wait_for_function(f"{rows}.some((row) => row.value === 0.125)")
    assert page.evaluate(zoom) == zoomed != "[]" and page.evaluate("scrollY") == 700
    assert page.get_by_role("status").text_content().startswith(f"custom_resnet: epoch {EPOCHS + 1}, at ")
    assert not page.locator("#anew").is_visible()
    Path("metrics/custom_resnet.json").write_text("{}")
    page.locator("#anew").wait_for(state="visible")
    note = page.get_by_text("The curves are newer").first
    assert not note.is_visible()
    os.utime("metrics/custom_resnet.json", (0, 0))
    note.wait_for(state="visible")
    write_run("pblstm", "distance")
    # The page is loaded again, with the new run's charts.
    page.wait_for_function("document.querySelectorAll('.plot svg').length == 6")
    assert opened.said == [] and opened.elsewhere == []


def test_the_page_says_that_the_server_is_gone_and_finds_it_again(address: str, browser: Any) -> None:
    opened = Opened(browser, address, 1280)
    opened.page.wait_for_function("last.size == 3")
    opened.page.route("**/state", lambda route: route.abort())
    opened.page.wait_for_function("document.querySelector('#live').textContent.startsWith('The server does not answer')")
    opened.page.unroute("**/state")
    grow(EPOCHS + 1, 0.125)
    opened.page.wait_for_function("document.querySelector('#live').textContent.includes('epoch')")


def test_ctrl_c_ends_the_command_with_one_line_and_code_0(project: Project) -> None:
    command = [sys.executable, "-m", "stages.watch", "--port", "0"]
    process = subprocess.Popen(
        command, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    assert process.communicate() == ("\nstopped\n", "") and process.returncode == 0


def test_a_port_that_is_taken_or_none_is_told(project: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"port {port} is taken; choose another, as in `make watch PORT={port + 1}`"):
            watch.main(["--port", str(port)])
    with pytest.raises(InputError, match="port 70000: must be"):
        watch.main(["--port", "70000"])
