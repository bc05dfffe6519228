"""The page of `make demo`, in a real browser: its answers and refusals are `predict`'s, and nothing leaves the machine."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from stages import predict
from tests.conftest import ROOT
from tests.test_predict import find

ANSWER_MS = 60_000


@pytest.fixture(scope="module")
def installed() -> None:
    pytest.importorskip("gradio", reason="Gradio is not installed: `make demo` installs it")


@pytest.fixture(scope="module")
def address(installed: None, browser: Any, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a page that shows the trained project, whose server runs behind a proxy that is not there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = tmp_path_factory.mktemp("given")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(given), "http_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "stages.demo", "--port", str(port)]
    with subprocess.Popen(command, cwd=trained, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            line = f"http://127.0.0.1:{port}/: custom_resnet, resnet50, bilstm; Ctrl-C stops it\n"
            assert server.stdout.readline() == line
            yield f"http://127.0.0.1:{port}/"
            assert _files(given)
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 0
        finally:
            server.kill()
    assert not _files(given), "what was given is deleted"


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


class Opened:
    """The tab of a task on a page of its own, and what the page asked for."""

    def __init__(self, browser: Any, address: str, task: str, width: int = 1280) -> None:
        self.page = browser.new_context(viewport={"width": width, "height": 900}).new_page()
        self.page.set_default_timeout(ANSWER_MS)
        self.asked: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)
        self.show(task)

    def show(self, task: str) -> None:
        self.page.get_by_role("tab", name=task, exact=True).click()
        self.tab = self.page.get_by_role("tabpanel").filter(visible=True).first
        self.tab.get_by_text("was trained on made-up data").wait_for()

    def give(self, *files: Path) -> None:
        for place, file in enumerate(files):
            self.tab.locator("input[type=file]").nth(place).set_input_files(file)
            if len(files) > 1:
                self.tab.locator(".picture img").nth(place).wait_for(state="attached")

    def refusal(self) -> str:
        toast = self.page.get_by_test_id("toast-text")
        toast.wait_for()
        return str(toast.text_content()).strip()


@pytest.fixture
def ask(trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """ask(*arguments) -> what `predict` says, as JSON, or else its one error, without the file's folder."""
    monkeypatch.chdir(trained)

    def ask(*arguments: object) -> Any:
        capsys.readouterr()
        predict.main([*map(str, arguments), "--json"])
        said = capsys.readouterr()
        return json.loads(said.out) if said.out else re.sub(r"error: /\S*/", "", said.err.splitlines()[-1])

    return ask


def test_a_picture_gets_the_probabilities_of_predict(address: str, browser: Any, ask: Any) -> None:
    [file] = find("test/1.png")
    opened = Opened(browser, address, "cifar10")
    opened.give(file)
    answer = ask("custom_resnet", file)
    bars = opened.tab.locator("meter")
    bars.nth(9).wait_for(state="attached")
    assert opened.tab.get_by_test_id("label-output-value").text_content().strip() == answer["predicted"]
    shown = {bar.get_attribute("aria-label"): float(bar.get_attribute("value")) for bar in bars.all()}
    assert shown == pytest.approx(answer["probabilities"], abs=1e-6) and [*shown] == [*answer["probabilities"]]


def test_a_drawing_is_answered_stroke_by_stroke_as_the_picture_that_it_is(
    address: str, browser: Any, ask: Any, tmp_path: Path
) -> None:
    opened = Opened(browser, address, "cifar10")
    opened.tab.get_by_role("tab", name="a drawing").click()
    opened.tab.get_by_role("button", name="Brush").click()
    box = opened.tab.locator("canvas").first.bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    opened.page.mouse.move(*middle)
    opened.page.mouse.down()
    opened.page.mouse.move(middle[0] + 60, middle[1] + 20, steps=10)
    opened.page.mouse.up()
    bars = opened.tab.locator("meter")
    bars.nth(9).wait_for(state="attached")
    opened.tab.get_by_role("tab", name="a picture").click()
    drawn = tmp_path / "drawn.png"
    drawn.write_bytes(opened.page.request.get(opened.tab.locator(".picture img").get_attribute("src")).body())
    shown = [float(bar.get_attribute("value")) for bar in bars.all()]
    assert shown == pytest.approx([*ask("custom_resnet", drawn)["probabilities"].values()], abs=1e-6)


def test_two_faces_get_the_score_and_the_threshold_of_predict(address: str, browser: Any, ask: Any) -> None:
    [one, other, *_] = find("known/*/*.jpg")
    for files in ((one, one), (one, other)):
        opened = Opened(browser, address, "faces")
        opened.give(*files)
        answer = ask("resnet50", "--same", *files)
        title, verb = ("The same person", "reaches") if answer["same"] else ("Two different people", "is below")
        opened.tab.get_by_role("heading", name=title).wait_for()
        text = f"The score, {answer['score']:.4f}, {verb} the threshold, {answer['threshold']:.4f}."
        assert opened.tab.get_by_text(text).is_visible()
        opened.tab.locator(".matplotlib img").wait_for()


def test_a_sound_gets_the_phonemes_of_predict(address: str, browser: Any, ask: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.flac"
    wave = np.random.default_rng(0).normal(0, 0.1, 22_050) * np.sin(np.arange(22_050) / 2000)
    soundfile.write(file, wave, 22_050)
    opened = Opened(browser, address, "speech")
    opened.give(file)
    opened.tab.locator(".matplotlib img").wait_for()
    answer = ask("bilstm", file)
    assert answer["arpabet"] and opened.tab.get_by_test_id("textbox").input_value() == answer["arpabet"]


def test_a_bad_file_gets_the_sentence_of_predict(address: str, browser: Any, ask: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(b"\xff\xd8\xff\xe0")
    opened = Opened(browser, address, "faces")
    opened.give(file, file)
    assert opened.refusal() == ask("resnet50", file)
    assert opened.refusal().startswith("a.jpg: is ")


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_sticks_out_and_nothing_is_asked_of_another_machine(address: str, browser: Any, width: int) -> None:
    opened = Opened(browser, address, "cifar10", width)
    for task in ("cifar10", "faces", "speech"):
        opened.show(task)
        opened.page.wait_for_load_state("networkidle")
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    assert len(opened.asked) > 10
    assert [url for url in opened.asked if not url.startswith((address, "data:", "blob:"))] == []


def test_what_cannot_be_is_told_in_a_sentence(address: str, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    port = address.rstrip("/").rpartition(":")[2]
    for folder, arguments, sentence in (
        (tmp_path, [], "models: holds no trained run; `dvc repro` trains them, `dvc pull` fetches them"),
        (trained, ["--port", port], f"--port: {port} is taken; give another"),
        (trained, ["--port", "70000"], "--port 70000: must be from 1 to 65535"),
    ):
        command, environment = [sys.executable, "-m", "stages.demo", *arguments], os.environ | {"PYTHONPATH": str(ROOT)}
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert (result.returncode, result.stdout, result.stderr) == (1, "", f"error: {sentence}\n")


def test_where_gradio_is_not_installed_it_says_so_in_a_sentence() -> None:
    program = "import sys; sys.modules['gradio'] = None; import stages.demo"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr == "error: Gradio is not installed; `make demo` installs it and starts the page\n"
