"""The report and DVC's own plots: what stands in them, that they need no network, and how they look in a real browser."""

import base64
import configparser
import itertools
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from stages import report, scores
from stages.core import paths
from stages.core.errors import InputError
from stages.data.statistics import Stats, Understood
from stages.data.tables import write_table
from stages.reporting import ablations, charts, collect, page, vega
from stages.tasks import load_params
from tests.browser import Opened
from tests.conftest import ROOT, Project

EPOCHS = 12


def write_run(name: str, score: str, *, evaluated: bool = True) -> None:
    """What the stages leave of a run, with invented numbers."""
    folder = Path("metrics") / name
    tables = {
        "train/loss": [2 / epoch for epoch in range(1, EPOCHS + 1)],
        "dev/loss": [2.5 / epoch for epoch in range(1, EPOCHS + 1)],
        f"dev/{score}": [epoch / 20 for epoch in range(1, EPOCHS + 1)],
        "lr": [0.01] * EPOCHS,
    }
    for metric, values in tables.items():
        file = folder / f"train/plots/metrics/{metric}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{epoch}\t{value}\n" for epoch, value in enumerate(values, start=1)]
        file.write_text(f"step\t{file.stem}\n{''.join(lines)}")
    (folder / "lr.json").write_text(json.dumps({"lr": 0.01, "source": "a range test of 20 steps"}))
    write_picture(folder / "lr.png", 300)
    if evaluated:
        dev = {"loss": 0.25, score: 0.625, "verification": {"eer": 0.125}, "num": 40}
        (folder / "evaluate.json").write_text(json.dumps({"dev": dev, "epoch": 9, "num_parameters": 1_234_567}))
        (folder / "submission.json").write_text(json.dumps({"submission": {"rows": 10_000, "public_score": 0.9}}))
        for picture, width in (("confusion", 400), ("misclassified", 1200), ("curves", 300), ("novel", 300)):
            write_picture(folder / f"plots/{picture}.png", width)


