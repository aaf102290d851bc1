"""Verify: an honest bundle of every kind holds, and what does not hold is found, with the folder left as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from fakes import make_observation
from kinds import KINDS
from lies import CONTRADICTIONS, hits_of
from onnx import helper, numpy_helper
from tiny_bundle import change_manifest, seal, state, timed, write_tiny_bundle

from explorer.deploy.verify import samples, speed
from explorer.deploy.verify import verification as verify_module
from explorer.deploy.verify.report import How
from explorer.deploy.verify.verification import verify
from explorer.errors import RuntimeNotAvailable, UsageError
from explorer.measure import quality_pass
from explorer.measure.quality_pass import QualityPass
from explorer.measure.results import Measured
from explorer.records import Measurement, Variant
from explorer.runtimes.onnxruntime import OnnxRuntime
from explorer.system import environment
from explorer.system.hashing import file_sha256

VARIANT = Variant(runtime="onnxruntime")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """An honest bundle of one segment."""
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle")


def content(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file with its content and its time of change."""
    return {str(path): (file_sha256(path), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(autouse=True)
def undisturbed(monkeypatch):
    """A probe that finds what the tiny bundle states, whatever else runs."""

    def probe(artifact, variant, *_, **__):
        return Measured(timed(Measurement(1.25, 1.2, 1.3, 200), variant) | {"energy_mj": UNKNOWN}, FOUND), None

    monkeypatch.setattr(speed, "probe", probe)


UNKNOWN, FOUND = Measurement.unknown("no counters"), make_observation()


def verdicts(report) -> dict[str, str]:
    return {row.what: row.verdict for row in report.rows}


def failed(report) -> set[str]:
    return {row.what for row in report.failed}


def names(report, how: How) -> set[str]:
    return {row.what for row in report.obtained(how)}


def both(*metrics: str) -> set[str]:
    """The rows of these metrics as the search and the confirmation have them."""
    return {*metrics, *(f"confirmed {name}" for name in metrics)}


STATIC = {"files", "code", "packages", "device", "runtime"}
STATIC |= {"sample logits", "sample exits and classes", "tolerance", "input"}
BY_SIZE = {"artifact_size_mib"}
BY_DATA = {"data", "classes", "sample images", "accuracy", "exit shares", "test accuracy"}
BY_TIME = both("latency_ms", "latency_mean_ms", "cold_start_ms", "peak_memory_mib", "model_memory_mib")
BY_FORMULA = both("throughput_per_s", "cost_usd_per_million")
SAME_AS_SEARCHED = {"confirmed accuracy", "confirmed artifact_size_mib"}
WORDS = {
    *both("latency_p90_ms", "latency_p95_ms", "latency_p99_ms", "n_parameters", "mega_macs", "energy_mj"),
    *("choice", "membership of the front", "variant", "intervals of times", "provenance", "texts"),
}


def test_verify_honest_holds_in_all_and_leaves_the_folder_as_it_was(whole):
    before = content(whole)
    seen = []
    report = verify(whole, on_progress=lambda progress: seen.append(progress.stage))
    assert report.verdict == "holds"
    assert names(report, "recomputed") == STATIC | BY_SIZE | BY_DATA | BY_TIME
    assert names(report, "derived") == BY_FORMULA | SAME_AS_SEARCHED
    assert names(report, "sender's word") == WORDS
    assert report.name == "tiny-trial-1"
    assert content(whole) == before
    assert "measure latency and memory" in seen
    accuracy = next(row for row in report.rows if row.what == "accuracy")
    assert accuracy.why == "exactly as stated"
    assert accuracy.to_json()["found"]["n"] == 200
    assert accuracy.to_json()["how"] == "recomputed"


def test_verify_has_a_row_for_every_number_of_the_manifest(whole):
    manifest = json.loads((whole / "manifest.json").read_text())
    rows = [row.what for row in verify(whole, is_quick=True).rows]
    assert len(set(rows)) == len(rows)
    assert both(*manifest["metrics"]) <= set(rows)


@pytest.mark.parametrize("kind", KINDS)
def test_verify_quick_every_kind_of_variant_holds(bundle_of, kind):
    report = verify(bundle_of(kind), is_quick=True)
    assert report.verdict == "holds"
    assert names(report, "recomputed") == STATIC | BY_SIZE
    assert names(report, "derived") <= {"confirmed artifact_size_mib"}


@pytest.mark.parametrize("kind", KINDS)
def test_verify_accuracy_of_every_kind_of_variant_is_exactly_as_stated(bundle_of, kind, monkeypatch):
    """On the device that measured it not a single image differs, also in int8."""
    monkeypatch.setattr(verify_module, "speed_rows", lambda *_: [])
    report = verify(bundle_of(kind))
    assert report.verdict == "holds"
    assert {row.why for row in report.rows if row.what in ("accuracy", "test accuracy")} == {"exactly as stated"}
    assert names(report, "recomputed") >= BY_DATA


@pytest.mark.parametrize(("what", "change"), CONTRADICTIONS[::12])
def test_verify_contradiction_fails_before_anything_runs(bundle, what, change, monkeypatch):
    monkeypatch.setattr(quality_pass, "WorkerProcess", lambda *_: pytest.fail("a probe was started"))
    change_manifest(bundle, change)
    report = verify(bundle)
    assert what in failed(report)
    assert {row.how for row in report.failed} == {"derived"}
    assert verdicts(report)["sample images"] == "not checked"


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("accuracy", lambda f: f["metrics"].update(accuracy=hits_of(200, 199))),
        (
            "test accuracy",
            lambda f: f.update(test_accuracy=hits_of(359, 359)),
        ),
        ("classes", lambda f: f["task"]["facts"]["classes"].reverse()),
        ("classes", lambda f: f["task"]["facts"]["classes"].__setitem__(3, "cat")),
        ("data", lambda f: f["provenance"]["data"].update(n_training=10**6)),
    ],
)
def test_verify_lie_about_the_data_is_found_with_them(bundle, what, change):
    def tell(facts) -> None:
        change(facts)
        facts["confirmed"] = None

    change_manifest(bundle, tell)
    assert what in failed(verify(bundle))


