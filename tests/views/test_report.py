import json
import re
from dataclasses import replace

import pytest

from explorer.objectives import Constraint, Objective
from explorer.records import Measurement, Variant
from explorer.views.report import report_html, write_report

HOSTILE = "</script><img src=x onerror=alert(1)>\"'{{7*7}}"


def own_parts(page):
    """The page without Plotly's library, whose text is not ours."""
    start = page.index("</script>\n<script>", page.index('id="data"'))
    end = page.index("</script>", start + len("</script>\n<script>"))
    return page[:start] + page[end:]


def data_of(page, name):
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.S).group(1))


@pytest.fixture(scope="module")
def page(makers):
    return report_html(makers.make_seeded_result(40))


def test_report_loads_nothing_from_anywhere(page):
    own = own_parts(page)
    assert not re.search(r"https?://", own)
    assert not re.search(r"(src|href|action)\s*=\s*[\"'](?!data:)", own)
    assert not re.search(r"url\(|@import", own)
    assert "default-src 'none'" in own


def test_report_has_its_figures_data_and_provenance(page):
    assert set(data_of(page, "figures")) == {"front", "space", "history", "parallel"}
    data = data_of(page, "data")
    assert data["columns"]["latency_ms"]["value"][0] > 0
    assert "latency_ms|accuracy" in data["stairs"]
    assert "CIFAR-10 (JPEG)" in page
    assert "The knee of the front is trial" in page
    assert data["config"]["showSendToCloud"] is False


def test_report_lists_every_trial_and_every_failure(makers, page):
    result = makers.make_seeded_result(40)
    table = page[page.index('id="trials-table"') : page.index("</table>", page.index('id="trials-table"'))]
    assert re.findall(r'data-value="(\d+)">\1</th>', table) == [str(number) for number in range(40)]
    reasons = [trial.outcome.failure.reason for trial in result.trials if trial.outcome.failure]
    assert reasons
    assert all(reason in page for reason in reasons)


def test_report_foreign_text_is_only_text(makers):
    trials = [
        makers.make_trial(0, {"accuracy": 0.9, "latency_ms": 1.0, HOSTILE: 1.0}, Variant(runtime=HOSTILE)),
        makers.make_trial(1, reason=HOSTILE),
    ]
    space = makers.make_space(HOSTILE, constraints=[Constraint("accuracy", ">=", 0.5)])
    result = makers.make_result(trials, space, provenance={HOSTILE: {"data": [HOSTILE]}})
    own = own_parts(report_html(result))
    assert "<img" not in own
    assert "alert(1)" in own
    assert "{{7*7}}" in own


def test_report_nothing_feasible_says_why(makers):
    page = report_html(makers.make_result([makers.make_trial(0, reason="no memory")]))
    assert "no trial of 1 has a result" in page
    assert "no memory" in page


def test_report_empty_study_is_a_page(makers):
    assert "<h1>made-up</h1>" in report_html(makers.make_result())


def test_report_one_objective_is_a_page(makers):
    space = makers.make_space(objectives=[Objective("latency_ms", "minimize")])
    trials = [makers.make_trial(n, {"latency_ms": 1.0 + n}) for n in range(3)]
    assert data_of(report_html(makers.make_result(trials, space)), "data")["x"] == "trial"


def test_report_unknown_metric_has_no_axis(makers):
    trial = makers.make_trial(0, {"accuracy": 0.9, "energy_mj": Measurement.unknown("no sensor")})
    names = [metric["name"] for metric in data_of(report_html(makers.make_result([trial])), "data")["metrics"]]
    assert names == ["accuracy"]


def test_report_very_many_trials_shows_a_part_with_the_front(makers):
    result = makers.make_seeded_result(1)
    first = result.trials[0]
    many = tuple(replace(first, number=number) for number in range(1, 1100))
    page = report_html(replace(result, trials=(first, *many)))
    assert "The first 1000 are shown; trials.csv has them all." in page


def test_write_report_replaces_the_old_one_whole(makers, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(makers.make_small_result(), path)
    assert path.read_text(encoding="utf-8").endswith("</html>")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
