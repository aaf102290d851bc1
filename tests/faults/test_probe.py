"""Probes whose runtime crashes, hangs, grows, floods or lies: what the trial says, and that nothing is left behind."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/fakes.py is shared by several folders of tests
sys.path.insert(0, str(Path(__file__).parents[1] / "measure"))  # and so is tests/measure/tiny_onnx.py
sys.path.insert(0, str(Path(__file__).parent / "fixtures"))

from fakes import RecordingView
from installing import ORPHAN, alive, installed, is_gone
from tiny_onnx import model, write_artifact, write_validation

from explorer.errors import NotAvailable
from explorer.measure import probing
from explorer.measure.metrics import Prices
from explorer.measure.probing import ProbeSettings, probe
from explorer.measure.timing import Budget
from explorer.records import Variant
from explorer.space.read import load_space
from explorer.study.evaluator import MeasuringEvaluator
from explorer.study.loop import StudyTools, run_study
from explorer.study.read import load_result
from explorer.study.vocabulary import vocabulary
from explorer.system import cores, process_tree
from explorer.system.signals import Interrupt
from explorer.system.worker_process import WorkerFailed

LIMIT_MIB = 600.0


@pytest.fixture
def script(tmp_path, monkeypatch):
    return installed(tmp_path, monkeypatch)


@pytest.fixture
def measure(tmp_path, script, monkeypatch):
    """Measures a hand-made model in the faulty runtime; afterwards no process and no draft may be left."""
    monkeypatch.setattr(probing, "DEADLINES_S", {"": 60.0, "load": 10.0})
    monkeypatch.setattr(ProbeSettings, "budget", lambda settings, is_whole: Budget(50, 0.05, 0.3, 0.3))
    monkeypatch.setattr("explorer.measure.results.reasons", lambda *seen: ())  # whatever else runs on this machine
    monkeypatch.setattr("explorer.system.worker_process._TERMINATE_S", 0.5)
    artifact = write_artifact(tmp_path / "artifact", model(), runtime="faulty")
    validation = write_validation(tmp_path)

    def measure(*faults, **options):
        script(*faults)
        variant = Variant(runtime="faulty")
        settings = ProbeSettings(validation, Prices(0, 0, 0), tmp_path / "logits", options.pop("stop", None))
        return probe(artifact, variant, settings, "trial-0", **options)[0]

    yield measure
    assert alive() == []
    assert os.sched_getaffinity(0) == set(cores.available())
    assert not [path.name for path in tmp_path.rglob("*.tmp")]


@pytest.mark.parametrize(
    ("fault", "kind", "reason"),
    [
        ("segfault", "signal SIGSEGV", "ended by SIGSEGV in phase 'load'"),
        ("abort", "signal SIGABRT", "ended by SIGABRT in phase 'load'"),
        ("illegal_instruction", "signal SIGILL", "ended by SIGILL in phase 'load'"),
        ("division_by_zero", "signal SIGFPE", "ended by SIGFPE in phase 'load'"),
        ("signal_without_name", r"signal \d+", r"ended by \d+ in phase 'load'"),
        ("exit_0", "no result", "exited with status 0 in phase 'load' without a result"),
        ("raises", "RuntimeError in the probe", r"RuntimeError: a runtime's own words \?"),
        ("memory_error", "out of memory", "the serving process ran out of memory"),
        ("copy_holds_the_answers_open", "signal SIGSEGV", "ended by SIGSEGV in phase 'load'"),
        ("answer_breaks_off", "bad result", "an answer in phase 'load' that breaks off"),
        ("answer_is_huge", "bad result", "an answer of more than 16 MiB"),
        ("answer_is_deep", "bad result", "an answer in phase 'load' that is not a JSON object"),
        ("answer_is_no_object", "bad result", "an answer in phase 'load' that is not a JSON object"),
        ("answer_is_no_text", "bad result", "an answer in phase 'load' that is not a JSON object"),
        ("answer_is_of_another_request", "bad result", "an answer in phase 'load' to no request"),
        ("result_is_empty", "bad result", r"the probe's answer\.runtime_mib: .*"),
        ("result_has_other_types", "bad result", r"the probe's answer\.modules: Input should be a valid array, got 3"),
        ("conditions_are_strings", "bad result", r"the probe's answer\.conditions\.seconds: .* valid number, got '\?'"),
        ("memory_is_not_a_number", "bad result", r"the probe's answer\.peak_memory_mib: .* finite number, got nan"),
        ("memory_is_infinite", "bad result", r"the probe's answer\.peak_memory_mib: .* finite number, got inf"),
        ("memory_is_negative", "invalid value", "peak_memory_mib is -1, and a number of at least 0 was expected"),
        ("memory_is_a_string", "bad result", r"the probe's answer\.peak_memory_mib: .* valid number, got 'much'"),
        ("latency_is_negative", "invalid value", r"latency_raw_ns is -\d+, expected times above 0"),
        ("latency_is_no_number", "bad result", r"the probe wrote no latency_raw_ns \[q\]"),
        ("latency_is_text", "bad result", r"the probe wrote no latency_raw_ns \[q\]"),
        ("samples_break_off", "bad result", "the probe's raw samples do not read"),
    ],
)
def test_probe_faulty_runtime_is_a_failure_that_says_what_happened(measure, fault, kind, reason):
    with pytest.raises(WorkerFailed, match=reason) as failed:
        measure(fault)
    assert re.fullmatch(kind, failed.value.kind)
    failed.value.reason.encode()


@pytest.mark.parametrize(
    "fault",
    ["loop_in_python", "loop_in_c", "loop_that_ignores_sigterm", "orphan_and_a_loop_that_ignores_sigterm"],
)
def test_probe_endless_loop_is_ended_at_the_deadline_of_its_phase(measure, fault, monkeypatch):
    monkeypatch.setattr(probing, "DEADLINES_S", {"": 60.0, "load": 1.0})
    with pytest.raises(WorkerFailed, match="no answer in phase 'load' for 1 s") as failed:
        measure(fault)
    assert failed.value.kind == "timeout in load"


@pytest.mark.parametrize(
    ("output", "kind", "reason"),
    [
        ("one row", "IndexError in the probe", "IndexError: "),
        ("text", "TypeError in the probe", "not supported for the input types"),
        ("not a number", "FloatingPointError in the probe", "the artifact's outputs are not finite numbers"),
        ("a class more", "bad result", r"the probe wrote outputs \[e, n, k\] of shape \[1, 60, 4\]; expected k = 3"),
    ],
)
def test_probe_logits_that_are_none_are_a_failure(measure, output, kind, reason, monkeypatch):
    monkeypatch.setenv("FAULTY_OUTPUT", output)
    with pytest.raises(WorkerFailed, match=reason) as failed:
        measure()
    assert re.fullmatch(kind, failed.value.kind)


def test_probe_orphan_in_a_session_of_its_own_ends_with_the_trial(measure, tmp_path):
    assert measure("orphan_and_a_result").metrics["accuracy"].value == pytest.approx(0.9)
    assert is_gone(int((tmp_path / ORPHAN).read_text()))


def test_probe_orphan_of_a_crash_ends_with_the_trial(measure, tmp_path):
    with pytest.raises(WorkerFailed, match="ended by SIGSEGV"):
        measure("orphan_and_segfault")
    assert is_gone(int((tmp_path / ORPHAN).read_text()))


@pytest.mark.parametrize("fault", ["memory_grows", "memory_of_an_orphan_grows"])
def test_probe_memory_beyond_the_limit_ends_the_tree_and_says_both_numbers(measure, fault, monkeypatch):
    monkeypatch.setattr(process_tree, "limit_mib", lambda: LIMIT_MIB)
    with pytest.raises(WorkerFailed, match=r"it held \d+ MiB in phase 'load', and this machine had 600 MiB") as failed:
        measure(fault)
    assert failed.value.kind == "out of memory"
    assert int(re.search(r"held (\d+)", failed.value.reason)[1]) > LIMIT_MIB


def test_probe_memory_that_copies_share_counts_once(measure, monkeypatch):
    monkeypatch.setattr(process_tree, "limit_mib", lambda: LIMIT_MIB)
    assert measure("memory_is_shared_by_copies").metrics["accuracy"].value == pytest.approx(0.9)


def test_probe_flood_on_stderr_costs_this_process_no_memory_and_not_the_trial(measure):
    before = process_tree.held_mib(os.getpid())
    assert measure("flood_on_stderr").metrics["accuracy"].value == pytest.approx(0.9)
    assert process_tree.held_mib(os.getpid()) - before < 64


@pytest.mark.parametrize("fault", ["answers_twice", "copy_answers_too"])
def test_probe_that_answers_twice_is_heard_once(measure, fault):
    made = measure(fault, can_reach_front=lambda metrics: True)
    assert made.observation.timing.budget == "whole"
    assert made.metrics["peak_memory_mib"].value > 1.0


SPACE = """\
name: faulty
model: faulty_networks:sound
input: dataset
data: {name: digits}
parameters:
  runtime: [faulty]
  batch_size: {min: 1, max: 30, step: 1}