@pytest.mark.parametrize("factor", [0.5, 10.0])
@pytest.mark.parametrize("part", ["metrics", "confirmed"])
def test_verify_times_that_only_agree_with_each_other_fail(bundle, part, factor):
    """Whoever lies about one number can see to it that all others follow from it."""

    def tell(facts) -> None:
        searched = timed(Measurement(*(factor * x for x in (1.25, 1.2, 1.3)), 200), VARIANT)
        if part == "confirmed":
            facts["chosen"]["invalid"] = ["others had its core"]  # which the rounds need not agree with
            searched = {
                name: replace(one, low=one.value and 0.99 * one.value, high=one.value and 1.01 * one.value, n=5)
                for name, one in searched.items()
            }
            facts["confirmed"]["metrics"].update({name: one.to_json() for name, one in searched.items()})
            del facts["confirmed"]["metrics"]["latency_p99_ms"]
        else:
            facts["metrics"].update({name: one.to_json() for name, one in searched.items()})
            facts["confirmed"] = None

    change_manifest(bundle, tell)
    report = verify(bundle)
    assert failed(report) >= {f"{'confirmed ' if part == 'confirmed' else ''}latency_ms"}
    assert {row.how for row in report.failed} == {"recomputed"}


def test_verify_tampered_file_fails_before_anything_runs(bundle, monkeypatch):
    monkeypatch.setattr(quality_pass, "WorkerProcess", lambda *_: pytest.fail("a probe was started"))
    with (bundle / "model" / "segment_0.onnx").open("r+b") as file:
        file.write(b"\0")
    report = verify(bundle)
    (row,) = report.rows
    assert (row.what, row.verdict, report.verdict) == ("files", "fails", "fails")
    assert row.found.startswith("model/segment_0.onnx is not the file of the manifest")
    assert report.failed == (row,)


def test_verify_samples_that_do_not_read_fail_before_anything_runs(bundle, monkeypatch):
    monkeypatch.setattr(quality_pass, "WorkerProcess", lambda *_: pytest.fail("a probe was started"))
    path = bundle / "samples.npz"
    path.write_bytes(path.read_bytes()[:-30])
    state(bundle, "samples.npz")
    (row,) = verify(bundle).rows
    assert row.found.startswith("samples.npz does not read")


def test_verify_never_executes_run_py(bundle, tmp_path):
    (bundle / "run.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')")
    state(bundle, "run.py")
    assert verify(bundle, is_quick=True).verdict == "holds"
    assert not (tmp_path / "canary").exists()


def forget_size(facts) -> None:
    """State no size of the model's files."""
    del facts["metrics"]["artifact_size_mib"], facts["confirmed"]["metrics"]["artifact_size_mib"]


def test_verify_other_model_of_the_same_shape_fails_on_the_samples_alone(bundle):
    """Somebody exchanged the model, and saw to it that every hash fits."""
    path = bundle / "model" / "segment_0.onnx"
    model = onnx.load(path)
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0])
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.roll(weights, 1, axis=1), "weights"))
    path.write_bytes(model.SerializeToString())
    seal(bundle, "model/segment_0.onnx")
    change_manifest(bundle, forget_size)
    report = verify(bundle)
    assert failed(report) == {"sample logits", "sample exits and classes"}
    assert verdicts(report)["accuracy"] == "not checked"


