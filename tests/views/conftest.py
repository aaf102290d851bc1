import os
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def makers():
    """The makers of made-up studies."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("makers.py"))))


@pytest.fixture(scope="module")
def browser():
    """A Chromium without a window."""
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("the page is tested in Chromium, which CI must install")
        pytest.skip("no chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def clock():
    """A clock that moves only when it is told to: `clock.now += 1`."""

    class Clock:
        now = 100.0

        def __call__(self):
            return self.now

    return Clock()
