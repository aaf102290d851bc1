from __future__ import annotations

import errno
import json
import os
import signal
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import GAP, OBJECTIVES, FakeEvaluator, RecordingView, known_metrics, small_space, start

from explorer.errors import (
    ExplorerError,
    Interrupted,
    ModelError,
    NotAvailable,
    NothingFeasible,
    StudyIncompatible,
    StudyLocked,
)
from explorer.metrics import Constraint, Objective
from explorer.models.identity import Description
from explorer.records import Failure, Measurement, Variant
from explorer.study.evaluation import MAX_SAME_FAILURES, OnProgress, Prepared
from explorer.study.read import load_result
from explorer.study.result import StudyResult
from explorer.study.store.journal import Journal
from explorer.study.store.lock import study_lock
from explorer.study.store.optuna_storage import StudyStorage
from explorer.study.vocabulary import SAMPLERS
from explorer.typed_json import to_json

CRASH = Failure.reported("signal SIGSEGV", "the probe died of SIGSEGV while measuring latency")


def fails_from(first: int, failure: Failure = CRASH):
    return lambda variant, number: failure if number >= first else None


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_study_every_sampler_runs_to_the_budget_with_constraints(tmp_path, sampler):
    constraints = [Constraint("accuracy", ">=", 0.8, is_relative=True), Constraint("peak_memory_mib", "<=", 500)]
    evaluator = FakeEvaluator(tmp_path)
    result = start(small_space(sampler=sampler, n_trials=14, constraints=constraints), tmp_path, evaluator)
    assert len(result.trials) == len(set(evaluator.evaluated)) == 14
    assert result.baseline is not None
    assert result.baseline.variant == Variant()
    assert {trial.state for trial in result.trials} == {"complete", "infeasible"}
    assert load_result(tmp_path) == result


def test_study_events_come_in_order_and_outputs_at_the_end(tmp_path):
    view, outputs = RecordingView(), []
    result = start(small_space(n_trials=3), tmp_path, view=view, outputs=outputs)
    first, *others = [[f"start {n}", "progress measuring", f"end {n}"] for n in range(3)]
    assert view.events == ["progress data", *first, "note", *others[0], *others[1], "note"]
    beside_guessing = "The baseline's accuracy is 90.0 % (chance 10.0 %)"
    assert view.notes == [beside_guessing, "the study ends: all 3 trials are done"]
    assert outputs == [result]
    assert result.reference_point == {
        "accuracy": 0.1,
        "latency_ms": pytest.approx(1.1 * 4.0),
        "cost_usd_per_million": pytest.approx(1.1 * 0.081),
    }


def test_study_baseline_outside_the_space_is_trial_0_without_parameters(tmp_path):
    space = small_space(width=(0.25, 0.5), runtime=("onnxruntime",), n_trials=14, sampler="nsga2")
    evaluator = FakeEvaluator(tmp_path)
    result = start(space, tmp_path, evaluator)
    assert result.trials[0].variant == Variant()
    assert all(trial.variant["runtime"] == "onnxruntime" for trial in result.trials[1:])
    assert len(set(evaluator.evaluated)) == 14


def test_study_exhausted_space_ends_with_a_sentence(tmp_path):
    space = small_space(width=(0.5, 1.0), pruning_ratio=(0.0,), runtime=("eager",), n_trials=50, sampler="tpe")
    view = RecordingView()
    assert len(start(space, tmp_path, view=view).trials) == 4
    assert view.notes[1:] == ["the study ends: every variant of the search space was tried (4)"]


def test_study_timeout_begins_no_further_trial_and_counts_from_this_start(tmp_path):
    seconds = iter(range(0, 10_000, 10))
    view = RecordingView()
    space = small_space(n_trials=50, timeout_s=35.0)
    result = start(space, tmp_path, view=view, clock=lambda: float(next(seconds)))
    assert len(result.trials) == 4  # the baseline is due in any case; asked at 10, 20, 30 and 40 s
    assert view.notes[1:] == ["the study ends: the time is up (35 s)"]
    seconds = iter(range(0, 10_000, 10))
    assert len(start(space, tmp_path, clock=lambda: float(next(seconds))).trials) == 7