def test_verify_model_that_crashes_fails_with_the_runtimes_words(bundle):
    path = bundle / "model" / "segment_0.onnx"
    model = onnx.load(path)
    model.graph.node[1].CopyFrom(helper.make_node("Flatten", ["float"], ["flat"], axis=3))
    path.write_bytes(model.SerializeToString())
    seal(bundle, "model/segment_0.onnx")
    change_manifest(bundle, forget_size)
    row = next(row for row in verify(bundle).failed if row.what == "runtime")
    assert row.found.startswith("the model does not run: ")


def test_verify_model_that_hangs_is_ended(bundle, monkeypatch):
    monkeypatch.setattr(quality_pass, "DEADLINES_S", {"": 60.0, "quality": 0.0})
    row = next(row for row in verify(bundle, is_quick=True).failed if row.what == "runtime")
    assert "no answer in phase 'quality'" in row.found


def test_verify_with_other_packages_takes_times_for_the_senders_word(bundle):
    change_manifest(bundle, lambda facts: facts["execution"]["packages"].update(onnxruntime="0.1"))
    report = verify(bundle)
    assert report.verdict == "holds"
    assert verdicts(report)["packages"] == "not comparable"
    assert names(report, "sender's word") == WORDS | BY_TIME | BY_FORMULA | {"packages"}


@pytest.mark.parametrize("name", ["test accuracy", "sample logits", "confirmed latency_ms", "choice", "elegance"])
def test_verify_metric_that_nobody_described_hides_behind_no_other_row(bundle, name):
    boast = {name: {"value": 1.0, "low": None, "high": None, "n": 1}}
    change_manifest(bundle, lambda facts: [facts["metrics"].update(boast), facts["confirmed"]["metrics"].update(boast)])
    report = verify(bundle, is_quick=True)
    stated = {f"metric '{name}'", f"confirmed metric '{name}'"}
    assert report.verdict == "holds"
    assert stated <= {row.what for row in report.rows if row.how == "sender's word" or row.is_derived}


def test_verify_normalization_is_the_senders_word(bundle):
    stated = {"stated": "imagenet", "mean": [0.9], "std": [0.1]}
    change_manifest(bundle, lambda facts: facts.update(normalization=stated))
    row = next(row for row in verify(bundle, is_quick=True).rows if row.what == "normalization")
    assert (row.promised, row.how) == ("imagenet: mean [0.9], std [0.1]", "sender's word")


@pytest.mark.parametrize("price", [None, 10**4000, "free"])
def test_verify_cost_without_prices_is_the_senders_word(bundle, price):
    def change(facts) -> None:
        facts["provenance"]["search_space"]["device"]["hardware_usd_per_hour"] = price
        facts["metrics"]["cost_usd_per_million"].update(value=1e-9, low=1e-9, high=1e-9)

    change_manifest(bundle, change)
    rows = {row.what: row for row in verify(bundle, is_quick=True).rows}
    for what in both("cost_usd_per_million"):
        assert (rows[what].how, rows[what].why) == ("sender's word", "the search space does not have its prices")


def test_verify_without_the_data_measures_on_the_samples(bundle):
    change_manifest(bundle, lambda facts: facts["provenance"]["data"].update(fingerprint="0" * 64))
    report = verify(bundle)
    assert report.verdict == "holds"
    assert BY_DATA | {"confirmed accuracy"} <= names(report, "sender's word")
    assert "peak_memory_mib" in names(report, "recomputed")


def test_verify_on_another_device_fails_nothing_for_being_slower(bundle):
    def move(facts) -> None:
        facts["provenance"]["device"]["processor"] = "Abacus 9000"
        quick = timed(Measurement(0.0125, 0.012, 0.013, 200), VARIANT)
        facts["metrics"].update({name: one.to_json() for name, one in quick.items()})
        facts["confirmed"] = None

    change_manifest(bundle, move)
    report = verify(bundle)
    assert report.verdict == "holds"
    assert verdicts(report)["device"] == verdicts(report)["latency_ms"] == "not comparable"


def as_static_int8(bundle: Path, int8_range: str | None) -> None:
    """State that the model is static int8 of that range; it is float32, and runs all the same."""
    path = bundle / "model" / "artifact.json"
    stated = {"quantization": "static_int8", "int8_range": int8_range}
    path.write_text(json.dumps({**json.loads(path.read_text()), **stated}))
    state(bundle, "model/artifact.json")

    def change(facts) -> None:
        facts["variant"]["quantization"] = "static_int8"
        facts["execution"] |= stated
        facts["samples"]["tolerance"] = OnnxRuntime().tolerance("static_int8")
        for part in (facts["metrics"], facts["confirmed"]["metrics"]):
            del part["artifact_size_mib"]  # the facts are longer now

    change_manifest(bundle, change)


def on(monkeypatch, *instructions: str) -> None:
    """Verify on a processor with these instruction sets."""
    here = {**environment.processor(), "instructions": list(instructions)}
    monkeypatch.setattr(environment, "processor", lambda: here)


