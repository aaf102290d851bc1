"""The page's mathematics in JavaScript against Python's, in one process of Node.js."""

import csv
import io
import json
import os
import random
import runpy
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import GAP

from explorer.measure.metrics import Prices, cost
from explorer.metrics import Constraint, Objective, ideal_point
from explorer.pareto.front import front_mask, knee_index
from explorer.pareto.hypervolume import Archive
from explorer.records import Measurement, Variant
from explorer.study.front import front_view
from explorer.views.outputs import trials_csv
from explorer.views.page.compare import compare
from explorer.views.page.data import page_data

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "explorer" / "views" / "page"
NODE = shutil.which("node")
LARGE_STUDY = runpy.run_path(str(ROOT / "benchmarks" / "large_study.py"))

# The page's modules find each other as "explore/<name>": here as a package, on the page by its import map.
RUNNER = """
import { candidateMask, frontMask, hiddenRows, staircase } from "explore/front";
import { baselineRow, kneeRow, recommendation } from "explore/knee";
import { boxVolume, hypervolumeHistory } from "explore/hypervolume";
import { costOf } from "explore/cost";
import { derive } from "explore/derive";
import { toCsv } from "explore/export";
import { historyOf } from "explore/history";
import { follow } from "explore/live";
import { differenceOf, turned, verdictText } from "explore/difference";
import { isLogAxis, rangeOf } from "explore/ranges";
import { unpacked } from "explore/unpack";
import { usualView } from "explore/url";

let text = "";
for await (const part of process.stdin) text += part;

const run = {
  points({ columns, directions, mask, reference }) {
    const found = frontMask(columns, directions, mask);
    return {
      front: Array.from(found),
      knee: kneeRow(columns, directions, found),
      history: hypervolumeHistory(columns, directions, reference, mask),
    };
  },
  csv({ snapshot }) {
    const whole = unpacked(snapshot);
    const view = usualView(whole);
    const derived = derive(whole, view);
    return toCsv({ snapshot: whole, view, derived }, derived.byNumber);
  },
  pairs({ snapshot, pairs }) {
    const whole = unpacked(snapshot);
    const derived = derive(whole, usualView(whole));
    return pairs.map((numbers) => {
      const [one, other] = numbers.map((number) => derived.indexOf(number));
      const judged = (metric) => differenceOf(
        { ...metric, better: derived.betterOf(metric.name) },
        derived.measurement(metric.name, one), derived.measurement(metric.name, other));
      return whole.metrics.map((metric) => [metric.name, judged(metric)]).filter(([, row]) => row).map(
        ([name, row]) => ({ ...row, name, words: verdictText(row, numbers), twice: turned(turned(row)) }));
    });
  },
  unpack: ({ snapshot }) => unpacked(snapshot),
  confirmed({ snapshot, bounds }) {
    const whole = unpacked(snapshot);
    const view = { ...usualView(whole), bounds };
    const derived = derive(whole, view);
    const number = (row) => (row < 0 ? null : derived.number[row]);
    const rows = [...derived.number.keys()];
    return {
      front: derived.front.map(number), knee: number(derived.knee), nearly: number(derived.nearly),
      advice: derived.advice().map((line) => line.map((part) => part.trial ?? part).join("")),
      stairs: derived.stairs("latency_ms", "accuracy").map(number),
      counts: derived.counts, states: rows.map(derived.stateOf),
      places: rows.map((row) => derived.placeText(row, view.x, view.y).join("; ")),
      ties: derived.tiePairs().map((pair) => pair.map(number)), test: derived.testAccuracy(1),
      searched: derived.searched("latency_ms", 2), history: historyOf({ snapshot: whole }).values,
    };
  },
  axes({ snapshot, look }) {
    const whole = unpacked(snapshot);
    const view = { ...usualView(whole), ...look };
    const derived = derive(whole, view);
    return ["x", "y"].map((letter) => [isLogAxis(view, derived, letter), rangeOf(view, derived, letter)]);
  },
  async wakes({ answers }) {
    const [sources, heard, said] = [[], {}, []];
    const listens = (name, act) => (heard[name] = act);
    globalThis.window = { addEventListener: listens };
    globalThis.document = { addEventListener: listens, hidden: false };
    globalThis.EventSource = class {
      isOpen = true;
      constructor() { sources.push(this); }
      addEventListener() {}
      close() { this.isOpen = false; }
    };
    // The requests are answered in reverse order.
    const waiting = [];
    globalThis.fetch = () => new Promise((done) => waiting.unshift(done));
    const state = { connection: "lost", snapshot: { trials: { number: [] } } };
    follow({ get: () => state, set: (part) => said.push(part.snapshot?.name ?? part.connection) }).connect();
    heard.online();
    heard.visibilitychange();
    for (const [place, name] of answers.entries()) {
      waiting[place]({ ok: name !== null, status: name === null ? 500 : 200, json: async () => ({ name, live: {} }) });
      await new Promise((done) => setTimeout(done));
    }
    const found = { nOpen: sources.filter((one) => one.isOpen).length, said };
    setTimeout(() => process.exit(), 0); // whatever tries again later
    return found;
  },
  drawn({ snapshot }) {
    const whole = unpacked(snapshot);
    const view = usualView(whole);
    const derived = derive(whole, view);
    [view.x, view.y].map((name) => derived.shownSpanOf(name));
    const isMade = (columns, name) => "value" in Object.getOwnPropertyDescriptor(columns, name);
    return Object.fromEntries(Object.entries(whole.trials.metrics).map(
      ([name, columns]) => [name, ["value", "low", "high"].filter((end) => isMade(columns, end))]));
  },
  study({ snapshot, prices, constraints, x, y, reference }) {
    const { trials, objectives } = unpacked(snapshot);
    const values = Object.fromEntries(Object.entries(trials.metrics).map(([name, metric]) => [name, metric.value]));
    const cost = costOf(trials, prices);
    values.cost_usd_per_million = cost.value;
    const directions = objectives.map((objective) => objective.direction);
    const columns = objectives.map((objective) => values[objective.metric]);
    const mask = candidateMask(trials.state, values, objectives, constraints);
    const found = frontMask(columns, directions, mask);
    const baseline = baselineRow(trials);
    const { knee, nearly } = recommendation(values, "accuracy", objectives, trials.number, found, baseline);
    const number = (row) => (row === null ? null : trials.number[row]);
    const better = Object.fromEntries(objectives.map((objective) => [objective.metric, objective.direction]));
    const stairs = staircase(values[x], values[y], [better[x] ?? "minimize", better[y] ?? "minimize"], mask);
    const ends = (point) => objectives.map((objective) => point[objective.metric]);
    return {
      cost, knee: number(knee), nearly: number(nearly), stairs: stairs.map(number),
      front: trials.number.filter((_, row) => found[row]),
      hidden: hiddenRows(found, stairs).map(number),
      history: reference && hypervolumeHistory(columns, directions, ends(reference), mask),
      box: reference && boxVolume(ends(snapshot.ideal_point), directions, ends(reference)),
    };
  },
};
console.log(JSON.stringify(await Promise.all(JSON.parse(text).map((one) => run[one.kind](one)))));
"""


