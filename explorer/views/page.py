"""The page: one template with two lives, served live or written as one file that asks the network for nothing."""

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

from explorer.study.front import FrontSummary, front_summary
from explorer.study.result import StudyResult
from explorer.views.compare import compare
from explorer.views.detail import trial_detail
from explorer.views.insights import insights
from explorer.views.page_data import page_data
from explorer.views.sentences import weights_sentence
from explorer.views.shown import Shown, shown_study
from explorer.views.trial_sheet import flattened
from explorer.views.wording import one_line

STATIC = "/static/"
STATE = "/api/state"
# The details of so many bytes of JSON go into an offline file: those of the front first. `explore show` has them all.
_DETAIL_BYTES = 3 * 2**20
# Pairs grow with the square of the front: beyond this many entries the page compares by intervals.
_MAX_COMPARED = 10
_MAX_FACT = 400

# Besides inline scripts and styles, which one file cannot do without, the page's own modules are data: URLs, and
# plotly.js needs data: and blob: images ("Download plot as a PNG"). 'unsafe-eval', which its WebGL traces once needed
# to compile with `Function`, it needs no longer. Nothing may be asked for from anywhere.
_OFFLINE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)


def render_live(result: StudyResult) -> str:
    """The page that fetches its data from the server that serves it, and follows the study."""
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


def render_offline(result: StudyResult) -> str:
    """The page whole: data, scripts, styles and plotly.js are in the file."""
    sources = {name: _text(f"{name}.js") for name in module_names()}
    summary = front_summary(result)
    shown = shown_study(result, summary)
    return _render(
        result,
        is_live=False,
        import_map=_import_map({name: _data_url(source) for name, source in sources.items()}),
        boot={
            "is_live": False,
            "snapshot": page_data(result, shown=shown),
            "insights": insights(result),
        },
        extras={"details": _details(shown, summary), "comparisons": _comparisons(shown, summary)},
        policy=_OFFLINE_POLICY,
        style=Markup(_text("page.css")),
        plotly=Markup(get_plotlyjs()),
    )


def module_names() -> tuple[str, ...]:
    """The page's modules: `explore/<name>` is `<name>.js`."""
    found = (file.name for file in files("explorer.views").joinpath("page").iterdir())
    return tuple(sorted(name.removesuffix(".js") for name in found if name.endswith(".js")))


def _render(result: StudyResult, **values: Any) -> str:
    """The template with these values; every text from outside is escaped, in HTML by jinja2, in scripts by `tojson`."""
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
    """Where the browser finds each module. Base64 and our own file names need no escaping in a script."""
    return Markup(json.dumps({"imports": {f"explore/{name}": url for name, url in modules.items()}}))


def _data_url(source: str) -> str:
    return f"data:text/javascript;base64,{base64.b64encode(source.encode('utf-8')).decode('ascii')}"


def _details(shown: Shown, summary: FrontSummary) -> dict[str, Any]:
    """Trials whole, by number, as many as fit: the baseline, then the front, then the others in their order.

    The provenance is the same for all of them, and on the page already.
    """
    front = [entry.trial.number for entry in (*summary.entries, *summary.near)]
    wanted = dict.fromkeys([0, *front, *(trial.number for trial in shown.result.trials)])
    details: dict[str, Any] = {}
    left = _DETAIL_BYTES
    for number in wanted:
        detail = trial_detail(shown.searched, number, shown)
        if detail is None:
            continue
        detail["provenance"] = []
        left -= len(json.dumps(detail))
        if left < 0:
            break
        details[str(number)] = detail
    return details


def _comparisons(shown: Shown, summary: FrontSummary) -> dict[str, Any]:
    """The pairs among the baseline and a small front, as `first|second`, the smaller number first."""
    entries = summary.entries
    numbers = sorted({0, *(entry.trial.number for entry in entries)}) if len(entries) <= _MAX_COMPARED else []
    found = {f"{one}|{other}": compare(shown.searched, one, other, shown) for one, other in combinations(numbers, 2)}
    return {pair: comparison for pair, comparison in found.items() if comparison is not None}


def _text(name: str) -> str:
    """A file of the page."""
    return files("explorer.views").joinpath("page", name).read_text(encoding="utf-8")
