"""A page in a real browser, for tests of how it looks and what it does."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def launch() -> Iterator[Any]:
    """Chromium, or the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt install chromium")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])  # root may not have a sandbox
        yield chromium
        chromium.close()


class Opened:
    """A file in a browser without network, or the page of a server; what it said on the console, and what it asked for."""

    def __init__(self, browser: Any, page: Path | str, width: int) -> None:
        context = browser.new_context(viewport={"width": width, "height": 900}, offline=isinstance(page, Path))
        self.page = context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(page.as_uri() if isinstance(page, Path) else page)
        self.page.wait_for_load_state("networkidle")
        self.page.wait_for_function("document.querySelector('.vega-embed .marks')")

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()

    def run(self, script: str) -> Any:
        return self.page.evaluate(script)

    @property
    def elsewhere(self) -> list[str]:
        """Requests for anything but a file of the page's own folder, or for what the page itself holds."""
        own = self.page.url.rpartition("/")[0]
        return [address for address in self.asked if not address.startswith((own, "data:"))]