@pytest.fixture
def run_node(tmp_path):
    """A function: what the page's modules answer, one answer a case."""
    package = tmp_path / "node_modules" / "explore"
    shutil.copytree(PAGE, package)
    (package / "package.json").write_text('{"type": "module", "exports": {"./*": "./*.js"}}', encoding="utf-8")
    (tmp_path / "runner.mjs").write_text(RUNNER, encoding="utf-8")

    def run(cases):
        done = subprocess.run(
            [NODE, tmp_path / "runner.mjs"],
            input=json.dumps(cases, allow_nan=False),
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(autouse=True)
def _node():
    if NODE is None:
        if os.environ.get("CI") == "true":
            pytest.fail("the page's JavaScript is tested in Node.js, which CI must install")
        pytest.skip("no Node.js on this machine: the page's JavaScript is not compared with Python")


def point_cases(n_cases, seed):
    """Random points, many of them with ties, duplicates, unknown values and masked rows; empty and single ones too."""
    rng = np.random.default_rng(seed)
    for index in range(n_cases):
        m, n = int(rng.integers(1, 6)), int(rng.choice([0, 1, 2, 7, 40, 150]))
        kinds = {
            0: lambda shape: rng.integers(0, 4, shape).astype(float),  # ties and duplicates
            1: lambda shape: rng.random(shape),
            2: lambda shape: np.round(rng.normal(size=shape), 1),
        }
        points = kinds[index % 3]((n, m))
        if index % 5 == 4 and n:
            points = np.sort(rng.random((n, m)), axis=0)
            points[:, -1] = 1 - points[:, 0]  # everything on the front
        directions = rng.choice(["minimize", "maximize"], m).tolist()
        mask = (rng.random(n) < 0.8).astype(int)
        reference = rng.choice([points.mean() if n else 0.0, 5.0, -5.0, 2.0], m)
        yield points, directions, mask, reference.tolist()
    for m in (3, 4, 5):  # everything on the front, but for some that rounding moved
        points = np.abs(rng.normal(size=(400 if m == 3 else 2400, m)))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        points[-300:] = np.round(points[-300:], 1)
        yield points, ["maximize"] * m, np.ones(len(points), int), [0.0] * m


def test_front_js_random_points_have_pythons_front_knee_and_hypervolume(run_node):
    cases = list(point_cases(240, seed=0))
    payload = []
    for points, directions, mask, reference in cases:
        columns = [[v if kept else None for v, kept in zip(column, mask, strict=True)] for column in points.T.tolist()]
        payload.append(
            {
                "kind": "points",
                "columns": columns,
                "directions": directions,
                "mask": mask.tolist(),
                "reference": reference,
            }
        )
    for (points, directions, mask, reference), found in zip(cases, run_node(payload), strict=True):
        rows = np.flatnonzero(mask)
        chosen = points[rows]
        expected = np.zeros(len(points), dtype=int)
        expected[rows[front_mask(chosen, directions)]] = 1
        assert found["front"] == expected.tolist()
        knee = knee_index(chosen, directions)
        assert found["knee"] == (None if knee is None else rows[knee])
        if len(directions) > 3:
            assert found["history"] is None
            continue
        archive, history = Archive(directions, reference), []
        for point, is_taken in zip(points, mask, strict=True):
            if is_taken:
                archive.add(point)
            history.append(archive.hypervolume)
        assert found["history"] == pytest.approx(history, rel=1e-9, abs=1e-12)


def with_prices(result, prices):
    """The study as it would be with other prices."""
    trials = []
    for trial in result.trials:
        metrics = dict(trial.outcome.metrics)
        if "latency_mean_ms" in metrics:
            mean, peak = metrics["latency_mean_ms"], metrics["peak_memory_mib"]
            metrics["cost_usd_per_million"] = cost(prices, mean, peak, trial.variant["batch_size"])
        trials.append(replace(trial, outcome=replace(trial.outcome, metrics=metrics)))
    return replace(result, trials=tuple(trials))


def without_constraints(result):
    """The study with every measured trial feasible, as the page sees it when all sliders are open."""
    trials = [replace(t, state="complete", violations={}) if t.state == "infeasible" else t for t in result.trials]
    return replace(result, trials=tuple(trials), space=replace(result.space, constraints=()))


def study_cases(makers):
    """Studies, prices and constraints as sliders set them."""
    rng = random.Random(1)
    for seed in range(12):
        result = makers.make_seeded_result(60, seed)
        if seed % 3 == 0:
            pair = (Objective("latency_ms", "minimize"), Objective("accuracy", "maximize"))
            result = replace(result, space=replace(result.space, objectives=pair[:: rng.choice([1, -1])]))
        prices = Prices(rng.uniform(0, 2), rng.choice([0.0, 0.5, 5.0]), rng.choice([0.0, 0.01]))
        limits = [
            Constraint("accuracy", ">=", rng.choice([0.0, 0.85, 0.9])),
            Constraint("peak_memory_mib", "<=", rng.choice([150.0, 1e6])),
            Constraint("latency_ms", "<=", rng.choice([0.5, 2.0, 100.0])),
        ][: seed % 4]
        yield result, prices, limits
    yield makers.make_small_result(), Prices(1.0, 1.0, 0.0), []
    yield makers.make_result([]), Prices(1.0, 1.0, 0.0), []
    yield makers.make_seeded_result(30), Prices(0.05, 0.005, 0.0), [Constraint("accuracy", ">=", 1.0)]
    yield makers.make_seeded_result(30), Prices(0.05, 0.005, 0.0), [Constraint("energy_mj", "<=", 1.0)]
    yield LARGE_STUDY["large_result"](2500), Prices(0.2, 0.1, 0.0), [Constraint("accuracy", ">=", 0.8)]


def test_front_js_studies_have_pythons_front_cost_and_recommendation(makers, run_node):
    cases = list(study_cases(makers))
    payload = []
    for result, prices, limits in cases:
        payload.append(
            {
                "kind": "study",
                "snapshot": page_data(front_view(result)),
                "prices": {name: getattr(prices, name) for name in Prices.__slots__},
                "constraints": [
                    {"metric": c.metric, "is_lower_bound": c.comparison == ">=", "bound": c.bound} for c in limits
                ],
                "x": "latency_ms",
                "y": "accuracy",
                "reference": repriced_reference(with_prices(result, prices)),
            }
        )
    for (result, prices, limits), found in zip(cases, run_node(payload), strict=True):
        check_study(makers, without_constraints(with_prices(result, prices)), limits, found)


def repriced_reference(result):
    """The study's reference point at its prices, which decide about the baseline's cost."""
    is_priced = any(objective.metric == "cost_usd_per_million" for objective in result.objectives)
    if result.reference_point is None or not is_priced:
        return result.reference_point
    return dict(result.reference_point) | {
        "cost_usd_per_million": 1.1 * result.baseline_values()["cost_usd_per_million"]
    }


def check_study(makers, repriced, limits, found):
    costs = [trial.outcome.metrics.get("cost_usd_per_million", Measurement(None)) for trial in repriced.trials]
    for end in ("value", "low", "high"):
        ours, expected = (
            [np.nan if value is None else value for value in column]
            for column in (found["cost"][end], [getattr(cost, end) for cost in costs])
        )
        assert ours == pytest.approx(expected, rel=1e-5 if end == "value" else 3e-4, nan_ok=True)
    summary = front_view(repriced, limits)
    assert sorted(found["front"]) == sorted(entry.trial.number for entry in summary.entries)
    assert found["knee"] == (None if summary.knee is None else summary.knee.trial.number)
    if summary.knee is None:
        assert found["nearly"] is None
    else:
        named = [found["knee"], *([] if found["nearly"] in (None, found["knee"]) else [found["nearly"]])]
        assert named == recommended(repriced, summary)
    inside = [t for t in repriced.trials if t.state != "complete" or not broken(t, limits)]
    stairs = makers.staircase_of(replace(repriced, trials=tuple(inside)))
    assert found["stairs"] == stairs
    assert found["hidden"] == [number for number in found["front"] if number not in stairs]
    reference = repriced_reference(repriced)
    if reference is None:
        assert found["history"] is None
        return
    excluded = [replace(t, state="failed") if broken(t, limits) else t for t in repriced.trials]
    history = makers.hypervolume_shares(replace(repriced, trials=tuple(excluded), reference_point=reference))
    assert ideal_point(repriced.objectives) is not None
    shares = [volume / found["box"] for volume in found["history"]]
    assert shares == pytest.approx(history, rel=1e-4, abs=1e-6)


def broken(trial, limits):
    return any(bound.violation(trial.values(), {}) > 0 for bound in limits)


def assert_close(found, plain):
    """Equal, but for the ends of intervals, whose distance from the value is packed with 0.4 %."""
    assert found.keys() == plain.keys()
    for name, metric in plain["trials"]["metrics"].items():
        ours = found["trials"]["metrics"][name]
        assert ours["value"] == metric["value"]
        for end in ("low", "high"):
            for value, one, other in zip(metric["value"], ours[end], metric[end], strict=True):
                assert (one is None) == (other is None)
                assert one is None or abs(one - other) <= 0.005 * abs(other - value) + 1e-6 * abs(value)
    rest = [
        {**data, "trials": {k: v for k, v in data["trials"].items() if k not in ("metrics", "finished")}}
        for data in (found, plain)
    ]
    assert rest[0] == rest[1]
    assert found["trials"]["finished"] == pytest.approx(plain["trials"]["finished"], abs=2e-3)


def test_unpack_js_packed_snapshot_is_the_plain_one(makers, run_node):
    odd = [
        makers.make_trial(7, {"accuracy": 1.0, "n_parameters": 123456789.0, "latency_ms": 1e-12}),
        makers.make_trial(3, {"accuracy": 0.1, "latency_ms": Measurement(0.01, 0.001, None)}),
        makers.make_trial(70000, {"accuracy": 0.0, "latency_ms": 1e12}, reason="it is <b>so</b>"),
    ]
    results = [
        makers.make_seeded_result(60),
        makers.make_result([]),
        makers.make_result(odd[:1]),
        makers.make_result(odd),
        LARGE_STUDY["large_result"](300, seed=3),
    ]
    answers = run_node(
        [{"kind": "unpack", "snapshot": page_data(front_view(result), is_packed=True)} for result in results]
    )
    for result, found in zip(results, answers, strict=True):
        assert_close(found, page_data(front_view(result), is_packed=False))


def test_unpack_js_makes_only_the_columns_that_the_front_needs(run_node):
    snapshot = page_data(front_view(LARGE_STUDY["large_result"](300, seed=3)), is_packed=True)
    made = run_node([{"kind": "drawn", "snapshot": snapshot}])[0]
    assert made["accuracy"] == made["latency_ms"] == ["value", "low", "high"]
    assert made["cost_usd_per_million"] == made["peak_memory_mib"] == ["value"]
    # Whether anybody knows the energy by now, only its column says.
    needed = {"accuracy", "latency_ms", "cost_usd_per_million", "peak_memory_mib", "energy_mj"}
    assert {name for name, ends in made.items() if ends} == needed


def axes_of(run_node, makers, latencies, **look):
    """Per axis whether it is logarithmic and its ends: y is the accuracy, 0.5 and then 0.6."""
    trials = [
        makers.make_trial(n, {"accuracy": 0.6 if n else 0.5, "latency_ms": one}) for n, one in enumerate(latencies)
    ]
    snapshot = page_data(front_view(makers.make_result(trials)))
    return run_node([{"kind": "axes", "snapshot": snapshot, "look": look}])[0]


def test_ranges_js_axis_is_logarithmic_where_it_spans_much_or_is_asked_to_be(makers, run_node):
    assert [is_log for is_log, _ in axes_of(run_node, makers, [1.0, 2.0])] == [False, False]
    assert [is_log for is_log, _ in axes_of(run_node, makers, [1.0, 20.0], isLogY=True)] == [True, True]
    (is_log, ends), _ = axes_of(run_node, makers, [1.0, 100.0], isLogX=True)
    assert is_log
    assert ends == pytest.approx([-0.11, 2.11])


@pytest.mark.parametrize("x", ["trial", "latency_ms"])
def test_ranges_js_axis_that_holds_zero_is_linear_also_where_log_is_asked_for(makers, run_node, x):
    (is_log, ends), _ = axes_of(run_node, makers, [0.0, 1.0], x=x, isLogX=True)
    assert not is_log
    assert ends == pytest.approx([-0.055, 1.055])


def test_ranges_js_zoom_is_kept_on_the_axes_that_it_was_made_on(makers, run_node):
    zoom = [0.5, 1.5, 0.2, 0.3]
    linear = axes_of(run_node, makers, [1.0, 100.0], zoom=zoom, isLogX=False, isLogY=False)
    assert linear == [[False, zoom[:2]], [False, zoom[2:]]]
    assert axes_of(run_node, makers, [1.0, 2.0], zoom=zoom, isLogX=True)[0] == [True, zoom[:2]]
    (is_log, ends), (_, y) = axes_of(run_node, makers, [0.0, 1.0], zoom=zoom, isLogX=True)
    assert not is_log  # a trial came that a logarithmic axis cannot hold
    assert ends == pytest.approx([-0.055, 1.055])
    assert y == zoom[2:]


@pytest.mark.parametrize("late", ["late", None])
def test_live_js_laptop_that_wakes_up_opens_one_stream(run_node, late):
    found = run_node([{"kind": "wakes", "answers": ["first", late]}])[0]
    assert found == {"nOpen": 1, "said": ["first"]}


def test_export_js_csv_has_the_columns_and_cells_of_pythons(makers, run_node):
    space = makers.make_space(constraints=(), batch_size=(4,), runtime=("=eager", "onnxruntime"), threads=(1, 2))
    variants = [Variant(), Variant(width=0.5, runtime="=eager", batch_size=4), Variant(quantization="static_int8")]
    metrics = {
        "accuracy": Measurement(0.9, 0.88, 0.92, 500),
        "latency_ms": 1.5,
        "cost_usd_per_million": 0.25,
        "=evil": 1.0,
    }
    trials = [makers.make_trial(number, metrics, variant) for number, variant in enumerate(variants)]
    result = makers.make_result([*trials, makers.make_trial(3, reason='no, "never"')], space)
    seeded = makers.make_seeded_result(40)
    kinds = [
        {"kind": "csv", "snapshot": page_data(front_view(one), is_packed=packed)}
        for one in (result, seeded)
        for packed in (0, 1)
    ]
    for one, found in zip((result, result, seeded, seeded), run_node(kinds), strict=True):
        ours, pythons = (list(csv.reader(io.StringIO(text))) for text in (found, trials_csv(one)))
        assert ours[0] == pythons[0]
        assert len(ours) == len(pythons)
        for mine, expected in zip(ours[1:], pythons[1:], strict=True):
            assert [as_number(cell) for cell in mine] == [near(cell) for cell in expected]
    assert not [cell for row in ours for cell in row if cell.startswith(("=", "+", "@"))]


def as_number(cell):
    try:
        return float(cell)
    except ValueError:
        return cell


def near(cell):
    """The page's numbers have seven digits, the ends of packed intervals fewer."""
    value = as_number(cell)
    return value if isinstance(value, str) else pytest.approx(value, rel=3e-4)


def test_pair_js_pairs_without_samples_are_judged_as_python_does(makers, run_node):
    small, seeded = makers.make_small_result(), makers.make_seeded_result(12)
    latency = [Measurement(v, v - 0.1, v + 0.1, 50) for v in (1.0, 1.15, 2.0)]
    trials = [
        makers.make_trial(n, {"accuracy": Measurement(0.9, n=5000), "latency_ms": one, "n_parameters": 10.0 - n})
        for n, one in enumerate(latency)
    ]
    results = [small, seeded, makers.make_result(trials)]
    pairs = [[(0, 1), (1, 0), (2, 3), (3, 5)], [(0, n) for n in range(1, 12)], [(0, 1), (0, 2), (2, 1)]]
    cases = [
        {"kind": "pairs", "snapshot": page_data(front_view(r)), "pairs": p} for r, p in zip(results, pairs, strict=True)
    ]
    words = set()
    for result, wanted, answers in zip(results, pairs, run_node(cases), strict=True):
        for (first, second), rows in zip(wanted, answers, strict=True):
            expected = {row["name"]: row for row in compare(front_view(result), first, second)["metrics"]}
            assert [row["name"] for row in rows] == list(expected)
            for row in rows:
                said = expected[row["name"]]
                assert (row["is_tie"], row["better"], row["method"]) == (said["is_tie"], said["better"], said["method"])
                for end in ("difference", "low", "high"):
                    assert (row[end] is None) == (said[end] is None)
                    assert row[end] is None or row[end] == pytest.approx(said[end], rel=1e-4, abs=1e-6)
                assert row["twice"] == {key: row[key] for key in row["twice"]}
                words.add(row["words"])
    assert {"cannot be told", "a tie: it may be chance", "the same", "trial 2 is better"} <= words


def confirmed_of(run_node, result, bounds=None):
    snapshots = [page_data(front_view(result), is_packed) for is_packed in (False, True)]
    plain, packed = run_node([{"kind": "confirmed", "snapshot": one, "bounds": bounds or {}} for one in snapshots])
    assert plain == packed
    return plain


def test_derive_js_confirmed_study_has_pythons_front_knee_and_step_line(makers, run_node):
    generator = np.random.default_rng(3)
    result = makers.make_seeded_result(40)
    front = [entry.trial.number for entry in front_view(result).entries]
    near = [t.number for t in result.trials if t.is_feasible and t.number not in front][:4]
    again = {
        n: {name: tuple(result.trial(n).values()[name] * generator.normal(1, 0.04, 5)) for name in ("latency_ms",)}
        for n in (*front, *near)
    }
    result = makers.make_confirmed(result, again, finalists=sorted({0, *front, *near}))
    for bounds, where in (({}, ()), ({"latency_ms<=": 0.6}, (Constraint("latency_ms", "<=", 0.6),))):
        summary, found = front_view(result, where), confirmed_of(run_node, result, bounds)
        assert found["front"] == sorted(entry.trial.number for entry in summary.entries)
        if not where:
            assert found["knee"] == summary.knee.trial.number
            assert found["stairs"] == makers.staircase_of(result)
            assert {n for n, state in enumerate(found["states"]) if state == "near"} == {
                entry.trial.number for entry in summary.near
            }


def test_derive_js_only_confirmed_finalists_of_a_confirmed_study_are_called_dominated(makers, run_node):
    searched = makers.make_small_result()
    more = [replace(searched.trial(3), number=number) for number in (6, 7)]
    searched = replace(searched, trials=(*searched.trials, *more))
    assert confirmed_of(run_node, searched)["places"][3] == confirmed_of(run_node, searched)["places"][6] == "dominated"
    result = makers.make_confirmed(searched, finalists=[0, 1, 2, 3, 6], invalid=[6])
    result = replace(result, confirmation=replace(result.confirmation, left_out=(7,)))
    found = confirmed_of(run_node, result)
    assert found["places"][3].split("; ")[0] == "dominated"
    assert found["places"][6].split("; ")[0] == "not among the confirmed finalists"
    assert "not confirmed: " in found["places"][6]
    assert found["places"][7].split("; ") == [
        "not among the confirmed finalists",
        "it may belong to the front, and was one too many to measure again",
    ]
    assert found["counts"]["feasible"] - found["counts"]["candidates"] == 2


# (accuracy, latency in each round): trial 2 is the fastest within a point of the baseline, and seldom on the front.
SELDOM_ON_IT = [(0.9, (9.0,) * 5), (0.91, (1.0, 1.0, 2.0, 2.0, 2.0)), (0.905, (1.99, 1.99, 1.99, 5.0, 5.0))]
NONE_LIKELY = [
    (0.9, (9.0,) * 5),
    (0.9, (2.0, 2.1, 2.2, 2.3, 2.4)),
    (0.9, (2.4, 2.0, 2.1, 2.2, 2.3)),
    (0.9, (2.3, 2.4, 2.0, 2.1, 2.2)),
    (0.9, (2.2, 2.3, 2.4, 2.0, 2.1)),
]


def study_of_rounds(makers, rows):
    """A confirmed study of trials with these accuracies and latencies in each round."""
    space = makers.make_space(objectives=[Objective("accuracy", "maximize"), Objective("latency_ms", "minimize")])
    trials = [makers.make_trial(n, {"accuracy": accuracy, "latency_ms": 2.0}) for n, (accuracy, _) in enumerate(rows)]
    again = {n: {"latency_ms": latencies} for n, (_, latencies) in enumerate(rows)}
    return makers.make_confirmed(makers.make_result(trials, space), again)


NONE_IS_LIKELY = "No member of the front is on it with a probability of at least 50 %, so all of them were eligible."


def recommended(result, summary):
    """The knee, and the fastest likely member within one point of the baseline's accuracy if it is another."""
    metrics = [objective.metric for objective in result.objectives]
    accuracy = summary.result.baseline_values().get("accuracy")
    speed = next((name for name in metrics if name.startswith("latency")), None)
    named = [summary.knee.trial.number]
    if speed is not None and accuracy is not None and "accuracy" in metrics:
        values = [(entry.trial.values(), entry.trial.number) for entry in summary.eligible]
        near = [(one[speed], number) for one, number in values if one["accuracy"] >= accuracy - 0.01]
        named += [number for _, number in sorted(near)[:1]]
    return list(dict.fromkeys(named))


def test_recommendation_passes_over_members_that_are_unlikely_on_the_page_too(makers, run_node):
    result = study_of_rounds(makers, SELDOM_ON_IT)
    summary = front_view(result)
    assert {entry.trial.number: entry.is_likely for entry in summary.entries} == {1: True, 2: False}
    found = confirmed_of(run_node, result)
    assert (found["knee"], found["nearly"]) == (1, 1)
    assert recommended(result, summary) == [1]
    assert not any(NONE_IS_LIKELY in text for text in found["advice"])


def test_recommendation_where_no_member_is_likely_says_so_on_the_page_too(makers, run_node):
    result = study_of_rounds(makers, NONE_LIKELY)
    summary = front_view(result)
    assert not any(entry.is_likely for entry in summary.entries)
    found = confirmed_of(run_node, result)
    assert list(dict.fromkeys([found["knee"], found["nearly"]])) == recommended(result, summary)
    assert found["advice"][-1] == NONE_IS_LIKELY


def test_derive_js_says_where_each_trial_of_a_confirmed_study_stands(makers, run_node):
    found = confirmed_of(run_node, makers.make_near_result())
    assert found["states"] == ["feasible", "near", "front", "invalid", "infeasible"]
    assert found["ties"] == [[1, 2]]
    assert "a tie with trial 1; confirmed in 5 rounds" in found["places"][2]
    assert "near the front" in found["places"][1]
    assert found["places"][3] == f"not valid: {GAP.sentence}"
    assert found["test"]["value"] == pytest.approx(0.89)
    assert found["searched"]["value"] == 1.0


def test_derive_js_limits_that_no_finalist_meets_fall_back_to_the_search(makers, run_node):
    result = makers.make_confirmed(makers.make_small_result(), finalists=[0, 1])
    assert confirmed_of(run_node, result)["front"] == [0, 1]
    assert confirmed_of(run_node, result, {"latency_ms<=": 0.6, "accuracy>=": 0.1})["front"] == [2]


def test_derive_js_finalist_that_is_not_confirmed_says_why_and_is_on_no_front(makers, run_node):
    found = confirmed_of(run_node, makers.make_confirmed(makers.make_small_result(), invalid=[1]))
    assert 1 not in found["front"]
    assert "not confirmed: 5 of 5 rounds gave no valid measurement" in found["places"][1]


def test_history_js_of_a_confirmed_study_is_the_searchs(makers, run_node):
    result = makers.make_confirmed(makers.make_small_result(), {1: {"latency_ms": 2.9}})
    assert confirmed_of(run_node, result)["history"] == pytest.approx(
        [100 * v for v in makers.hypervolume_shares(result)]
    )
