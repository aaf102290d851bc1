from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes import OBJECTIVES, STEAL, FakeEvaluator, RecordingView, small_space, start

from explorer.errors import ExplorerError, NotAvailable, UsageError
from explorer.metrics import Constraint, Objective
from explorer.records import Failure, Origin, Variant
from explorer.study.read import load_result


@pytest.fixture
def old(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    evaluator = FakeEvaluator(folder, failure=lambda _, number: Failure.reported("x", "y") if number == 3 else None)
    start(small_space(n_trials=10), folder, evaluator)
    return folder


def fork(old: Path, folder: Path, n_trials: int = 12, **options) -> tuple:
    view, evaluator = RecordingView(), FakeEvaluator(folder, identity=options.pop("identity", None))
    result = start(small_space("forked", n_trials, **options), folder, evaluator, view, fork_from=old)
    return result, evaluator.evaluated, view.notes


def test_fork_same_space_takes_every_result_over(old, tmp_path):
    result, evaluated, notes = fork(old, tmp_path / "forked")
    assert len(result.trials) == 12
    assert len(evaluated) == 3  # 12 - 9 adopted
    assert notes[0] == "9 trials of small apply; 1 did not: they failed"
    originals = {trial.variant: trial for trial in load_result(old).trials}
    for trial in result.trials[:9]:
        original = originals[trial.variant]
        assert trial.outcome.metrics == original.outcome.metrics
        assert (trial.started, trial.finished) == (original.started, original.finished)
        assert trial.outcome.forked_from == Origin("small", original.number)
        assert (tmp_path / "forked" / "artifacts" / str(trial.outcome.artifact) / "artifact.json").is_file()
    assert result.baseline is not None
    assert result.baseline.variant == Variant()


def test_fork_repeated_adopts_nothing_twice(old, tmp_path):
    first, _, _ = fork(old, tmp_path / "forked")
    again, evaluated, notes = fork(old, tmp_path / "forked")
    assert again.trials == first.trials
    assert evaluated == []
    assert notes[0].startswith("0 trials of small apply")


def test_fork_other_space_takes_over_what_lies_in_it(old, tmp_path):
    result, evaluated, notes = fork(
        old, tmp_path / "forked", width=(0.5, 1.0), constraints=[Constraint("latency_ms", "<=", 2)]
    )
    assert all(trial.variant["width"] in (0.5, 1.0) for trial in result.trials)
    assert "did not: their variants are not in this search space" in notes[0]
    assert len(set(evaluated)) < 12
    assert {trial.state for trial in result.trials} == {"complete", "infeasible"}


def test_fork_damaged_database_needs_only_the_journal(old, tmp_path):
    os.truncate(old / "study.db", 5000)
    result, _, notes = fork(old, tmp_path / "forked")
    assert len(result.trials) == 12
    assert notes[0].startswith("9 trials of small apply")
    assert (old / "study.db").stat().st_size == 5000


def test_fork_damaged_record_is_left_out(old, tmp_path):
    (old / "trials" / "4.json").write_text("{")
    assert "1 did not: their record is damaged" in fork(old, tmp_path / "forked")[2][0]


def test_fork_record_with_a_time_of_text_is_left_out(old, tmp_path):
    path = old / "trials" / "4.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "started": "x"}))
    result, _, notes = fork(old, tmp_path / "forked")
    assert "1 did not: their record is damaged" in notes[0]
    assert len(result.trials) == 12


@pytest.mark.parametrize("lost", ["", "artifact.json"])
def test_fork_missing_artifact_is_left_out(old, tmp_path, lost):
    artifact = load_result(old).trials[4].outcome.artifact
    (old / "artifacts" / str(artifact) / lost).rename(old / "gone")
    assert "1 did not: their artifacts are gone" in fork(old, tmp_path / "forked")[2][0]


def test_fork_other_identity_takes_nothing_over(old, tmp_path):
    result, evaluated, notes = fork(old, tmp_path / "forked", identity={"torch": "3.0"})
    assert len(evaluated) == len(result.trials) == 12
    assert "0 trials of small apply; 8 did not: they were measured with other data" in notes[0]


def test_fork_new_objective_that_was_not_measured_takes_nothing_over(old, tmp_path):
    objectives = [*OBJECTIVES, Objective("energy_mj", "minimize")]
    with pytest.raises(NotAvailable, match="energy_mj is not known"):
        fork(old, tmp_path / "forked", objectives=objectives)


def test_fork_killed_in_the_middle_goes_on_where_it_was(old, tmp_path, monkeypatch):
    from explorer.study.session import Session

    finish, calls = Session.finish, []

    def dying(self, *arguments, **options):
        calls.append(arguments)
        if len(calls) == 5:
            raise RuntimeError("killed")
        return finish(self, *arguments, **options)

    monkeypatch.setattr(Session, "finish", dying)
    with pytest.raises(RuntimeError, match="killed"):
        fork(old, tmp_path / "forked")
    monkeypatch.undo()
    result, evaluated, notes = fork(old, tmp_path / "forked")
    assert (len(result.trials), len(evaluated)) == (12, 3)
    assert notes[0].startswith("5 trials of small apply")


def test_fork_of_itself_or_of_nothing_is_refused(old, tmp_path):
    with pytest.raises(UsageError, match="--fork needs another name"):
        fork(old, old)
    with pytest.raises(UsageError, match="nothing to fork from"):
        fork(tmp_path / "nothing", tmp_path / "forked")


def test_fork_invalid_trials_do_not_apply(tmp_path):
    old = tmp_path / "small"
    evaluator = FakeEvaluator(old, invalid=lambda variant, number: (STEAL,) if number == 2 else ())
    start(small_space(n_trials=5), old, evaluator)
    _, evaluated, notes = fork(old, tmp_path / "forked", n_trials=5)
    assert notes[0] == "4 trials of small apply; 1 did not: their measurements are not valid"
    assert len(evaluated) == 1


@contextmanager
def no_file_grows_beyond(n_bytes: int) -> Iterator[None]:
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, unlimited[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)


def test_fork_onto_a_full_disk_is_one_sentence_and_starts_again(old, tmp_path):
    artifact = str(load_result(old).trials[2].outcome.artifact)
    (old / "artifacts" / artifact / "large.bin").write_bytes(bytes(4_000_000))
    with pytest.raises(ExplorerError, match=r"^disk full: .*File too large") as said, no_file_grows_beyond(2_000_000):
        fork(old, tmp_path / "forked")
    assert said.value.exit_code == 1
    assert list((tmp_path / "forked").rglob(".*.tmp")) == []
    result, _, _ = fork(old, tmp_path / "forked")
    assert len(result.trials) == 12
    assert (tmp_path / "forked" / "artifacts" / artifact / "large.bin").stat().st_size == 4_000_000
