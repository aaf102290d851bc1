import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from explorer.study.front import front_view
from explorer.views.page.html import render_offline

# browsing.py is shared by this folder's tests, tests/fakes.py by several folders of tests
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]


@pytest.fixture(scope="session")
def makers():
    """The makers of made-up studies."""
    return SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("makers.py"))))


@pytest.fixture
def clock():
    """A clock that moves only when it is told to: `clock.now += 1`."""

    class Clock:
        now = 100.0

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def open_page(browser, tmp_path):
    """Opens a study's page offline and remembers what it complained about and asked for."""
    from browsing import NO_WEBGL, POINTS

    contexts = []

    def opened(result, width=1280, has_webgl=False, view="", has_points=True, script=""):
        path = tmp_path / "report.html"
        path.write_text(render_offline(front_view(result)), encoding="utf-8")
        context = browser.new_context(offline=True, viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        if not has_webgl:
            page.add_init_script(NO_WEBGL)
        page.add_init_script(script)
        page.complaints, page.requests = [], []
        page.on("console", lambda message: message.type == "error" and page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (page.complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(path.as_uri() + (f"#{view}" if view else ""))
        page.wait_for_selector("body[data-ready=true]")
        if has_points:
            page.wait_for_selector(f"{POINTS} >> visible=true")
        return page

    yield opened
    for context in contexts:
        context.close()
