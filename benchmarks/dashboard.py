"""The dashboard's figures: a study of 50,000 trials in a browser, against Optuna's figure, and what watching disturbs.

    python benchmarks/dashboard.py page [--trials 50000]                    data, first paint, sliders, in Chromium
    python benchmarks/dashboard.py figures [--trials 50000] [--rounds 3]    building and writing, against Optuna
    EXPLORER_DATA=... python benchmarks/dashboard.py latency STUDY [--trial N] [--pairs 10]

`page` and `figures` make the study by benchmarks/large_study.py; `page` serves it with `explore dashboard`. First paint
counts from the navigation to the frame in which the front's points are drawn; a slider's answer from its event to the
frame that shows the new front.

`figures`: each side starts from the study in memory and ends with JSON text that a browser draws from. Optuna's side is
`plot_pareto_front(study).to_json()`, whose hover texts hold all that a trial has: values, parameters and attributes. It
is timed with the study as study.db has it, where each trial's attribute is its record, and with those left out. Ours is
the page's whole snapshot: every metric of every trial with its interval, and why it failed. From that the browser makes
all of the page's figures, which is part of the first paint; a record is asked for when its point is. The Plotly figure
of explorer/views/figure.py, whose hover texts are written in Python too, is compared as well.

`latency` probes one artifact of STUDY, a finished study with its artifacts, turn by turn: with a dashboard served by
the process that probes, open in a browser that hears of every trial; and without server and browser. All of them run on
this machine, and the browser wherever the system puts it. The machine has to be quiet otherwise. As in a study, times
are those of the core's quiet state, and what is invalid is measured again; those of all states stand beside them.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import re
import runpy
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from explorer.data.preparing import prepare
from explorer.data.splits import split
from explorer.measure.metrics import Prices
from explorer.measure.probing import ProbeSettings, probe
from explorer.measure.results import Measured
from explorer.records import Progress
from explorer.runtimes.artifact import Artifact
from explorer.study.evaluation import MAX_ATTEMPTS
from explorer.study.front import front_view
from explorer.study.read import load_result
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.store.facts import RECORD_KEY, checksummed
from explorer.study.store.journal import Entry
from explorer.tasks.classification import Classification
from explorer.views.figure import front_figure
from explorer.views.outputs import write_report
from explorer.views.page.data import page_data
from explorer.views.server.feed import Feed
from explorer.views.server.thread import Server

LARGE_STUDY = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("large_study.py"))))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE_MS = 120_000
N_VISITS, N_STEPS = 5, 12
# What a study does between two measurements takes seconds; here, and between two visits, everybody only comes to rest.
REST_S = 3.0

# Notes when the front's points have been drawn: they are elements, and the frame after them has ended.
PAINTED = """
new MutationObserver((_, observer) => {
  if (!document.querySelector("#plot-front .scatterlayer path.point")) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.paintedAt = performance.now(); }));
}).observe(document, { childList: true, subtree: true });
"""
PAINTED_AT = """async () => {
  while (!window.paintedAt) {
    if (performance.now() > 120000) throw new Error("the front was not drawn within two minutes");
    await new Promise((done) => setTimeout(done, 20));
  }
  return [window.paintedAt, performance.getEntriesByName("first-contentful-paint")[0].startTime];
}"""
# Each answer is awaited before the next step, as a hand does that follows what it sees.
SLIDE = """async (slider, n) => {
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const answers = new Set();
  const times = [];
  for (let step = 1; step < n; step += 1) {
    slider.value = Math.round((slider.max * step) / n);
    await frame();
    const before = performance.now();
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await frame();
    times.push(performance.now() - before);
    answers.add(document.getElementById("whatif-answer").textContent);
  }
  return { times, n: answers.size };
}"""
# How long the page is busy once a slider was let go: its longest task, after what is behind the front has followed too.
AT_REST = """async (slider) => {
  const tasks = [0];
  const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((task) => task.duration)));
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  observer.observe({ type: "longtask" });
  await new Promise((done) => setTimeout(done, 3000));
  observer.disconnect();
  return Math.max(...tasks);
}"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `is_reached` None: nothing is asked of it."""

    name: str
    value: str
    target: str = ""
    is_reached: bool | None = None


def at_most(name: str, value: float, limit: float, unit: str) -> Row:
    return Row(name, f"{value:,.3g} {unit}", f"at most {limit:g} {unit}", value <= limit)


def show(title: str, rows: list[Row]) -> None:
    print(f"\n| {title} | value | asked for | |\n|---|---|---|---|")
    for row in rows:
        verdict = "" if row.is_reached is None else "reached" if row.is_reached else "MISSED"
        print(f"| {row.name} | {row.value} | {row.target} | {verdict} |", flush=True)