def test_study_failed_trials_are_kept_and_the_study_goes_on(tmp_path):
    evaluator = FakeEvaluator(failure=lambda variant, number: CRASH if number in (2, 3) else None)
    result = start(small_space(n_trials=6, sampler="tpe"), tmp_path, evaluator)
    assert [trial.state for trial in result.trials] == ["complete"] * 2 + ["failed"] * 2 + ["complete"] * 2
    assert load_result(tmp_path).trials[2].outcome.failure == CRASH


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, "fast"])
def test_study_impossible_value_is_a_failed_trial(tmp_path, value):
    def metrics(variant: Variant) -> dict:
        return known_metrics(variant) if variant == Variant() else {**known_metrics(variant), "latency_ms": value}

    result = start(small_space(n_trials=2), tmp_path, FakeEvaluator(metrics=metrics))
    assert result.trials[1].outcome.failure is not None
    assert result.trials[1].outcome.failure.kind == "invalid value"
    assert load_result(tmp_path) == result


def test_study_same_failure_five_times_stops_with_the_cause_and_resumes(tmp_path):
    outputs: list = []
    space = small_space(n_trials=20)
    with pytest.raises(NotAvailable, match=r"5 trials in a row failed the same way \(signal SIGSEGV\): the probe died"):
        start(space, tmp_path, FakeEvaluator(failure=fails_from(2)), outputs=outputs)
    assert len(outputs[0].trials) == 2 + MAX_SAME_FAILURES
    assert len(start(space, tmp_path).trials) == 20


def test_study_different_failures_do_not_stop_it(tmp_path):
    evaluator = FakeEvaluator(failure=lambda _, n: Failure.reported(f"kind {n % 2}", "x") if n else None)
    assert len(start(small_space(n_trials=12), tmp_path, evaluator).trials) == 12


@pytest.mark.parametrize("kind", ["nothing pruned", "nothing quantized", "width without effect"])
def test_study_variants_without_effect_do_not_stop_it(tmp_path, kind):
    evaluator = FakeEvaluator(failure=fails_from(1, Failure.reported(kind, "the network is as it was")))
    assert len(start(small_space(n_trials=12), tmp_path, evaluator).trials) == 12


def test_study_same_failure_between_variants_without_effect_stops_it(tmp_path):
    without = Failure.reported("nothing pruned", "the network is as it was")
    evaluator = FakeEvaluator(failure=lambda variant, number: (CRASH if number % 2 else without) if number else None)
    with pytest.raises(NotAvailable, match=r"5 trials in a row failed the same way \(signal SIGSEGV\)"):
        start(small_space(n_trials=20), tmp_path, evaluator)


def test_study_success_between_failures_does_not_stop_it(tmp_path):
    evaluator = FakeEvaluator(failure=lambda variant, number: CRASH if number % 5 else None)
    assert len(start(small_space(n_trials=16), tmp_path, evaluator).trials) == 16


def test_study_baseline_fails_is_fatal_and_the_next_start_begins_with_it(tmp_path):
    with pytest.raises(NotAvailable, match=r"the baseline has no result.*signal SIGSEGV: the probe died"):
        start(small_space(n_trials=3), tmp_path, FakeEvaluator(failure=fails_from(0)))
    assert load_result(tmp_path).baseline is None
    result = start(small_space(n_trials=3), tmp_path)
    assert [trial.number for trial in result.trials] == [0, 1, 2]
    assert result.baseline is not None


def test_study_objective_unknown_fails_the_baseline_with_why(tmp_path):
    space = small_space(objectives=[*OBJECTIVES, Objective("energy_mj", "minimize")])

    def metrics(variant: Variant) -> dict:
        return {**known_metrics(variant), "energy_mj": Measurement.unknown("no permission to read RAPL")}

    with pytest.raises(NotAvailable, match="energy_mj is not known: no permission to read RAPL"):
        start(space, tmp_path, FakeEvaluator(metrics=metrics))


def test_study_nothing_feasible_writes_outputs_and_shows_the_nearest_misses(tmp_path):
    outputs: list = []
    space = small_space(n_trials=5, constraints=[Constraint("latency_ms", "<=", 0.001)])
    with pytest.raises(NothingFeasible, match=r"`latency_ms <= 0.001` is broken by 5 of 5"):
        start(space, tmp_path, outputs=outputs)
    assert len(outputs[0].trials) == 5