objectives: {accuracy: maximize, latency_ms: minimize}
recovery: {steps: 2}
search: {sampler: random, trials: 40}
"""
TEN = {
    "segfault": "signal SIGSEGV",
    "abort": "signal SIGABRT",
    "illegal_instruction": "signal SIGILL",
    "division_by_zero": "signal SIGFPE",
    "exit_0": "no result",
    "raises": "RuntimeError in the probe",
    "loop_that_ignores_sigterm": "timeout in load",
    "memory_grows": "out of memory",
    "answer_breaks_off": "bad result",
    "latency_is_negative": "invalid value",
}


def test_study_ten_different_faults_do_not_end_it_and_five_of_the_same_do(tmp_path, script, monkeypatch):
    monkeypatch.setattr("explorer.measure.results.reasons", lambda *seen: ())  # whatever else runs on this machine
    monkeypatch.setattr("explorer.system.worker_process._TERMINATE_S", 0.5)
    monkeypatch.setattr(probing, "DEADLINES_S", {"": 120.0, "load": 10.0})  # time to grow, on a busy machine too
    monkeypatch.setattr(process_tree, "limit_mib", lambda: 2000.0)
    file, folder = tmp_path / "faulty.yaml", tmp_path / "study"
    file.write_text(SPACE)
    words = vocabulary()
    space = load_space(file, words)
    script(*TEN, "", *["segfault"] * 5)
    outputs = []
    evaluator = MeasuringEvaluator(space, folder, None)
    try:
        with (
            Interrupt() as interrupt,
            pytest.raises(
                NotAvailable, match=r"5 trials in a row failed the same way \(signal SIGSEGV\): ended by SIGSEGV"
            ) as ended,
        ):
            run_study(space, folder, StudyTools(words, evaluator, RecordingView(), interrupt, outputs.append))
    finally:
        evaluator.close()
    assert ended.value.exit_code == 5
    kinds = [None if one.outcome.failure is None else one.outcome.failure.kind for one in outputs[-1].trials]
    assert kinds == [None, *TEN.values(), None, *["signal SIGSEGV"] * 5]
    assert {one.state for one, kind in zip(outputs[-1].trials, kinds, strict=True) if kind} == {"failed"}
    assert "last words" in outputs[-1].trials[1].outcome.failure.log
    assert load_result(folder) == outputs[-1]
    assert not [path.name for path in folder.rglob(".*.tmp")]
