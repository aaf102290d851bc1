import base64
import json
import re
from dataclasses import replace
from importlib.resources import files

import pytest

from explorer.metrics import Constraint, Objective
from explorer.records import Variant
from explorer.study.front import front_view
from explorer.views.page.html import module_names, render_live, render_offline

HOSTILE = "</script><img src=x onerror=alert(1)>\"'{{7*7}}$x$"
PAGE = files("explorer.views").joinpath("page")


def own_parts(page):
    """The page without Plotly's library, whose text is not ours."""
    start = page.index("</script>", page.index('id="extras"'))
    end = page.index('<script type="module"', start)
    return page[:start] + page[end:]


def data_of(page, part="boot"):
    return json.loads(re.search(rf'<script type="application/json" id="{part}">(.*?)</script>', page, re.S)[1])


def import_map_of(page):
    return json.loads(re.search(r'<script type="importmap">(.*?)</script>', page, re.S)[1])["imports"]


@pytest.fixture(scope="module")
def offline(makers):
    return render_offline(front_view(makers.make_seeded_result(40)))


def test_offline_page_loads_nothing_from_anywhere(offline):
    own = own_parts(offline).replace("http://www.w3.org/2000/svg", "")  # a namespace, which nobody fetches
    assert not re.search(r"https?://", own)
    assert not re.search(r"\b(src|href|action)\s*=\s*[\"'](?!data:|#)", own)
    assert not re.search(r"url\(|@import", own)
    assert "default-src &#39;none&#39;" in own
    assert "unsafe-eval" not in own


def test_module_sources_ask_only_this_server():
    for name in module_names():
        source = PAGE.joinpath(f"{name}.js").read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//[a-z]+\.[a-z]", source), name


def test_module_sources_never_read_data_as_markup():
    for name in module_names():
        source = PAGE.joinpath(f"{name}.js").read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|hovertext|DOMParser", source), (
            name
        )


@pytest.mark.parametrize("name", module_names())
def test_import_map_has_every_module_that_is_imported(makers, name):
    imported = re.findall(r'from "([^"]+)"', PAGE.joinpath(f"{name}.js").read_text(encoding="utf-8"))
    assert set(imported) <= set(import_map_of(render_live(makers.make_result())))


def test_offline_import_map_holds_the_modules_themselves(offline):
    modules = import_map_of(offline)
    assert set(modules) == {f"explore/{name}" for name in module_names()}
    _, _, content = modules["explore/front"].partition("base64,")
    assert base64.b64decode(content) == PAGE.joinpath("front.js").read_bytes()


def test_live_page_fetches_its_data_from_its_own_server(makers):
    page = render_live(makers.make_seeded_result(5))
    assert set(re.findall(r'(?:src|href)="([^"#]+?)"', page)) == {
        "/static/page.css",
        "/static/plotly.min.js",
        "/api/state",
        *(f"/static/{name}.js" for name in module_names()),
        re.search(r'href="(data:image/svg[^"]+)"', page)[1],
    }
    assert data_of(page) == {"is_live": True}
    assert import_map_of(page)["explore/front"] == "/static/front.js"
    # The server's policy allows no inline script but the import map.
    assert re.findall(r"<script(?![^>]*(?:src=|json|importmap))", page) == []


def test_live_page_asks_for_everything_before_plotly_is_read(makers):
    page = render_live(makers.make_seeded_result(5))
    head = page[: page.index("</head>")]
    assert page.index('type="importmap"') < page.index('rel="modulepreload"')
    assert re.findall(r'<link rel="modulepreload" href="/static/(.+?)\.js">', head) == list(module_names())
    assert re.findall(r'<link rel="preload" href="(.+?)"', head) == ["/static/plotly.min.js", "/api/state"]


def test_offline_page_has_snapshot_details_and_provenance(makers, offline):
    boot = data_of(offline)
    assert boot["snapshot"]["study"]["name"] == "cifar10-cnn"
    assert set(data_of(offline, "extras")["details"]) == {str(number) for number in range(40)}
    assert boot["insights"]["n_trials"] == 40
    assert [one["metric"] for one in boot["insights"]["importance"]] == [
        objective["metric"] for objective in boot["snapshot"]["objectives"]
    ]
    assert "CIFAR-10 (JPEG)" in offline


def test_offline_page_very_many_trials_keeps_the_details_of_the_front(makers, monkeypatch):
    monkeypatch.setattr("explorer.views.page.html._DETAIL_BYTES", 40_000)
    result = makers.make_seeded_result(60)
    details = data_of(render_offline(front_view(result)), "extras")["details"]
    assert 1 < len(details) < 60
    assert "0" in details


def test_pages_foreign_text_is_only_text(makers):
    trials = [
        makers.make_trial(0, {"accuracy": 0.9, "latency_ms": 1.0, HOSTILE: 1.0}, Variant(runtime=HOSTILE)),
        makers.make_trial(1, reason=HOSTILE),
    ]
    space = makers.make_space(HOSTILE, constraints=[Constraint("accuracy", ">=", 0.5)])
    task = {"name": "classification", "facts": {"classes": [HOSTILE]}}
    result = makers.make_result(
        trials,
        space,
        provenance={HOSTILE: {"class_names": [HOSTILE]}, "task": task},
    )
    for page in (own_parts(render_offline(front_view(result))), render_live(result)):
        assert "<img" not in page
        assert "{{7*7}}" in page
    assert data_of(render_offline(front_view(result)))["snapshot"]["study"]["name"] == HOSTILE


@pytest.mark.parametrize("is_failed", [True, False])
def test_offline_page_without_a_result_is_a_page(makers, is_failed):
    trials = [makers.make_trial(0, reason="no memory")] if is_failed else []
    page = render_offline(front_view(makers.make_result(trials)))
    assert '<h1 id="study-name">made-up</h1>' in page
    assert ("no memory" in page) == is_failed


def test_offline_page_one_objective_is_a_page(makers):
    space = makers.make_space(objectives=[Objective("latency_ms", "minimize")])
    trials = [makers.make_trial(n, {"latency_ms": 1.0 + n}) for n in range(3)]
    snapshot = data_of(render_offline(front_view(makers.make_result(trials, space))))["snapshot"]
    assert [objective["metric"] for objective in snapshot["objectives"]] == ["latency_ms"]


def test_offline_page_many_trials_are_packed(makers):
    first = makers.make_seeded_result(1)
    many = tuple(replace(first.trials[0], number=number) for number in range(1, 2100))
    snapshot = data_of(render_offline(front_view(replace(first, trials=(first.trials[0], *many)))))["snapshot"]
    assert snapshot["is_packed"]


@pytest.mark.parametrize("name", module_names())
def test_module_is_short_and_says_what_it_is(name):
    lines = PAGE.joinpath(f"{name}.js").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("// ")
    assert len(lines) <= 220
    assert max(map(len, lines)) <= 120
