"""The page: one template, served live or written as one file that needs no network."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from importlib.resources import files
from itertools import combinations
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from explorer.study.front import FrontView
from explorer.study.result import StudyResult
from explorer.views.formatting import one_line, weights_sentence
from explorer.views.page.compare import compare
from explorer.views.page.data import page_data
from explorer.views.page.detail import trial_detail
from explorer.views.page.insights import insights
from explorer.views.terminal.trial_sheet import flattened

STATIC = "/static/"
STATE = "/api/state"
# An offline file has so many bytes of details, those of the front first; `explore show` has all.
_DETAIL_BYTES = 3 * 2**20
# The number of pairs is quadratic in the front: beyond this many entries the page compares by intervals.
_MAX_COMPARED = 10
_MAX_FACT = 400

# One file needs inline scripts and styles; the page's modules are data: URLs, and plotly.js needs data: and blob:
# images ("Download plot as a PNG"). No request to any host is allowed.
_OFFLINE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)


def render_live(result: StudyResult) -> str:
    """Return the page that fetches its data from its server and follows the study."""
    return _render(
        result,
        is_live=True,
        static=STATIC,
        state=STATE,
        modules=module_names(),
        import_map=_import_map({name: f"{STATIC}{name}.js" for name in module_names()}),
        boot={"is_live": True},
        policy=None,  # the server sends it as a header, with the hash of the import map
    )


def render_offline(front: FrontView) -> str:
    """Return the page as one file with data, scripts, styles and plotly.js."""
    sources = {name: _text(f"{name}.js") for name in module_names()}
    return _render(
        front.searched,
        is_live=False,
        import_map=_import_map({name: _data_url(source) for name, source in sources.items()}),
        boot={
            "is_live": False,
            "snapshot": page_data(front),
            "insights": insights(front.searched),
        },
        extras={"details": _details(front), "comparisons": _comparisons(front)},
        policy=_OFFLINE_POLICY,
        style=Markup(_text("page.css")),
        plotly=Markup(get_plotlyjs()),
    )


def module_names() -> tuple[str, ...]:
    """Return the names of the page's modules: `explore/<name>` is `<name>.js`."""
    found = (file.name for file in files("explorer.views").joinpath("page").iterdir())
    return tuple(sorted(name.removesuffix(".js") for name in found if name.endswith(".js")))


def _render(result: StudyResult, **values: Any) -> str:
    """Render the template; jinja2 escapes every untrusted text in HTML, `tojson` in scripts."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("explorer", "views/page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    facts = flattened(result.provenance)
    return environment.get_template("index.html").render(
        name=result.name,
        weights=weights_sentence(result),
        provenance={one_line(name): one_line(str(value), _MAX_FACT) for name, value in facts.items()},
        **values,
    )


def _import_map(modules: Mapping[str, str]) -> Markup:
    """Return the import map; base64 and the package's own file names need no escaping in a script."""
    return Markup(json.dumps({"imports": {f"explore/{name}": url for name, url in modules.items()}}))


def _data_url(source: str) -> str:
    return f"data:text/javascript;base64,{base64.b64encode(source.encode('utf-8')).decode('ascii')}"


def _details(front: FrontView) -> dict[str, Any]:
    """Return the details of as many trials as fit, by number: the baseline, the front, then the others in order.

    Their common provenance is elsewhere on the page.
    """
    first = [entry.trial.number for entry in (*front.entries, *front.near)]
    wanted = dict.fromkeys([0, *first, *(trial.number for trial in front.result.trials)])
    details: dict[str, Any] = {}
    left = _DETAIL_BYTES
    for number in wanted:
        detail = trial_detail(front, number)
        if detail is None:
            continue
        detail["provenance"] = []
        left -= len(json.dumps(detail))
        if left < 0:
            break
        details[str(number)] = detail
    return details


def _comparisons(front: FrontView) -> dict[str, Any]:
    """Return the comparisons among the baseline and a small front, by `first|second`, the smaller number first."""
    numbers = sorted({0, *front.numbers}) if len(front.entries) <= _MAX_COMPARED else []
    found = {f"{one}|{other}": compare(front, one, other) for one, other in combinations(numbers, 2)}
    return {pair: comparison for pair, comparison in found.items() if comparison is not None}


def _text(name: str) -> str:
    return files("explorer.views").joinpath("page", name).read_text(encoding="utf-8")