def write_picture(file: Path, width: int) -> None:
    file.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(file), np.random.default_rng(width).integers(0, 255, (200, width, 3), np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project where two runs went through all stages, one was trained only, five were never begun; out/ is its report."""
    path = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        Project(path).set(reached_before__bilstm="less than <b>1 %</b>", tasks__speech__source="public")
        paths.features("cifar10").mkdir(parents=True)
        found = Understood("Kaggle's competition", "10: airplane, …", {"train": 1800}, {"submission": ["id", "label"]})
        Stats.write(paths.features("cifar10"), {"num": {}, "understood": found, "rejected": []})
        write_run("custom_resnet", "accuracy")
        spread = {"mean": 0.75, "sd": 0.0125, "min": 0.7375, "max": 0.7625}
        folds = {"of": 3, "source": "kaggle", "commit": "0123456789", "dev": {"accuracy": spread}}
        paths.folds("custom_resnet").write_text(json.dumps(folds))
        write_run("pblstm", "distance")
        write_run("resnet50", "accuracy", evaluated=False)
        aligned = Path("data/predictions/pblstm/aligned.txt")
        aligned.parent.mkdir(parents=True)
        aligned.write_text(
            "legend\n\nworst 1: utterance1\n  true  -guddcg-\n  pred  -gujA__-</pre><script>alert(1)</script>\n"
            "\nworst 2: utterance2\n  true  -g-\n  pred  -j-\n\nmedian 1: utterance3\n  true  -g-\n  pred  -g-\n"
        )
        for rank in (1, 2):
            file = aligned.with_name("audio") / f"{rank:02}-utterance{rank}.wav"
            file.parent.mkdir(exist_ok=True)
            soundfile.write(file, np.sin(np.arange(800 * rank) / 5), 8000)
        once = (12, 60.5, "d5da8f96bbdf", "x", "dvc exp run …")
        rows = [
            ("beam", "evaluate.beam", "1", "sample", "distance", 1.75, 0.004, *once),
            ("beam", "evaluate.beam", "50", "sample", "distance", 1.5, 0.004, *once),
            ("rate", "optimizer.lr", "<b>9</b>", "a.zip", "distance", "", "", "", "", "", "x", "dvc exp run …"),
            ("rate", "optimizer.lr", "0.1", "a.zip", "distance", 3.0, 0.1, 12, 60.5, "0123456789ab", "x", "dvc exp run …"),
        ]
        write_table(paths.ablation("pblstm"), ablations.COLUMNS, rows)
        report.main("out")
    return path


@pytest.fixture
def made(folder: Path) -> Path:
    return folder / "out" / "index.html"


class Tags(HTMLParser):
    """Every start tag with its attributes, all text by the tag it stands in, and the cells of the first table."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[tuple[str, str]] = []
        self.rows: list[list[str]] = []
        self._tables = 0
        self.feed(file.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._tables += tag == "table"
        if self._tables == 1 and tag == "tr":
            self.rows.append([])
        if self._tables == 1 and tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.found:
            self.text.append((self.found[-1][0], data))
        if self._tables == 1 and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self._tables += 1  # whatever follows belongs to none


def test_the_table_has_every_run_with_what_there_is_of_it(made: Path) -> None:
    _, *rows = Tags(made).rows
    assert [row[0] for row in rows] == [
        "custom_resnet", "dilated_net", "resnet50", "convnext", "pblstm", "bilstm", "conv_bilstm", "convnext1d",
    ]  # fmt: skip
    by_name = {row[0]: [cell.replace("\xa0", " ") for cell in row[1:]] for row in rows}
    trained = ["1,234,567", "12"]
    commands = {run: row.pop() for run, row in by_name.items()}
    assert commands == {run: f"dvc repro evaluate@{run}" for run in by_name}
    # What was reached elsewhere was reached on real data, and stands beside these alone.
    assert by_name["custom_resnet"] == ["cifar10", "accuracy 62.50 %sample", "", "–", *trained]
    assert by_name["pblstm"] == ["speech", "edit distance 0.625", "", "distance 2.59 on dev, 2.98 on test", *trained]
    assert by_name["resnet50"] == ["faces", "not evaluated yetsample", "", "–", "–", "12"]
    assert by_name["convnext"] == ["faces", "not evaluated yetsample", "", "–", "–", "–"]


def test_a_page_can_be_made_before_anything_has_run(project: Project) -> None:
    report.main("out")
    assert len(Tags(Path("out/index.html")).rows) == 9


def test_what_was_reached_by_a_run_that_is_not_there_is_an_error(project: Project) -> None:
    project.set(reached_before={"bilsm": "5.49"})
    with pytest.raises(InputError, match=r"reached_before\.bilsm: .*did you mean 'bilstm'\?"):
        report.main("out")
    assert not Path("out").exists()


def test_each_run_shows_its_parameters_its_changes_and_its_pictures(made: Path) -> None:
    text = made.read_text()
    section = text[text.index('<section id="custom_resnet"') : text.index('<section id="dilated_net"')]
    assert "label_smoothing: 0.0" in section and "width: 12" in section, "as resolved"
    assert "<li>model.width: 64 -&gt; 12 (its sample block)</li>" in section
    assert "a range test of 20 steps" in section and "submission: public score" in section
    assert "<li>layout: Kaggle&#39;s competition</li>" in section and "sample data</span>" in section
    alternatives = re.findall(r'alt="([^"]+)"', section)
    assert [alt.split(" of custom_resnet")[0] for alt in alternatives] == [
        "Learning rate", "Confusion matrix", "Novel", "Most confident mistakes",
    ], "narrow ones first, and the curves are drawn again"  # fmt: skip


def test_folds_are_a_table_of_their_spread(made: Path) -> None:
    text = made.read_text()
    section = text[text.index('<section id="custom_resnet"') : text.index('<section id="dilated_net"')]
    assert "<h3>Folds</h3>" in section and text.count("<h3>Folds</h3>") == 1 and "<h3>Seeds</h3>" not in text
    assert ">75.00\N{NO-BREAK SPACE}%<" in section and ">1.25\N{NO-BREAK SPACE}%<" in section
    assert "<code>make folds RUN=custom_resnet</code> at commit 0123456, with 3 folds.</p>" in section


def test_texts_are_texts_and_not_markup(made: Path) -> None:
    tags = Tags(made)
    assert any("</pre><script>alert(1)</script>" in text for tag, text in tags.text if tag == "pre")
    assert not any(tag == "b" for tag, _ in tags.found)


def test_a_grid_is_a_table_and_where_two_values_have_a_score_a_plot(made: Path) -> None:
    text = made.read_text()
    section = text[text.index('<section id="pblstm"') : text.index('<section id="bilstm"')]
    assert "<h3>Ablations</h3>" in section and text.count("<h3>Ablations</h3>") == 1
    rows = [re.sub(r"<[^>]+>", "|", row) for row in re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", section)]
    cells = [[cell for cell in row.split("|") if cell] for row in rows]
    assert ["1", "1.75", "0.004", "12", "1 min 0 s", "d5da8f96bbdf", "dvc exp run …"] in cells
    assert ["&lt;b&gt;9&lt;/b&gt;", "failed", "–", "–", "–", "–", "dvc exp run …"] in cells
    captions = re.findall(r"<figcaption>([^<]+: [^<]+)</figcaption>", section)
    assert captions == ["beam: evaluate.beam, on sample data", "rate: optimizer.lr"]
    specs = [json.loads(found) for found in re.findall(r'<script type="application/json">(.*?)</script>', section)]
    [plot] = [spec for spec in specs if "layer" in spec]
    assert plot["data"]["values"] == [{"value": "1", "score": 1.75}, {"value": "50", "score": 1.5}]


def test_utterances_are_heard_beside_their_text_where_there_are_recordings(made: Path, folder: Path) -> None:
    heard = [attributes for tag, attributes in Tags(made).found if tag == "audio"]
    assert [attributes["aria-label"] for attributes in heard] == ["worst 1: utterance1", "worst 2: utterance2"]
    for attributes, rank in zip(heard, (1, 2), strict=True):
        kind, _, content = str(attributes["src"]).partition(";base64,")
        file = folder / f"data/predictions/pblstm/audio/{rank:02}-utterance{rank}.wav"
        assert kind == "data:audio/wav" and base64.b64decode(content) == file.read_bytes()
        assert "controls" in attributes
    assert sum("utterance2" in text for tag, text in Tags(made).text if tag == "pre") == 2, "in the whole and on its own"


def test_equal_inputs_give_equal_bytes(made: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    before = made.read_bytes()
    report.main("out")
    assert made.read_bytes() == before


def test_nothing_in_the_page_is_fetched(made: Path) -> None:
    for tag, attributes in Tags(made).found:
        for key in ("src", "href", "data", "action", "poster", "srcset"):
            if value := attributes.get(key):
                assert value.startswith(("data:", "#")), f"<{tag} {key}={value[:80]}>"
    [style] = re.findall(r"<style>(.*?)</style>", made.read_text(), re.DOTALL)
    assert "url(" not in style and "@import" not in style


def test_headings_identifiers_and_regions_are_in_order(made: Path) -> None:
    found = Tags(made).found
    levels = [int(tag[1]) for tag, _ in found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    names = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(names) == len(set(names))
    targets = {str(attributes["href"])[1:] for tag, attributes in found if tag == "a"}
    assert targets <= set(names)
    assert all(attributes.get("alt") for tag, attributes in found if tag == "img")
    assert all("aria-label" in attributes for _, attributes in found if attributes.get("role") == "region")


def test_curves_are_those_of_the_tables_and_what_is_not_finite_is_a_gap(project: Project) -> None:
    write_run("custom_resnet", "accuracy")
    file = Path("metrics/custom_resnet/train/plots/metrics/dev/loss.tsv")
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:3], "3\tnan", "4\tinf", *lines[5:]]) + "\n")
    [results] = [item for item in collect.collect(load_params()) if item.name == "custom_resnet"]
    assert list(results.curves) == ["loss", "accuracy", "lr"]
    assert list(results.curves["loss"]) == ["train", "dev"] and list(results.curves["lr"]) == [""]
    assert results.curves["loss"]["dev"][:5] == [(1, 2.5), (2, 1.25), (3, None), (4, None), (5, 0.5)]
    spec = charts.curve("run", "loss", results.curves["loss"])
    json.dumps(spec, allow_nan=False)
    assert {row["split"] for row in spec["data"]["values"]} == {"train", "dev"} and len(spec["data"]["values"]) == 2 * EPOCHS
    assert page.rows(results.curves["loss"])[2] == [3, 2 / 3, None]


@given(st.floats(0, 1e6))
def test_a_duration_says_how_long_it_was_to_its_last_unit(seconds: float) -> None:
    parts = page.duration(seconds).split()
    units = {"h": 3600, "min": 60, "s": 1}
    read = sum(float(number) * units[unit] for number, unit in zip(parts[::2], parts[1::2], strict=True))
    assert abs(read - seconds) <= (0.0501 if seconds < 60 else 0.5 if seconds < 3599 else 60)


def test_numbers_are_written_as_people_write_them() -> None:
    for name, value, text in (
        ("accuracy", 0.98765, "98.77\xa0%"),
        ("verification.eer", 0.125, "12.50\xa0%"),
        ("distance", 1.92512, "1.925"),
        ("num", 10_000, "10,000"),
        ("device", "cpu", "cpu"),
    ):
        assert page.shown(name, value) == text


def test_a_picture_stays_the_picture_that_it_was(tmp_path: Path) -> None:
    x, y = np.meshgrid(np.arange(300), np.arange(200))
    pixels = np.stack([x % 256, y, (x + y) // 2], axis=-1).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    found = charts.embed(tmp_path / "a.png")
    assert (found.width, found.height) == (300, 200)
    encoded = np.frombuffer(base64.b64decode(found.uri.partition(",")[2]), np.uint8)
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None and np.abs(decoded.astype(int) - pixels).mean() < 4


def test_the_script_is_the_one_that_vl_convert_makes() -> None:
    pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")
    assert vega.TEMPLATE.read_text() == vega.make(), "run: python -m stages.reporting.vega"


def test_dvc_takes_the_template_that_carries_the_scripts() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / ".dvc/config")
    assert (ROOT / ".dvc" / config["plots"]["html_template"]).resolve() == vega.TEMPLATE
    text = vega.TEMPLATE.read_text()
    assert "{plot_divs}" in text and "{scripts}" not in text, "DVC's scripts come from the network"


# In a real browser.


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_whole_at_the_width_of_a_desk_and_of_a_phone(made: Path, browser: Any, width: int) -> None:
    opened = Opened(browser, made, width)
    opened.page.wait_for_function("document.querySelectorAll('.plot svg').length == 10")
    assert opened.said == [] and opened.elsewhere == []
    assert opened.count(".chart") == 10, "loss, score and learning rate of three runs, and a grid with two scores"
    assert opened.page.locator("table").first.is_visible() and opened.count("table.all tbody tr") == 8
    lines = opened.page.locator("#custom_resnet .plot svg").first.locator("path[stroke='#2b6cb0'], path[stroke='#bd1f01']")
    assert lines.count() >= 2 and lines.first.is_visible()
    assert opened.run("[...document.images].every((image) => image.naturalWidth > 0 && image.offsetWidth > 0)")
    assert opened.run("document.documentElement.scrollWidth") <= width, "nothing sticks out sideways"


def test_the_browser_reads_the_recordings(made: Path, browser: Any) -> None:
    opened = Opened(browser, made, 1280)
    opened.run("document.querySelectorAll('details').forEach((item) => { item.open = true; })")
    opened.page.wait_for_function("[...document.querySelectorAll('audio')].every((item) => item.readyState > 0)")
    assert opened.run("[...document.querySelectorAll('audio')].map((item) => item.duration)") == [0.1, 0.2]
    assert opened.page.locator("audio").first.is_visible() and opened.said == []


def test_curves_are_zoomed_by_buttons_that_a_keyboard_reaches_and_by_ctrl_and_wheel(made: Path, browser: Any) -> None:
    opened = Opened(browser, made, 1280)
    plot, buttons = opened.page.locator("#custom_resnet .plot").first, opened.page.locator("#custom_resnet .buttons").first

    def ticks() -> list[str]:
        return sorted(plot.locator(".role-axis-label text").all_text_contents())

    def become(are_whole: bool) -> bool:
        """Whether they are, or some time after what was done."""
        return any(opened.page.wait_for_timeout(50) or (ticks() == whole) == are_whole for _ in range(400))

    buttons.wait_for()
    assert plot.get_attribute("aria-label") == "custom_resnet: loss by epoch. The table below it has the numbers."
    whole = ticks()
    buttons.get_by_role("button", name="zoom in").focus()
    opened.page.keyboard.press("Enter")
    assert become(are_whole=False)
    buttons.get_by_role("button", name="whole").click()
    assert become(are_whole=True)
    plot.hover()
    opened.page.mouse.wheel(0, -40)
    opened.page.wait_for_timeout(150)
    assert ticks() == whole, "a plain wheel scrolls the page"
    plot.hover()
    opened.page.keyboard.down("Control")
    opened.page.mouse.wheel(0, -200)
    opened.page.keyboard.up("Control")
    assert become(are_whole=False)


TEXTS = """
() => [...document.querySelectorAll("body *")].flatMap((element) => {
  const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
  if (!own || ["SCRIPT", "STYLE"].includes(element.tagName) || !element.getClientRects().length) return [];
  let ground = element;
  while (ground && getComputedStyle(ground).backgroundColor.endsWith(", 0)")) ground = ground.parentElement;
  const style = getComputedStyle(element), svg = element instanceof SVGElement;
  const back = ground ? getComputedStyle(ground).backgroundColor : "rgb(255, 255, 255)";
  return [[element.textContent.slice(0, 40), svg ? style.fill : style.color, back]];
})
"""


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)" after WCAG 2."""
    shares = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_every_text_has_the_contrast_that_wcag_asks_for(made: Path, browser: Any) -> None:
    opened = Opened(browser, made, 1280)
    found = opened.run(TEXTS)
    assert len(found) > 200
    for text, *colours in found:
        dark, light = sorted(map(luminance, colours))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{text!r}: {colours}"


def test_the_first_key_offers_to_skip_and_each_place_with_the_focus_can_be_seen(made: Path, browser: Any) -> None:
    opened = Opened(browser, made, 390)
    opened.page.keyboard.press("Tab")
    assert opened.run("document.activeElement.className") == "skip"
    assert opened.run("document.activeElement.getBoundingClientRect().left") >= 0
    for _ in range(30):
        opened.page.keyboard.press("Tab")
        assert opened.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_on_paper_everything_but_the_tables_of_numbers_is_open_and_afterwards_as_before(made: Path, browser: Any) -> None:
    opened = Opened(browser, made, 1280)
    opened.page.emulate_media(media="print")
    assert not opened.page.locator("nav").is_visible()
    opened.run("dispatchEvent(new Event('beforeprint'))")
    assert opened.count("details:not([open], .numbers)") == 0 and opened.count("details[open]") >= 8
    assert not opened.page.locator(".numbers").first.is_visible()
    opened.run("dispatchEvent(new Event('afterprint'))")
    assert opened.count("details[open]") == 0
    assert opened.page.pdf(format="A4").startswith(b"%PDF")


def test_dvc_draws_its_plots_without_network_with_a_heading_for_each_run(project: Project, browser: Any) -> None:
    """With the project's own template, for one revision and for two side by side, of which one run differs."""
    write_run("custom_resnet", "accuracy")
    write_run("pblstm", "distance")

    def run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, env=os.environ | GIT)

    GIT = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    Path(".dvc").mkdir()
    template = os.path.relpath(vega.TEMPLATE, Path(".dvc").resolve())
    Path(".dvc/config").write_text(f"[core]\n    analytics = false\n[plots]\n    html_template = {template}\n")
    plots = [
        f"  - metrics/{run}/{what}\n"
        for run in ("custom_resnet", "pblstm")
        for what in ("train/plots/metrics/dev", "lr.png")
    ]
    Path("dvc.yaml").write_text(f"plots:\n{''.join(plots)}")
    for command in ("init -q", "add .dvc/config dvc.yaml metrics", "commit -qm x"):
        run("git", *command.split())
    table = Path("metrics/pblstm/train/plots/metrics/dev/distance.tsv")
    table.write_text(table.read_text() + f"{EPOCHS + 1}\t0.9\n")
    for arguments, headings, closed in (
        (("show",), ["custom_resnet", "pblstm"], []),
        (("diff", "HEAD"), ["pblstm"], ["custom_resnet: the same curves"]),
    ):
        run(sys.executable, "-m", "dvc", "plots", *arguments)
        opened = Opened(browser, Path("dvc_plots/index.html").resolve(), 1280)
        opened.page.wait_for_function("document.querySelectorAll('.vega-embed .marks').length == 4")
        assert opened.elsewhere == [] and not any(line.startswith("error") for line in opened.said)
        assert opened.run("[...document.images].length > 0 && [...document.images].every((image) => image.naturalWidth > 0)")
        assert opened.page.locator("h2").all_text_contents() == headings
        assert opened.page.locator("body > details > summary").all_text_contents() == closed
        titles = opened.page.locator(".role-title-text text").all_text_contents()
        assert sorted(titles) == ["accuracy, dev", "distance, dev", "loss, dev", "loss, dev"]
        assert opened.run("document.documentElement.scrollWidth") <= 1280


def test_the_scores_are_a_line_a_run_that_fits_a_terminal(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    scores.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines if line.startswith("custom_resnet")] == [
        ["custom_resnet", "cifar10,", "sample", "accuracy", "62.50", "%", "12"]
    ]
    assert len([line for line in lines if "not evaluated yet" in line]) == 6 and max(map(len, lines)) <= 80