@pytest.mark.parametrize(
    ("int8_range", "instructions", "verdict", "words"),
    [
        ("full range", ["avx2"], "not comparable", "accuracy may be lower"),
        (None, ["avx2"], "not comparable", "range not recorded"),
        ("reduced range", ["avx2", "avx_vnni"], "holds", "full range would be possible"),
        ("full range", ["avx2", "avx_vnni"], None, ""),
        ("reduced range", ["avx2"], None, ""),
    ],
)
def test_verify_says_so_where_int8_weights_are_for_other_processors(
    bundle, monkeypatch, int8_range, instructions, verdict, words
):
    as_static_int8(bundle, int8_range)
    on(monkeypatch, *instructions)
    report = verify(bundle, is_quick=True)
    assert report.verdict == "holds"
    rows = [row for row in report.rows if row.what == "int8 weights"]
    assert [row.verdict for row in rows] == ([] if verdict is None else [verdict])
    assert all(words in row.why for row in rows)


@pytest.mark.parametrize("instructions", [["avx2"], ["avx2", "avx_vnni"]])
def test_verify_weights_outside_of_the_stated_range_fail_on_any_processor(bundle, monkeypatch, instructions):
    path = bundle / "model" / "segment_0.onnx"
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.full((2, 2), -65, np.int8), "wide"))
    path.write_bytes(model.SerializeToString())
    seal(bundle, "model/segment_0.onnx")
    as_static_int8(bundle, "reduced range")
    on(monkeypatch, *instructions)
    row = next(row for row in verify(bundle, is_quick=True).failed if row.what == "int8 weights")
    assert (row.promised, row.found) == ("reduced range", "weights up to 65")


@pytest.mark.parametrize(("instructions", "is_explained"), [(["avx2"], True), (["avx2", "avx_vnni"], False)])
def test_verify_outputs_that_saturation_may_have_changed_fail_with_that_cause(
    bundle, monkeypatch, instructions, is_explained
):
    """The scripted runtime clips what it adds, as kernels without dot products do."""
    as_static_int8(bundle, "full range")
    on(monkeypatch, *instructions)
    monkeypatch.setattr(samples, "run_quality_pass", lambda *given: saturated(samples_quality_pass(*given)))
    failed = {row.what: row.why for row in verify(bundle, is_quick=True).failed}
    assert "sample logits" in failed
    assert all(("products may saturate" in why) == is_explained for why in failed.values())


samples_quality_pass = samples.run_quality_pass


def saturated(made: QualityPass) -> QualityPass:
    """As if no logit could be larger than half of the largest."""
    return replace(made, outputs=np.clip(made.outputs, None, made.outputs.max() / 2))


def test_verify_other_instructions_are_another_device(bundle):
    change_manifest(bundle, lambda facts: facts["provenance"]["device"]["instructions"].append("abacus"))
    assert verdicts(verify(bundle, is_quick=True))["device"] == "not comparable"


def test_verify_other_code_is_named_with_the_versions_and_is_no_failure(bundle):
    for name in ("run.py", "lib/files.py"):
        (bundle / name).write_text((bundle / name).read_text() + "# of another version\n")
    change_manifest(bundle, lambda facts: facts["provenance"]["software"].update({"pareto-explorer": "0.0.1"}))
    state(bundle, "run.py", "lib/files.py")
    report = verify(bundle, is_quick=True)
    row = next(row for row in report.rows if row.what == "code")
    assert (row.verdict, row.found) == ("not comparable", "other code than this version writes: lib/files.py, run.py")
    assert row.why.startswith("the bundle says that pareto-explorer 0.0.1 wrote it, and this is pareto-explorer ")
    assert report.verdict == "holds"


def test_verify_names_what_python_may_run_in_the_place_of_the_code(bundle):
    cache = "__pycache__/run.cpython-313.pyc"
    (bundle / cache).parent.mkdir()
    (bundle / cache).write_bytes(b"x")
    report = verify(bundle, is_quick=True)
    row = next(row for row in report.rows if row.what == "Python's caches")
    assert (row.verdict, row.promised) == ("not checked", f"not listed, not read: {cache}")
    assert report.verdict == "holds"


def test_verify_missing_runtime_is_said_and_not_a_failure_of_the_bundle(bundle, monkeypatch):
    monkeypatch.setattr(OnnxRuntime, "missing", lambda self: "onnxruntime needs onnxruntime: pip install onnxruntime")
    monkeypatch.setattr(OnnxRuntime, "check", lambda self, content: pytest.fail("it needs packages that are missing"))
    with pytest.raises(RuntimeNotAvailable, match="its model cannot be executed here: onnxruntime needs"):
        verify(bundle)


def test_verify_no_bundle_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="there is no bundle at"):
        verify(tmp_path / "nowhere")