@pytest.mark.parametrize(
    "event", ["progress data", "start 0", "progress measuring", "end 0", "start 2", "end 2", "end 3"]
)
def test_study_interrupted_at_an_event_is_whole_and_resumes_as_if_it_had_not_been(tmp_path, event):
    space = small_space(n_trials=5, sampler="tpe")
    undisturbed = [trial.variant for trial in start(space, tmp_path / "a").trials]
    folder, outputs = tmp_path / "b", []
    view = RecordingView(lambda happened: os.kill(os.getpid(), signal.SIGINT) if happened == event else None)
    evaluator = FakeEvaluator(folder)
    with pytest.raises(Interrupted, match="start the study again to resume"):
        start(space, folder, evaluator, view, outputs)
    for written in outputs:
        assert written == load_result(folder)
    resumed = FakeEvaluator(folder)
    assert [trial.variant for trial in start(space, folder, resumed).trials] == undisturbed
    assert len(evaluator.evaluated) + len(resumed.evaluated) == 5


def test_study_interrupted_inside_a_trial_marks_it_and_proposes_it_again(tmp_path):
    def interrupt(variant: Variant, number: int) -> None:
        if number == 2:
            raise Interrupted("interrupted by SIGINT")

    space = small_space(n_trials=4)
    evaluator = FakeEvaluator(before=interrupt)
    outputs: list = []
    with pytest.raises(Interrupted):
        start(space, tmp_path, evaluator, outputs=outputs)
    assert [trial.number for trial in outputs[0].trials] == [0, 1]
    resumed = FakeEvaluator()
    result = start(space, tmp_path, resumed)
    assert resumed.evaluated[0] == evaluator.evaluated[-1]
    assert [trial.number for trial in result.trials] == [0, 1, 3, 4]


def test_study_finished_runs_no_trial_again_and_more_trials_go_on(tmp_path):
    start(small_space(n_trials=3), tmp_path)
    again = FakeEvaluator()
    assert len(start(small_space(n_trials=3), tmp_path, again).trials) == 3
    assert again.evaluated == []
    assert len(start(small_space(n_trials=5, timeout_s=1e6), tmp_path).trials) == 5
    assert load_result(tmp_path).space.search.n_trials == 5


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"width": (0.5, 1.0)}, "parameters.width"),
        ({"seed": 3}, "search.seed: 0 -> 3"),
        ({"objectives": OBJECTIVES[:2]}, "objectives"),
        ({"constraints": [Constraint("latency_ms", "<=", 9)]}, "constraints"),
        ({"name": "other"}, "name: small -> other"),
    ],
)
def test_study_changed_space_is_refused_with_the_difference(tmp_path, change, difference):
    start(small_space(n_trials=2), tmp_path)
    before = (tmp_path / "space.yaml").read_text()
    with pytest.raises(StudyIncompatible, match=rf"(?s)the search space changed.*{difference}.*--fork NAME"):
        start(small_space(**{"n_trials": 2, **change}), tmp_path)
    assert (tmp_path / "space.yaml").read_text() == before


def test_study_changed_identity_is_refused_with_the_difference(tmp_path):
    start(small_space(n_trials=2), tmp_path)
    identity = {"data": {"fingerprint": "d1"}, "torch": "2.16"}
    with pytest.raises(StudyIncompatible, match=r"(?s)data\.fingerprint: d0 -> d1\n  torch: 2\.15 -> 2\.16\n.*--fork"):
        start(small_space(n_trials=2), tmp_path, FakeEvaluator(identity=identity))
    assert len(load_result(tmp_path).trials) == 2


def test_study_whose_baseline_failed_begins_anew_with_the_network_that_was_mended(tmp_path):
    with pytest.raises(NotAvailable, match="Remove the cause and start the study again"):
        start(small_space(n_trials=2), tmp_path, FakeEvaluator(tmp_path, fails_from(0), identity={"weights": "w0"}))
    result = start(small_space(n_trials=2), tmp_path, FakeEvaluator(tmp_path, identity={"weights": "w1"}))
    assert [trial.state for trial in result.trials] == ["complete", "complete"]
    assert load_result(tmp_path).provenance["identity"] == {"weights": "w1"}


def test_study_keeps_the_description_of_its_network_and_says_what_of_it_changed(tmp_path):
    studies, files = tmp_path / "small", [tmp_path / "one.json", tmp_path / "two.json"]
    for file, digest in zip(files, ("aa", "bb"), strict=True):
        network = Description({"stage2.0.conv.weight": f"parameter float32[4] {digest}"}, {}, {}, (), ())
        file.write_text(json.dumps(to_json(network)))

    class Described(FakeEvaluator):
        def __init__(self, file: Path) -> None:
            super().__init__(studies, identity={"weights": file.stem})
            self._file = file

        def prepare(self, on_progress: OnProgress) -> Prepared:
            return replace(super().prepare(on_progress), network_description=self._file)

    start(small_space(n_trials=2), studies, Described(files[0]))
    files[0].unlink()  # a cache may be emptied
    with pytest.raises(StudyIncompatible, match=r"the network: stage2\.0\.conv\.weight differs\n") as refused:
        start(small_space(n_trials=2), studies, Described(files[1]))
    assert refused.value.exit_code == 6