def page(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        folder, report = Path(place, "large"), Path(place, "report.html")
        LARGE_STUDY.write_large_study(folder, arguments.trials)
        with served(folder) as (link, seconds), chromium(playwright) as browser:
            visits = [first_paint(browser, link) for _ in range(N_VISITS)]
            size, zipped = data_size(browser, link)
            answers, rest = sliders(browser, link)
        write_report(front_view(load_result(folder)), report)
        with chromium(playwright) as browser:
            opened = [first_paint(browser, report.as_uri()) for _ in range(N_VISITS)]
        report_mb = report.stat().st_size / 1e6
    paints, contents = zip(*visits, strict=True)
    rows = [
        at_most("page data", size / 1e6, 8, "MB"),
        Row("page data on the wire, gzipped", f"{zipped / 1e6:.2f} MB"),
        at_most("first paint of the front, first visit", paints[0], 2, "s"),
        at_most(f"first paint of the front, median of {N_VISITS - 1} later visits", median(paints[1:]), 2, "s"),
        Row("first paint of anything, first visit", f"{contents[0]:.2f} s"),
        at_most(f"report from the disk, first paint, median of {N_VISITS}", median([p for p, _ in opened]), 2, "s"),
        Row("report, with plotly.js and details of trials", f"{report_mb:.1f} MB"),
        *[at_most(f"slider “{name}”, slowest of {len(times)}", max(times), 150, "ms") for name, times in answers],
        at_most("sliders, median of all answers", median([t for _, times in answers for t in times]), 150, "ms"),
        Row("busy once after a slider is let go", f"{rest:.0f} ms"),
        Row("`explore dashboard`, until the link is printed", f"{seconds:.1f} s"),
    ]
    show(f"{arguments.trials:,} trials in Chromium", rows)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[str, float]]:
    """`explore dashboard` of that study; gives its link and the seconds until it was printed."""
    before = time.perf_counter()
    command = [sys.executable, "-m", "explorer", "dashboard", str(folder), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        link = re.search(r"http://\S+", said)
        if link is None:
            raise SystemExit(f"the dashboard did not start: {said}{process.stderr.read()}")
        yield link.group(), time.perf_counter() - before
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """Debian's Chromium, without a graphics card."""
    if CHROMIUM is None:
        raise SystemExit("there is no chromium on this machine: apt-get install chromium")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
    try:
        yield browser
    finally:
        browser.close()


@contextlib.contextmanager
def opened_page(browser: Browser, address: str) -> Iterator[Page]:
    """The page in a fresh profile, ready."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        shown = context.new_page()
        shown.set_default_timeout(PATIENCE_MS)
        shown.add_init_script(PAINTED)
        shown.wait_for_timeout(1000 * REST_S)  # the browser still clears away the page before
        shown.goto(address)
        shown.wait_for_selector("body[data-ready=true]")
        yield shown
    finally:
        context.close()


def first_paint(browser: Browser, address: str) -> tuple[float, float]:
    """Seconds from the navigation until the front is drawn, and until anything is."""
    with opened_page(browser, address) as shown:
        painted, anything = shown.evaluate(PAINTED_AT)
    return painted / 1e3, anything / 1e3


def data_size(browser: Browser, link: str) -> tuple[int, int]:
    """Bytes of what the page asks for once, plain and packed as the server packs it."""
    with opened_page(browser, link) as shown:
        text = shown.evaluate("async () => (await fetch('/api/state')).text()").encode("utf-8")
    return len(text), len(gzip.compress(text, 1))


def sliders(browser: Browser, link: str) -> tuple[list[tuple[str, list[float]]], float]:
    """The answers of every limit's slider in ms, by its name, and how long the page is busy after the last one."""
    found = []
    with opened_page(browser, link) as shown:
        shown.evaluate(PAINTED_AT)
        shown.wait_for_timeout(1000)
        for slider in shown.locator("#limits input[type=range]").all():
            answer = slider.evaluate(SLIDE, N_STEPS)
            name = slider.get_attribute("aria-label") or ""
            if answer["n"] < 2:
                raise SystemExit(f"the slider {name!r} changed nothing")
            found.append((name, answer["times"]))
            shown.wait_for_timeout(1000)
        rest = slider.evaluate(AT_REST)
    return found, rest


def figures(arguments: argparse.Namespace) -> None:
    result = LARGE_STUDY.large_result(arguments.trials)
    stored, bare = optuna_study(result, has_records=True), optuna_study(result, has_records=False)
    texts: dict[str, Callable[[], str]] = {
        "page": lambda: json.dumps(page_data(front_view(result)), allow_nan=False, separators=(",", ":")),
        "plotly": lambda: front_figure(front_view(result)).to_json(),
        "stored": lambda: optuna_text(stored),
        "bare": lambda: optuna_text(bare),
    }
    seconds: dict[str, list[float]] = {name: [] for name in texts}
    sizes: dict[str, int] = {}
    for _ in range(arguments.rounds):
        for name, text in texts.items():
            before = time.perf_counter()
            made = text()
            seconds[name].append(time.perf_counter() - before)
            sizes[name] = len(made)
    took = {name: median(times) for name, times in seconds.items()}
    ratio = took["stored"] / took["page"]
    rows = [
        Row("Optuna's plot_pareto_front, the study as stored", words(took["stored"], sizes["stored"])),
        Row("Optuna's plot_pareto_front, without the records", words(took["bare"], sizes["bare"])),
        Row("the page's snapshot", words(took["page"], sizes["page"])),
        Row("front_figure of explorer/views/figure.py", words(took["plotly"], sizes["plotly"])),
        Row("the page's snapshot against the study as stored", f"{ratio:.1f} ×", "at least 20 ×", ratio >= 20),
        Row("the page's snapshot against the one without the records", f"{took['bare'] / took['page']:.1f} ×"),
        Row("front_figure against the study as stored", f"{took['stored'] / took['plotly']:.1f} ×"),
        Row("front_figure against the one without the records", f"{took['bare'] / took['plotly']:.1f} ×"),
    ]
    show(f"{arguments.trials:,} trials from memory to JSON, median of {arguments.rounds}", rows)


def words(seconds: float, n_characters: int) -> str:
    return f"{seconds:.2f} s, {n_characters / 1e6:.1f} MB"


def optuna_text(study: Any) -> str:
    import optuna

    return str(optuna.visualization.plot_pareto_front(study).to_json())


def optuna_study(result: StudyResult, has_records: bool) -> Any:
    """The same trials as a study of Optuna's in memory, as StudyStorage stores them, or without their records."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    choices = {
        name: optuna.distributions.CategoricalDistribution(parameter.values)
        for name, parameter in result.space.parameters.items()
    }
    study = optuna.create_study(directions=[objective.direction for objective in result.objectives])
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={name: trial.variant[name] for name in choices},
                distributions=choices,
                values=[trial.values()[objective.metric] for objective in result.objectives],
                constraints=dict(trial.violations),
                user_attrs={RECORD_KEY: checksummed(Entry(trial, trial.values(), ""))} if has_records else {},
            )
            for trial in result.trials
            if trial.state != "failed"
        ]
    )
    return study


def latency(arguments: argparse.Namespace) -> None:
    result = load_result(arguments.study)
    trial = chosen_trial(result, arguments.trial)
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        measure = prober(result, trial, Path(place))
        watch = Watch(result, trial, playwright)
        measure(nobody)  # the logits of all images are computed once, and kept
        pairs = []
        for number in range(arguments.pairs):
            turns = [("without", lambda: alone(measure)), ("with", lambda: watch.probed(measure))]
            # Turn about, so that what drifts favors neither side.
            pairs.append({name: turn() for name, turn in (turns if number % 2 == 0 else turns[::-1])})
            print(f"  pair {number + 1} of {arguments.pairs}: {pairs[-1]}", file=sys.stderr, flush=True)
    plain, watched = ([pair[name] for pair in pairs] for name in ("without", "with"))
    steps = [abs(later.quiet_ms / earlier.quiet_ms - 1) for earlier, later in pairwise(plain)]
    change = changed(plain, watched, "quiet_ms")
    rows = [
        Row("without a dashboard, median", f"{median(probe.quiet_ms for probe in plain):.4f} ms"),
        Row("with an open dashboard, median", f"{median(probe.quiet_ms for probe in watched):.4f} ms"),
        Row("median difference within the pairs", words_of(change), "within 1 %", abs(change[0]) <= 0.01),
        Row("the same in all states of the core", words_of(changed(plain, watched, "raw_ms"))),
        Row("and of the anchor beside it", words_of(changed(plain, watched, "anchor_ms"))),
        Row("for comparison: from one without to the next, median", f"{median(steps):.2%}"),
        Row("measured again, being invalid", f"{sum(probe.n_invalid for probe in (*plain, *watched))}"),
    ]
    show(f"trial {trial.number} of {result.name}, {len(pairs)} pairs of probes", rows)


def changed(plain: list[Probed], watched: list[Probed], name: str) -> tuple[float, float, float]:
    """The median of the pairs' ratios, less 1, and its 95 % interval."""
    changes = np.array([getattr(b, name) / getattr(a, name) - 1 for a, b in zip(plain, watched, strict=True)])
    return (float(np.median(changes)), *bootstrapped_median(changes))


def words_of(change: tuple[float, float, float]) -> str:
    return f"{change[0]:+.2%} (95 %: {change[1]:+.2%} … {change[2]:+.2%})"


@dataclass(frozen=True, slots=True)
class Probed:
    """The median times of one probe, in ms, and how many before it were invalid."""

    quiet_ms: float
    raw_ms: float
    anchor_ms: float
    n_invalid: int


Measure = Callable[[Callable[[Progress], None]], Probed]


def chosen_trial(result: StudyResult, number: int | None) -> TrialRecord:
    """The trial of that number, else the knee, which is what one would ship."""
    knee = front_view(result).knee
    trial = result.trial(number) if number is not None else None if knee is None else knee.trial
    if trial is None or trial.outcome.artifact is None:
        raise SystemExit(f"{result.folder} has no such trial with an artifact: choose one with --trial")
    return trial


def prober(result: StudyResult, trial: TrialRecord, place: Path) -> Measure:
    """What probes a copy of the trial's artifact as a study does."""
    source = result.folder / "artifacts" / str(trial.outcome.artifact)
    shutil.copytree(source, place / source.name, ignore=shutil.ignore_patterns("measurements"))
    artifact = Artifact.read(place / source.name)
    dataset = prepare(result.space.data, None, nobody)
    splits = split(dataset, result.space.data, Classification())
    validation = splits.examples
    device = result.space.device
    prices = Prices(device.hardware_usd_per_hour, device.memory_usd_per_gib_hour, device.other_usd_per_million)

    def measure(on_progress: Callable[[Progress], None]) -> Probed:
        for n_invalid in range(MAX_ATTEMPTS):
            measured, _ = probe(
                artifact,
                trial.variant,
                ProbeSettings(validation, prices, place / "logits", on_progress=on_progress),
                "probe",
            )
            if not measured.invalid:
                return probed(measured, artifact.folder / "measurements" / "probe.npz", n_invalid)
        raise SystemExit(f"{MAX_ATTEMPTS} measurements in a row were invalid: {measured.invalid[0]}")

    return measure


def probed(measured: Measured, samples: Path, n_invalid: int) -> Probed:
    quiet_ms = measured.metrics["latency_ms"].value
    assert quiet_ms is not None
    with np.load(samples) as raw:
        raw_ms = float(np.median(raw["latency_raw_ns"])) / 1e6
        anchor_ms = float(np.median(raw["anchor_ns"].sum(axis=1))) / 1e6
    return Probed(quiet_ms, raw_ms, anchor_ms, n_invalid)


def nobody(_: Progress) -> None:
    """Hears of progress and does nothing."""


def alone(measure: Measure) -> Probed:
    time.sleep(REST_S)
    return measure(nobody)


class Watch:
    """Probes with a dashboard of the study open in a browser; every probe becomes one trial more of it."""

    def __init__(self, result: StudyResult, trial: TrialRecord, playwright: Playwright) -> None:
        self._result = result
        self._trial = trial
        self._playwright = playwright

    def probed(self, measure: Measure) -> Probed:
        feed = Feed(self._result)
        server = Server(feed, 0)
        try:
            with chromium(self._playwright) as browser, opened_page(browser, server.link) as shown:
                feed.on_trial_start(len(self._result.trials), self._trial.variant)
                feed.on_progress(Progress("export"))
                time.sleep(REST_S)
                value = measure(feed.on_progress)
                self._grow()
                feed.on_trial_end(self._result.trials[-1], self._result)
                # The browser was connected all the while: it hears of the trial.
                count = re.compile(rf"^{len(self._result.trials)} trial")
                shown.locator("#table-count", has_text=count).wait_for()
        finally:
            server.stop()
        return value

    def _grow(self) -> None:
        number = max(trial.number for trial in self._result.trials) + 1
        trials = (*self._result.trials, replace(self._trial, number=number))
        self._result = replace(self._result, trials=trials)


def bootstrapped_median(values: np.ndarray[Any, np.dtype[np.float64]], n: int = 10_000) -> tuple[float, float]:
    """The 95 % interval of the median, by resampling."""
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(values, (n, len(values))), axis=1)
    low, high = np.percentile(medians, (2.5, 97.5))
    return float(low), float(high)


def median(values: Any) -> float:
    return float(statistics.median(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("page", "figures"):
        commands.add_parser(name).add_argument("--trials", type=int, default=50_000)
    commands.choices["figures"].add_argument("--rounds", type=int, default=3)
    watching = commands.add_parser("latency")
    watching.add_argument("study", type=Path, metavar="STUDY")
    watching.add_argument("--trial", type=int)
    watching.add_argument("--pairs", type=int, default=10)
    arguments = parser.parse_args()
    {"page": page, "figures": figures, "latency": latency}[arguments.command](arguments)


if __name__ == "__main__":
    main()
