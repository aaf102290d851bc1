"""The report as a browser shows it, offline."""

import os
import shutil
from dataclasses import replace

import pytest

from explorer.views.report import write_report

# WebGL is drawn by the processor here, slowly: most tests do without.
NO_WEBGL = """
const context = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind.startsWith("webgl") ? null : context.call(this, kind, ...rest);
};
"""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("the report is tested in Chromium, which CI must install")
        pytest.skip("no chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def open_report(browser, tmp_path):
    """Opens a study's report offline and remembers what it complained about and asked for."""

    def opened(result, width=1280, has_webgl=False):
        path = tmp_path / "report.html"
        write_report(result, path)
        context = browser.new_context(offline=True, viewport={"width": width, "height": 800})
        page = context.new_page()
        if not has_webgl:
            page.add_init_script(NO_WEBGL)
        page.complaints, page.requests = [], []
        page.on("console", lambda message: message.type == "error" and page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (page.complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("#plot-front .scatterlayer path.point")
        return page

    return opened


@pytest.mark.parametrize("width", [1280, 390])
def test_report_offline_draws_without_complaint(makers, open_report, width):
    page = open_report(makers.make_seeded_result(30), width, has_webgl=width == 1280)
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    n_measured = page.evaluate("JSON.parse(document.getElementById('data').textContent).trials.length")
    n_marked = 2  # the knee and the baseline are drawn a second time
    assert page.locator("#plot-front .scatterlayer path.point").count() == n_measured + n_marked
    assert page.locator("#plot-history .scatterlayer .js-line").count() == 1
    if width == 1280 and page.evaluate("Boolean(document.createElement('canvas').getContext('webgl'))"):
        page.wait_for_selector("#plot-space canvas")
        page.wait_for_selector("#plot-parallel canvas")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_report_without_webgl_says_so_in_place(makers, open_report):
    page = open_report(makers.make_seeded_result(30))
    assert "WebGL switched off" in page.locator("#plot-space").inner_text()
    assert page.complaints == []


def test_report_axis_selectors_move_the_points(makers, open_report):
    page = open_report(makers.make_seeded_result(30))
    page.select_option("#axis-x", "peak_memory_mib")
    page.select_option("#axis-y", "cost_usd_per_million")
    page.check("#log-y")
    found = page.evaluate(
        """() => { const plot = document.getElementById('plot-front');
        return [plot.layout.xaxis.title.text, plot.layout.yaxis.title.text, plot.layout.yaxis.type]; }"""
    )
    assert found == ["peak memory [MiB]", "cost [$ per million]", "log"]
    assert page.complaints == []


def test_report_headings_sort_numbers_as_numbers(makers, open_report):
    page = open_report(makers.make_seeded_result(30))
    page.locator("summary").first.click()
    page.get_by_role("button", name="latency").click()
    cells = page.locator("#trials-table tbody tr").evaluate_all("rows => rows.map(row => row.cells[8].dataset.value)")
    known = [float(cell) for cell in cells if cell]
    assert known == sorted(known)
    assert cells[: len(known)] == [cell for cell in cells if cell]


def test_report_has_no_button_that_uploads(makers, open_report):
    page = open_report(makers.make_seeded_result(30))
    page.locator("#plot-front").hover()
    page.wait_for_selector("#plot-front .modebar-btn")
    titles = page.locator(".modebar-btn").evaluate_all("buttons => buttons.map(button => button.dataset.title)")
    assert "Download plot as a PNG" in titles
    assert not [title for title in titles if "share" in title.lower() or "cloud" in title.lower()]


def test_report_hostile_names_open_no_dialog(makers, open_report):
    result = makers.make_seeded_result(30)
    hostile = "</script><img src=x onerror=alert(1)><script>alert(2)</script>"
    failed = makers.make_trial(30, reason=hostile)
    variant = replace(result.trials[0].variant, runtime=hostile)
    odd = makers.make_trial(31, result.trials[0].outcome.metrics, variant)
    result = replace(result, name=hostile, trials=(*result.trials, failed, odd), provenance={hostile: hostile})
    page = open_report(result)
    page.locator("#plot-front .scatterlayer path.point").first.hover(force=True)
    assert page.complaints == []
    assert page.locator("main img").count() == 0
    assert page.locator("h1").inner_text() == hostile