@pytest.mark.parametrize("error", [StudyIncompatible("another network"), ModelError("it raised")])
def test_study_whose_builder_comes_back_with_another_network_makes_no_trial_of_it_and_goes_on_later(tmp_path, error):
    def changed(variant: Variant, number: int) -> None:
        if number == 2:
            raise error

    outputs: list[StudyResult] = []
    with pytest.raises(type(error)):
        start(small_space(n_trials=4), tmp_path, FakeEvaluator(tmp_path, before=changed), outputs=outputs)
    assert [trial.number for trial in load_result(tmp_path).trials] == [0, 1]
    assert [len(result.trials) for result in outputs] == [2]
    with closing(sqlite3.connect(tmp_path / "study.db")) as database:
        assert database.execute("SELECT COUNT(*) FROM trials WHERE state = 'RUNNING'").fetchone() == (0,)
    assert len(start(small_space(n_trials=4), tmp_path, FakeEvaluator(tmp_path)).trials) == 4


def test_study_second_start_is_locked_out(tmp_path):
    with study_lock(tmp_path, pytest.fail), pytest.raises(StudyLocked, match=f"process {os.getpid()}"):
        start(small_space(), tmp_path)


def test_study_disk_full_while_evaluating_is_a_clean_stop_and_resumes(tmp_path):
    def full(variant: Variant, number: int) -> None:
        if number == 2:
            raise OSError(errno.ENOSPC, "No space left on device", "/somewhere/model.onnx")

    with pytest.raises(ExplorerError, match=r"disk full: /somewhere/model\.onnx cannot be written") as caught:
        start(small_space(n_trials=4), tmp_path, FakeEvaluator(before=full))
    assert caught.value.exit_code == 1
    assert len(start(small_space(n_trials=4), tmp_path).trials) == 4


@pytest.mark.parametrize("step", [(Journal, "write"), (StudyStorage, "finish"), (StudyStorage, "begin")])
def test_study_disk_full_while_storing_loses_nothing(tmp_path, monkeypatch, step):
    owner, name = step
    calls = []

    def full(*arguments, **options):
        calls.append(name)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(*arguments, **options)

    original = getattr(owner, name)
    space = small_space(n_trials=4, sampler="tpe")
    undisturbed = [trial.variant for trial in start(space, tmp_path / "a").trials]
    monkeypatch.setattr(owner, name, full)
    with pytest.raises(ExplorerError, match="disk full"):
        start(space, tmp_path / "b")
    monkeypatch.undo()
    assert [trial.variant for trial in start(space, tmp_path / "b").trials] == undisturbed


def test_study_other_os_errors_are_not_called_a_full_disk(tmp_path):
    def broken(variant: Variant, number: int) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with pytest.raises(PermissionError, match="Permission denied"):
        start(small_space(), tmp_path, FakeEvaluator(before=broken))


