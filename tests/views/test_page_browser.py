"""The page as a browser shows it: offline from a file, and live from its server."""

import re
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browsing import FRONT, POINTS, RANGE, click_on, drag, sorted_by_number, wait_for_address
from fakes import GAP, make_observation

from explorer.measure.metrics import Prices
from explorer.metrics import Objective
from explorer.records import Measurement, Progress, Variant
from explorer.space.expressions import parse_constraint
from explorer.study.front import front_view
from explorer.study.importance import parameter_importance
from explorer.views.formatting import value_text
from explorer.views.page import compare
from explorer.views.server.feed import Feed
from explorer.views.server.thread import Server

pytestmark = pytest.mark.slow

LARGE_STUDY = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "large_study.py"))

# The picture of what is behind the front of a large study.
CLOUD = """() => document.getElementById("plot-front").layout.images[0].source"""

# What is on the page at the moment in which the front's points have come.
AT_THE_FRONT = """
new MutationObserver((_, observer) => {
  if (!document.querySelector("#plot-front .scatterlayer path.point")) return;
  observer.disconnect();
  const rows = document.querySelectorAll("#trials-table tbody tr").length;
  window.atTheFront = [document.getElementById("advice").textContent, rows];
}).observe(document, { childList: true, subtree: true });
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_page_offline_draws_without_complaint(makers, open_page, width):
    result = makers.make_seeded_result(30)
    page = open_page(result, width)
    assert page.complaints == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.evaluate(FRONT) == [e.trial.number for e in sorted_by_number(front_view(result))]
    assert f"trial {front_view(result).knee.trial.number}" in page.locator("#advice").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("share", "is_warned"), [(0.104, False), (0.95, True)])
def test_page_has_the_baseline_beside_guessing_and_a_warning_where_it_is_no_better(makers, open_page, share, is_warned):
    result = makers.make_small_result(provenance={"references": makers.references(0.1, "<b>cat", share)})
    page = open_page(result)
    said = f"The baseline's accuracy is 92.0 % (chance 10.0 %, majority class {100 * share:.1f} %)."
    assert page.locator("#baseline-said").inner_text() == said
    warned = page.locator("#warnings").inner_text()
    assert ("no better than guessing" in warned and "'<b>cat'" in warned) if is_warned else not warned
    assert page.complaints == []


def test_page_shows_the_front_before_what_is_below_it_is_made(makers, open_page):
    result = makers.make_seeded_result(30)
    page = open_page(result, script=AT_THE_FRONT)
    advice, n_rows = page.evaluate("window.atTheFront")
    assert f"trial {front_view(result).knee.trial.number}" in advice
    assert n_rows == 0
    assert page.locator("#trials-table tr[data-trial]").count() > 0
    assert page.complaints == []


def test_page_empty_study_says_what_will_come(makers, open_page):
    page = open_page(makers.make_result(), has_points=False)
    assert page.complaints == []
    assert "The first point appears" in page.locator("#plot-empty").inner_text()


def test_page_one_objective_is_drawn_over_the_trials(makers, open_page):
    space = makers.make_space(objectives=[Objective("latency_ms", "minimize")])
    trials = [makers.make_trial(n, {"latency_ms": 3.0 - n}) for n in range(3)]
    page = open_page(makers.make_result(trials, space))
    assert page.evaluate(FRONT) == [2]
    assert page.complaints == []


def test_page_only_failures_says_so_with_the_reason(makers, open_page):
    page = open_page(makers.make_result([makers.make_trial(0, reason="no memory")]), has_points=False)
    assert "The one finished trial has no result" in page.locator("#advice").inner_text()
    assert "the first trial that has a result" in page.locator("#plot-empty").inner_text()
    assert "no memory" in page.locator("#failures").inner_text()
    assert page.complaints == []


def test_page_limits_that_nothing_meets_names_the_nearest_trial(makers, open_page):
    page = open_page(makers.make_small_result(), view="limit.latency_ms<%3D=0.2&limit.peak_memory_mib<%3D=100")
    text = page.locator("#advice").inner_text()
    assert "No measured trial is within these limits" in text
    assert "comes nearest" in text
    assert page.complaints == []


def test_page_limits_change_the_front_to_what_python_computes(makers, open_page):
    result = makers.make_seeded_result(60)
    page = open_page(result)
    page.get_by_role("spinbutton", name="latency at most").fill("0.5")
    page.get_by_role("slider", name="peak memory at most").evaluate(
        "slider => { slider.value = 0; slider.dispatchEvent(new Event('input')); }"
    )
    expected = front_view(result, [parse_constraint("latency_ms <= 0.5"), parse_constraint(least_memory(result))])
    wait_for_address(page, "peak_memory")
    assert page.evaluate(FRONT) == [entry.trial.number for entry in sorted_by_number(expected)]
    page.get_by_role("button", name="Back to the study's").click()
    wait_for_address(page, "limit", is_there=False)
    assert page.evaluate(FRONT) == [entry.trial.number for entry in sorted_by_number(front_view(result))]
    assert page.complaints == []


def test_page_price_changes_the_cost_to_what_python_computes(makers, open_page):
    result = makers.make_seeded_result(20)
    page = open_page(result, view="trial=0")
    page.get_by_label("hardware").fill("5")
    wait_for_address(page, "price")
    values = result.baseline_values()
    cost = Prices(5.0, 0.005, 0.0).usd_per_million(values["latency_mean_ms"], values["peak_memory_mib"], 1)
    assert value_text("cost_usd_per_million", cost) in page.locator(".metrics").inner_text()
    assert page.complaints == []


def test_page_click_shows_the_variant_and_two_are_compared(makers, open_page):
    page = open_page(makers.make_seeded_result(30))
    first, second = page.evaluate(FRONT)[:2]
    page.evaluate(f"document.getElementById('plot-front').emit('plotly_click', {{points: [{{customdata: {first}}}]}})")
    page.wait_for_selector("#export-command")
    assert page.locator("#export-command").inner_text().endswith(f"cifar10-cnn --trial {first}")
    assert 0 not in page.evaluate(FRONT)
    page.evaluate("document.getElementById('plot-front').emit('plotly_click', {points: [{customdata: 0}]})")
    page.get_by_text(re.compile(r"cifar10-cnn --trial 0 --force$")).wait_for()
    page.evaluate(f"document.getElementById('plot-front').emit('plotly_click', {{points: [{{customdata: {first}}}]}})")
    page.get_by_text(re.compile(rf"cifar10-cnn --trial {first}$")).wait_for()
    page.get_by_role("button", name="Pin to compare").click()
    page.evaluate(f"document.getElementById('plot-front').emit('plotly_click', {{points: [{{customdata: {second}}}]}})")
    page.wait_for_selector("#compare table")
    assert f"Trial {first} against trial {second}" in page.locator("#compare").inner_text()
    assert page.complaints == []


def test_page_comparison_tells_apart_only_what_intervals_allow(makers, open_page):
    page = open_page(makers.make_seeded_result(30), view="trial=7&pinned=10")  # in no stored comparison
    rows = dict(row.split("\t", 1) for row in page.locator("#compare tbody tr").all_inner_texts())
    assert "cannot be told" in rows["cold start"]
    assert "counted" in rows["parameters"]
    assert page.locator("#compare .tie").count() == sum("a tie" in row or "the same\n" in row for row in rows.values())
    assert page.complaints == []


@pytest.mark.parametrize("has_samples", [True, False])
def test_page_one_trial_against_the_baseline_is_judged_image_by_image(makers, open_page, monkeypatch, has_samples):
    n = 1000
    scores = {number: {"accuracy": (np.arange(n) < right).astype(float)} for number, right in ((0, 900), (1, 920))}
    samples = {number: compare.Samples(np.array([1, 2]), np.array([0, 1]), found) for number, found in scores.items()}
    monkeypatch.setattr(
        compare, "trial_samples", lambda result, trial: samples[trial.number] if has_samples else "no samples"
    )
    measured = [(Measurement(0.90, 0.88, 0.92, n), 2.0), (Measurement(0.92, 0.90, 0.94, n), 1.0)]
    trials = [
        makers.make_trial(number, {"accuracy": accuracy, "latency_ms": latency_ms}, artifact=f"a{number}")
        for number, (accuracy, latency_ms) in enumerate(measured)
    ]
    space = makers.make_space(objectives=makers.OBJECTIVES[:2])
    page = open_page(makers.make_result(trials, space), view="trial=1")
    against = page.locator("#variant-body table.metrics tbody tr").first.locator("td").nth(1)
    against.get_by_text(re.compile(r"\d")).wait_for()
    assert ("a tie" in against.inner_text()) == (not has_samples)
    assert against.locator(".better").count() == has_samples
    assert page.complaints == []


def test_page_importance_is_pythons(makers, open_page):
    result = makers.make_seeded_result(60)
    page = open_page(result)
    expected = parameter_importance(result)
    assert page.locator("#importance h4").count() == len(expected)
    shares = page.locator("#importance .text").all_inner_texts()
    assert shares == [f"{100 * share:.0f} %" for one in expected for share in one.shares.values()]
    assert page.complaints == []


def test_page_four_objectives_has_its_hypervolume(makers, open_page):
    result = makers.make_seeded_result(30)
    objectives = (*result.objectives, Objective("peak_memory_mib", "minimize"))
    reference = dict(result.reference_point) | {"peak_memory_mib": 800.0}
    result = replace(result, space=replace(result.space, objectives=objectives), reference_point=reference)
    page = open_page(result)
    share = 100 * makers.hypervolume_shares(result)[-1]
    assert page.locator("#history-now").inner_text() == f"{share:.3g} % after 30 trials"
    assert page.complaints == []


def test_page_saves_the_filtered_rows_as_csv(makers, open_page):
    page = open_page(makers.make_seeded_result(20), view="filter=eager")
    with page.expect_download() as download:
        page.locator("#csv-shown").click()
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert lines[0].split(",")[3:10] == list(makers.make_space().parameters)
    assert len(lines) - 1 == page.locator("#trials-table tr[data-trial]").count()
    assert all(",eager," in line for line in lines[1:])


def test_page_filter_of_the_table_pales_the_other_points(makers, open_page):
    result = makers.make_seeded_result(40)
    page = open_page(result)
    page.fill("#table-filter", "eager latency<2")
    wait_for_address(page, "filter")
    expected = [
        t.number for t in result.trials if t.variant["runtime"] == "eager" and t.values().get("latency_ms", 9.0) < 2
    ]
    assert page.locator("#table-count").inner_text() == f"{len(expected)} of 40 trials"
    kept = page.evaluate(
        """() => document.getElementById("plot-front").data.filter((trace) => trace.selectedpoints)
        .flatMap((trace) => trace.selectedpoints.map((place) => trace.customdata[place]))"""
    )
    assert set(kept) == set(expected)
    assert page.complaints == []


def test_page_filter_reaches_the_failures_and_the_measurements_of_the_anchor(makers, open_page):
    result = makers.make_seeded_result(40)
    trials = [
        replace(t, outcome=replace(t.outcome, observed=make_observation())) if t.state != "failed" else t
        for t in result.trials
    ]
    page = open_page(replace(result, trials=tuple(trials)), view="brush.width=0.2,0.6")
    kept = {t.number for t in trials if t.variant["width"] <= 0.6}
    numbers = page.locator("#failures button").all_inner_texts()
    assert numbers
    assert {int(number) for number in numbers} <= kept
    not_complete = {t.number for t in trials if t.state != "complete"}
    assert 0 < len(not_complete & kept) < len(not_complete)
    pale = page.evaluate(
        """() => document.getElementById("plot-steady").data.flatMap(
        (trace) => trace.customdata.filter((_, place) => !trace.selectedpoints.includes(place)))"""
    )
    measured = [t.number for t in trials if t.state != "failed"]
    assert sorted(pale) == [number for number in measured if number not in kept]
    said = f"{len(measured) - len(pale)} of {len(measured)} measurements pass the filter"
    assert said in page.locator("#steady-said").inner_text()
    page.fill("#table-filter", "nothing-has-this")
    wait_for_address(page, "filter")
    page.locator("#failures-empty", has_text=f"None of the {len(not_complete)} passes the filter.").wait_for()
    assert page.complaints == []


def test_page_reload_keeps_the_view(makers, open_page):
    page = open_page(
        makers.make_seeded_result(30), view="x=peak_memory_mib&logx=1&trial=3&limit.latency_ms<%3D=1.5&theme=dark"
    )
    page.get_by_role("button", name="width").first.click()
    wait_for_address(page, "sort=width")
    page.reload()
    page.wait_for_selector(f"{POINTS} >> visible=true")
    plot = page.evaluate(
        "(({layout}) => [layout.xaxis.title.text, layout.xaxis.type])(document.getElementById('plot-front'))"
    )
    assert plot == ["peak memory [MiB]", "log"]
    assert page.locator("#variant-heading").inner_text() == "Trial 3"
    assert page.get_by_role("spinbutton", name="latency at most").input_value() == "1.5"
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("width")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.complaints == []


def test_page_values_beyond_the_symbols_and_colors_share_one_of_their_own(makers, open_page):
    thresholds = tuple(round(0.1 * n, 1) for n in range(1, 11))
    runtimes = ("eager", *(f"runtime {n}" for n in range(1, 10)))
    space = makers.make_space(exit_threshold=thresholds, runtime=runtimes)
    trials = [
        makers.make_trial(
            n,
            {"accuracy": 0.5 + n / 100, "latency_ms": 1.0 + n, "cost_usd_per_million": 1.0},
            Variant(exit_threshold=thresholds[n], runtime=runtimes[n]),
        )
        for n in range(10)
    ]
    page = open_page(makers.make_result(trials, space), view="shape=exit_threshold&color=runtime&theme=light")
    marker = page.evaluate(
        """() => document.getElementById("plot-front").data.find((trace) => trace.meta === "front").marker"""
    )
    for kinds in (marker["symbol"], marker["color"]):
        assert len(set(kinds[:8])) == 8
        assert kinds[8] == kinds[9]
        assert kinds[8] not in kinds[:8]
    colors, shapes = (scale.locator(".key").all_text_contents() for scale in page.locator("#plot-legend .scale").all())
    assert colors[-2:] == ["runtime 7", "other values"]
    assert [shapes[place] for place in (0, 7, -1)] == ["●0.1", "⧗0.8", "▼other values"]
    assert len(colors) == len(shapes) == 9
    assert page.complaints == []


def test_page_values_that_the_symbols_suffice_for_have_no_others(makers, open_page):
    page = open_page(makers.make_seeded_result(30), view="shape=width&color=runtime")
    assert "other values" not in page.locator("#plot-legend").inner_text()
    assert page.complaints == []


# What a browser does to a page that changes its address too often, and how often it was asked.
REFUSES_ADDRESSES = """
window.nAddresses = 0;
history.replaceState = () => {
  window.nAddresses += 1;
  throw new DOMException("too many calls", "SecurityError");
};
"""
# A slider that is dragged, each step seen by the page before the next; then how often the address was to change.
DRAG_SLIDER = """async (slider) => {
  for (let step = 200; step >= 0; step -= 4) {
    slider.value = step;
    slider.dispatchEvent(new Event("input"));
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  }
  return window.nAddresses;
}"""


def test_page_whose_address_the_browser_refuses_to_change_follows_its_sliders(makers, open_page):
    result = makers.make_seeded_result(60)
    page = open_page(result, script=REFUSES_ADDRESSES)
    n_steps = 51
    assert page.get_by_role("slider", name="peak memory at most").evaluate(DRAG_SLIDER) < n_steps / 2
    expected = front_view(result, [parse_constraint(least_memory(result))])
    assert page.evaluate(FRONT) == [entry.trial.number for entry in sorted_by_number(expected)]
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page.locator("#copy-link").click()
    page.locator("#said", has_text="The link is copied.").wait_for()
    assert "peak_memory_mib" in page.evaluate("window.copied")
    assert page.evaluate("window.nAddresses") > 0
    assert page.complaints == []


def test_page_that_is_left_at_once_keeps_its_view_in_the_address(makers, open_page):
    page = open_page(makers.make_seeded_result(20))
    address = page.get_by_role("slider", name="peak memory at most").evaluate(
        """async (slider) => {
          slider.value = 0;
          slider.dispatchEvent(new Event("input"));
          await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
          window.dispatchEvent(new PageTransitionEvent("pagehide"));
          return location.hash;
        }"""
    )
    assert "limit.peak_memory_mib" in address
    assert page.complaints == []


def test_page_many_rows_only_those_in_sight_are_elements(makers, open_page):
    result = makers.make_seeded_result(1)
    many = tuple(replace(result.trials[0], number=number) for number in range(1, 1500))
    page = open_page(replace(result, trials=(result.trials[0], *many)))
    assert page.locator("#trials-table tbody tr").count() < 60
    page.locator("#table-scroll").evaluate("scroller => { scroller.scrollTop = scroller.scrollHeight; }")
    page.wait_for_selector("#trials-table tr[data-trial='1499']")
    assert page.complaints == []


@pytest.mark.parametrize("view", ["", "mode=3d"])
def test_page_many_points_a_click_finds_the_trial_under_it_whatever_the_window_was(open_page, view):
    result = LARGE_STUDY["large_result"](3300)
    one, other = lonely_trials(result)
    page = open_page(result, view=view)
    click_on(page, one)
    page.locator("#variant-heading", has_text=f"Trial {one.number}").wait_for()
    drawn = page.evaluate(CLOUD)
    page.set_viewport_size({"width": 900, "height": 900})
    for _ in range(100):
        if page.evaluate(CLOUD) != drawn:
            break
        page.wait_for_timeout(100)
    click_on(page, other)
    page.locator("#variant-heading", has_text=f"Trial {other.number}").wait_for(timeout=10_000)
    assert page.locator("#tip strong").text_content() == f"Trial {other.number}"
    assert page.complaints == []


def test_page_many_points_an_invalid_trial_is_drawn_as_a_diamond_and_an_infeasible_one_as_a_cross(makers, open_page):
    page = open_page(makers.make_small_result())
    infeasible, invalid, feasible = page.evaluate(
        """async () => {
            const { drawCloud } = await import("explore/cloud");
            const axis = (column) => ({ column, scale: 1, range: [0, 1], isLog: false });
            const axes = { x: axis([0.25, 0.5, 0.75]), y: axis([0.5, 0.5, 0.5]) };
            const derived = { isFeasible: [0, 0, 1], isInvalid: (index) => index === 1 };
            const picture = new Image();
            const colors = { faint: "black", rest: "black" };
            picture.src = drawCloud([0, 1, 2], axes, { width: 100, height: 100 }, colors, { derived }).url;
            await picture.decode();
            const canvas = new OffscreenCanvas(100, 100);
            const context = canvas.getContext("2d");
            context.drawImage(picture, 0, 0, 100, 100);
            const isInked = (x, y) => context.getImageData(x, y, 1, 1).data[3] > 40;
            // The middle, beside it, and at a corner of the mark.
            return [25, 50, 75].map((x) => [isInked(x, 50), isInked(x + 2, 50), isInked(x + 1, 51)]);
        }"""
    )
    assert infeasible == [True, False, True]
    assert invalid == [False, True, True]
    assert feasible == [True, False, True]
    assert page.complaints == []


def test_page_without_webgl_says_so_and_stays_flat(makers, open_page):
    page = open_page(makers.make_seeded_result(30), view="mode=3d")
    assert "needs WebGL" in page.locator("#plot-note").inner_text()
    assert page.complaints == []


def test_page_has_no_button_that_uploads(makers, open_page):
    page = open_page(makers.make_seeded_result(30))
    page.locator("#plot-front").hover()
    page.wait_for_selector("#plot-front .modebar-btn")
    titles = page.locator(".modebar-btn").evaluate_all("buttons => buttons.map(button => button.dataset.title)")
    assert "Download plot as a PNG" in titles
    assert not [title for title in titles if "share" in title.lower() or "cloud" in title.lower()]


def test_page_hostile_names_stay_text(makers, open_page):
    result = makers.make_seeded_result(30)
    hostile = "</script><img src=x onerror=alert(1)><script>alert(2)</script>$\\href{javascript:alert(3)}{x}$"
    failed = makers.make_trial(30, reason=hostile)
    variant = result.trials[0].variant.replaced(runtime=hostile)
    odd = makers.make_trial(31, result.trials[0].outcome.metrics, variant)
    result = replace(result, name=hostile, trials=(*result.trials, failed, odd), provenance={hostile: hostile})
    page = open_page(result, view="trial=31&color=runtime&shape=runtime")
    page.locator(f"{POINTS} >> visible=true").first.hover(force=True)
    assert page.complaints == []
    assert page.locator("body img").count() == 0
    assert page.locator("h1").inner_text() == hostile
    assert hostile in page.locator("#failures").inner_text()


def test_live_page_without_plotly_says_so_and_loads_again(makers, browser, tmp_path):
    server = Server(Feed(makers.make_seeded_result(5, folder=tmp_path)), port=None)
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(60_000)
    try:
        page.route("**/plotly.min.js", lambda route: route.abort(), times=1)
        page.goto(server.link)
        page.locator("#connection", has_text="plotly.js did not arrive. Trying again.").wait_for()
        page.locator("#whatif-answer", has_text=re.compile(r"\w")).wait_for()  # what needs no figure is there
        page.wait_for_selector("body[data-ready=true]")
        assert page.locator("#connection").is_hidden()
    finally:
        context.close()
        server.stop()


def test_live_page_follows_loses_and_finds_the_server_again(makers, browser, tmp_path):
    full = makers.make_seeded_result(20, folder=tmp_path)
    feed = Feed(replace(full, trials=()))
    server = Server(feed, port=None)

    def tell(n_trials):
        feed.on_trial_end(full.trials[n_trials - 1], replace(full, trials=full.trials[:n_trials]))

    def wait_for(n_trials):
        # not wait_for_function: it evaluates text, which the page's policy forbids
        page.locator("#table-count", has_text=re.compile(rf"^{n_trials} trial")).wait_for()

    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: re.search("Policy|preload", message.text) and errors.append(message.text))
    asked = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    try:
        page.goto(server.link)
        page.wait_for_selector("body[data-ready=true]")
        assert asked.count("state") == asked.count("main.js") == asked.count("plotly.min.js") == 1
        for n_trials in range(1, 11):
            tell(n_trials)
        wait_for(10)
        drag(page)
        zoomed = page.evaluate(RANGE)
        server.stop()
        page.wait_for_selector("#connection:not([hidden])")
        assert "reconnects by itself" in page.locator("#connection").inner_text()
        for n_trials in range(11, 16):
            tell(n_trials)
        server = Server(feed, port=server.port)
        page.wait_for_selector("#connection", state="hidden")
        wait_for(15)
        for n_trials in range(16, 21):
            tell(n_trials)
        feed.end("finished")
        wait_for(20)
        page.wait_for_selector("body[data-status=finished]")
        assert page.evaluate(FRONT) == [e.trial.number for e in sorted_by_number(front_view(full))]
        assert page.evaluate(RANGE) == zoomed
        assert "zoom" in page.url
        page.locator("#importance-empty", has_text="it takes 20 measured trials to tell, and there are 18").wait_for()
        assert errors == []
    finally:
        context.close()
        server.stop()


def test_live_page_shows_a_pinned_trial_as_soon_as_it_is_there(makers, browser, tmp_path):
    full = makers.make_seeded_result(12, folder=tmp_path)
    feed = Feed(replace(full, trials=full.trials[:11]))
    server = Server(feed, port=None)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    try:
        page.goto(f"{server.link}#pinned=3,11")
        page.wait_for_selector("body[data-ready=true]")
        assert "Select or pin another trial" in page.locator("#compare").inner_text()
        feed.on_trial_end(full.trials[11], full)
        page.wait_for_selector("#compare table")
    finally:
        context.close()
        server.stop()


def test_live_page_of_a_study_begun_anew_shows_the_new_trial_of_that_number(makers, browser, tmp_path):
    old, new = makers.make_seeded_result(12, folder=tmp_path), makers.make_seeded_result(12, seed=1, folder=tmp_path)
    day = 86_400.0
    later = [replace(trial, started=trial.started + day, finished=trial.finished + day) for trial in new.trials]
    feed = Feed(old)
    server = Server(feed, port=None)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    finished = """(seconds) => document.getElementById("variant-body").textContent
    .includes(new Date(1000 * seconds).toLocaleString())"""
    asked = []
    page.on("request", lambda request: asked.append(request.url.partition("/api/")[2]))
    try:
        page.goto(f"{server.link}#trial=1&pinned=1,2")
        page.wait_for_selector("body[data-ready=true]")
        page.wait_for_selector("#export-command")
        assert page.evaluate(finished, old.trials[1].finished)
        feed.update(replace(new, trials=tuple(later)), "running")
        for _ in range(600):
            if page.evaluate(finished, later[1].finished) and asked.count("compare/1/2") == 2:
                break
            page.wait_for_timeout(100)
        assert asked.count("trials/1") == asked.count("compare/1/2") == 2
        assert page.evaluate(finished, later[1].finished)
    finally:
        context.close()
        server.stop()


def test_live_page_zoomed_keeps_its_axes_when_a_trial_spans_much_more(makers, browser, tmp_path):
    trials = [makers.make_trial(n, {"accuracy": 0.7 + n / 50, "latency_ms": 1.0 + n}) for n in range(5)]
    trials.append(makers.make_trial(5, {"accuracy": 0.9, "latency_ms": 400.0}))
    full = makers.make_result(trials, folder=tmp_path)
    feed = Feed(replace(full, trials=full.trials[:5]))
    server = Server(feed, port=None)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    axes = """() => { const { xaxis, yaxis } = document.getElementById("plot-front")._fullLayout;
    return [xaxis.type, yaxis.type, ...xaxis.range, ...yaxis.range]; }"""
    try:
        page.goto(server.link)
        page.wait_for_selector("body[data-ready=true]")
        drag(page)
        zoomed = page.evaluate(axes)
        assert zoomed[:2] == ["linear", "linear"]
        feed.on_trial_end(full.trials[5], full)
        page.locator("#table-count", has_text=re.compile("^6 trials")).wait_for()
        assert page.evaluate(axes) == zoomed
        assert "logx=0&logy=0" in page.url
    finally:
        context.close()
        server.stop()


def lonely_trials(result):
    """Two trials behind the front that lie far from all others in the usual picture."""
    measured = [trial for trial in result.trials if trial.state != "failed"]
    values = [trial.values() for trial in measured]
    points = np.array([[np.log10(one["latency_ms"]), one["accuracy"]] for one in values])
    feasible = np.array([trial.is_feasible for trial in measured])
    points /= np.ptp(points[feasible], axis=0)
    gaps = np.array([np.sort(np.hypot(*(points - point).T))[1] for point in points])
    front = {entry.trial.number for entry in front_view(result).entries}
    behind = [place for place, trial in enumerate(measured) if trial.is_feasible and trial.number not in front]
    return [measured[place] for place in sorted(behind, key=lambda place: -gaps[place])[:2]]


def least_memory(result):
    least = min(trial.values()["peak_memory_mib"] for trial in result.trials if trial.state != "failed")
    return f"peak_memory_mib <= {float(f'{least:.7g}')!r}"


def test_page_infeasible_outlier_does_not_squeeze_the_front(open_page, makers):
    page = open_page(makers.make_small_result())
    low, high = page.evaluate(RANGE)
    assert 0.3 < 10**low < 0.5  # the fastest feasible trial takes 0.5 ms; trial 4, infeasible, 0.1 ms
    assert 3 < 10**high < 4
    assert "1 that break a constraint lie outside the picture" in page.locator("#plot-note").inner_text()


@pytest.mark.parametrize("width", [1280, 390])
def test_page_of_a_confirmed_study_shows_probabilities_ties_and_both_values(makers, open_page, width):
    result = makers.make_near_result()
    page = open_page(result, width, view="trial=2&theme=light")
    assert page.evaluate(FRONT) == [2]
    traces = page.evaluate(
        """() => Object.fromEntries(document.getElementById("plot-front").data
        .filter((trace) => trace.meta).map((trace) => [trace.meta, trace.customdata]))"""
    )
    assert traces["near"] == [1]
    legend = page.locator("#plot-legend").inner_text()
    for words in ("near it 1", "a tie", "not valid 1", "infeasible 1"):
        assert words in legend
    assert "Confirmed in 5 rounds" in page.locator("#plot-note").inner_text()
    page.wait_for_selector("#export-command")
    rows = page.locator(".metrics tbody tr").all_inner_texts()
    latency = next(row for row in rows if row.startswith("latency"))
    assert "0.990 ms" in latency
    assert "1.00 ms" in latency
    assert any(row.startswith("test accuracy") for row in rows)
    cells = page.locator("#trials-table tr[data-trial='2']").inner_text()
    assert "= 1" in cells
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.complaints == []


def test_page_of_a_confirmed_study_counts_apart_what_is_no_finalist(makers, open_page):
    searched = makers.make_small_result()
    page = open_page(searched)
    assert "dominated 1" in page.locator("#plot-legend").inner_text()
    page = open_page(makers.make_confirmed(searched, finalists=[0, 1, 2]), view="trial=3")
    legend = page.locator("#plot-legend").inner_text()
    assert "not among the confirmed finalists 1" in legend
    assert "dominated" not in legend
    assert "Not among the confirmed finalists" in page.locator("#variant").inner_text()
    assert page.complaints == []


def test_page_shows_an_invalid_trial_loudly(makers, open_page):
    page = open_page(makers.make_near_result(), view="trial=3")
    page.wait_for_selector("#variant-body .banner")
    assert page.locator("#variant-body .banner").inner_text() == f"Not valid: {GAP.sentence}."
    assert page.complaints == []


def test_page_draws_how_steady_the_machine_was(makers, open_page):
    result = makers.make_seeded_result(5)
    trials = [
        replace(trial, outcome=replace(trial.outcome, observed=make_observation(1 + n / 100)))
        for n, trial in enumerate(result.trials)
    ]
    page = open_page(replace(result, trials=tuple(trials)))
    page.wait_for_selector("#plot-steady .scatterlayer path.point")
    assert "The core was quiet for 80 %" in page.locator("#steady-said").inner_text()
    assert page.locator("#plot-steady .scatterlayer path.point").count() == 5
    assert page.locator("#trust-empty").inner_text().startswith("Not confirmed yet.")
    assert page.complaints == []


def test_live_page_follows_the_confirmation_and_shows_what_it_confirmed(makers, browser, tmp_path):
    result = makers.with_artifacts(makers.make_small_result(folder=tmp_path))
    feed = Feed(result)
    server = Server(feed, port=None)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        page.goto(server.link + "#trial=1")
        page.wait_for_selector("body[data-ready=true]")
        feed.on_progress(Progress("confirm", 8, 20, "round 3, trial 2"))
        feed.on_progress(Progress("load"))
        page.locator("#status-now", has_text="measuring the finalists again: round 3, trial 2").wait_for()
        assert "confirming 40 %" in page.locator("#status-count").inner_text()
        worse = {"latency_ms": 9.0, "cost_usd_per_million": 0.09}
        feed.on_confirmed(makers.make_confirmed(result, {1: {"latency_ms": 1.2}, 2: worse}))
        feed.end("finished")
        page.locator("#plot-note", has_text="Confirmed in 5 rounds").wait_for()
        page.locator(".metrics", has_text="1.20 ms").wait_for()
        assert page.evaluate(FRONT) == [0, 1]
        assert "confirming" not in page.locator("#status-count").inner_text()
        assert errors == []
    finally:
        context.close()
        server.stop()