def test_study_reader_that_locks_the_database_only_delays_it(tmp_path):
    start(small_space(n_trials=2), tmp_path)
    with closing(sqlite3.connect(tmp_path / "study.db", check_same_thread=False)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM trials").fetchall()
        release = threading.Timer(0.5, reader.rollback)
        release.start()
        assert len(start(small_space(n_trials=5), tmp_path).trials) == 5
        release.join()


def test_study_whose_database_is_held_waits_and_loses_no_trial(tmp_path):
    """It would wait for a minute: see `test_connect_flushes_every_commit`."""
    released = threading.Event()

    def hold_while_trial_2_runs(variant: Variant, number: int) -> None:
        if number == 2:
            other.execute("BEGIN IMMEDIATE")
            release.start()
        assert number < 3 or released.is_set()

    def let_go() -> None:
        other.rollback()
        released.set()

    start(small_space(n_trials=2), tmp_path)
    release = threading.Timer(1.0, let_go)
    with closing(sqlite3.connect(tmp_path / "study.db", check_same_thread=False)) as other:
        evaluator = FakeEvaluator(before=hold_while_trial_2_runs)
        assert [t.number for t in start(small_space(n_trials=5), tmp_path, evaluator).trials] == [0, 1, 2, 3, 4]
        release.join()


def test_study_with_storage_url_is_stored_there_and_found_again(tmp_path):
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    first = start(small_space(n_trials=2), tmp_path / "study", storage_url=url)
    start(small_space("neighbor", n_trials=2), tmp_path / "neighbor", storage_url=url)
    assert not (tmp_path / "study" / "study.db").exists()
    assert load_result(tmp_path / "study", "small") == first
    assert len(start(small_space(n_trials=4), tmp_path / "study").trials) == 4


def test_study_optuna_reads_parameters_values_and_constraints(tmp_path):
    import optuna

    space = small_space(n_trials=6, constraints=[Constraint("latency_ms", "<=", 1.0), Constraint("energy_mj", "<=", 1)])
    with pytest.raises(NothingFeasible):
        start(space, tmp_path)
    study = optuna.load_study(study_name="small", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert study.metric_names == [objective.metric for objective in OBJECTIVES]
    result = load_result(tmp_path)
    for trial, record in zip(study.trials, result.trials, strict=True):
        assert trial.values == [record.values()[objective.metric] for objective in OBJECTIVES]
        assert trial.params["execution"] == f"{record.variant['runtime']}:{record.variant['quantization']}"
        assert trial.params["width"] == record.variant["width"]
        assert trial.constraints["latency_ms <= 1"] == record.violations["latency_ms <= 1"]
        assert trial.constraints["energy_mj <= 1"] == 1e12
        assert trial.user_attrs["variant"] == record.variant.to_json()


def test_study_unexpected_error_leaves_a_study_that_resumes(tmp_path: Path):
    def broken(variant: Variant, number: int) -> None:
        if number == 1:
            raise RuntimeError("a fault of this program")

    with pytest.raises(RuntimeError, match="a fault of this program"):
        start(small_space(n_trials=3), tmp_path, FakeEvaluator(before=broken))
    assert len(start(small_space(n_trials=3), tmp_path).trials) == 3


def invalid_at(*numbers):
    return lambda variant, number: (GAP,) if number in numbers else ()


def test_study_invalid_trial_is_kept_with_its_reasons_and_resumes(tmp_path):
    result = start(small_space(n_trials=4, sampler="tpe"), tmp_path, FakeEvaluator(tmp_path, invalid=invalid_at(2)))
    assert [trial.state for trial in result.trials] == ["complete", "complete", "invalid", "complete"]
    assert result.trials[2].outcome.reasons == (GAP,)
    assert load_result(tmp_path) == result
    resumed = start(small_space(n_trials=6, sampler="tpe"), tmp_path)
    assert len({trial.variant for trial in resumed.trials}) == 6


def test_study_invalid_baseline_is_said_and_compares_all_the_same(tmp_path):
    view = RecordingView()
    result = start(small_space(n_trials=3), tmp_path, FakeEvaluator(tmp_path, invalid=invalid_at(0)), view)
    assert view.notes[0].startswith(f"the baseline's measurement is not valid ({GAP.sentence})")
    assert result.baseline is not None
    assert result.baseline.state == "invalid"
    assert result.reference_point is not None
    assert len(start(small_space(n_trials=5), tmp_path).trials) == 5


def test_study_invalid_measurement_is_not_remembered_as_evidence(tmp_path):
    def lucky(variant):
        return {**known_metrics(variant), "latency_ms": 0.001}

    doubtful = FakeEvaluator(tmp_path / "a", metrics=lucky, invalid=invalid_at(0, 1))
    start(small_space(n_trials=3), tmp_path / "a", doubtful)
    start(small_space(n_trials=2), tmp_path / "b")
    journal = Journal(tmp_path / "b")
    for entry in map(journal.read, journal.numbers()):
        assert entry.first_measurements["latency_ms"] == entry.record.values()["latency_ms"] > 0.001


def test_study_whole_budget_is_for_the_baseline_and_what_may_reach_the_front(tmp_path):
    evaluator = FakeEvaluator(tmp_path)
    start(small_space(n_trials=2), tmp_path, evaluator)
    poor = {o.metric: Measurement(0.0 if o.direction == "maximize" else 1e6) for o in OBJECTIVES}
    good = {o.metric: Measurement(1.0 if o.direction == "maximize" else 1e-6) for o in OBJECTIVES}
    assert evaluator.asked_more[0](poor)
    assert not evaluator.asked_more[1](poor)
    assert evaluator.asked_more[1](good)
