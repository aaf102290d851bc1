"""Builders whose network crashes, hangs, grows or answers nonsense: the trial fails, and the next one gets its due."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "fixtures"))

from installing import ORPHAN, alive, installed, is_gone

from explorer.errors import ExplorerError
from explorer.records import TrialOutcome, Variant
from explorer.space.read import load_space
from explorer.study import builder_process as building
from explorer.study.evaluator import MeasuringEvaluator
from explorer.study.vocabulary import vocabulary
from explorer.system import process_tree
from explorer.system.disk_errors import DISK_FULL
from explorer.system.worker_process import WorkerFailed

SPACE = """\
name: faulty
model: faulty_networks:scripted
input: dataset
data: {name: digits}
parameters:
  pruning_ratio: {min: 0.0, max: 0.9, step: 0.05}
  runtime: [onnxruntime]
objectives: {accuracy: maximize, latency_ms: minimize}
recovery: {steps: 2}
"""
SOUND = Variant(runtime="onnxruntime")


class _Study:
    """An evaluator whose builder meets the next scripted fault in every build of a pruned network."""

    def __init__(self, folder: Path, script: Callable[..., None]) -> None:
        file = folder / "faulty.yaml"
        file.write_text(SPACE)
        self.evaluator = MeasuringEvaluator(load_space(file, vocabulary()), folder / "study", None)
        self.orphan, self.cache = folder / ORPHAN, folder / "cache"
        self._script = script
        self._n_trials = 0

    def try_(self, *faults: str) -> TrialOutcome:
        """A trial of a pruned variant that was not tried yet, or of the sound one when nothing is to go wrong."""
        self._script(*faults)
        self._n_trials += 1
        variant = Variant(runtime="onnxruntime", pruning_ratio=0.25 + 0.05 * self._n_trials) if faults else SOUND
        return self.evaluator.evaluate(variant, 0, lambda _: None, lambda metrics: False)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Whatever a fault leaves of its builder, the next test finds the study as a next trial does."""
    folder = tmp_path_factory.mktemp("faulty")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("explorer.measure.results.reasons", lambda *seen: ())  # whatever else runs on this machine
        patch.setattr("explorer.system.worker_process._TERMINATE_S", 0.5)
        made = _Study(folder, installed(folder, patch))
        yield made
        made.evaluator.close()
        assert alive() == []


@pytest.fixture(autouse=True)
def _one_cache(study, monkeypatch):
    """The builder outlives a test, and so does its cache."""
    monkeypatch.setenv("EXPLORER_CACHE", str(study.cache))


def failure(outcome: TrialOutcome) -> tuple[str, str]:
    assert outcome.failure is not None
    assert outcome.artifact is None
    return outcome.failure.kind, outcome.failure.reason


def test_prepare_builder_that_cannot_start_is_one_sentence(study, monkeypatch):
    study.evaluator.close()
    monkeypatch.setattr(process_tree, "limit_mib", lambda: 1.0)
    with pytest.raises(ExplorerError, match=r"the builder could not start: it held \d+ MiB in phase 'start'") as ended:
        study.evaluator.prepare(lambda _: None)
    assert ended.value.exit_code == 1


def test_build_nonsense_fails_the_trial_and_the_same_builder_goes_on(study):
    kind, reason = failure(study.try_("raises"))
    assert kind == "nothing pruned"
    assert "it cannot be traced (RuntimeError: a runtime's own words ?)" in reason
    first, second = study.try_("answers_twice"), study.try_()
    assert first.failure is second.failure is None
    assert first.artifact != second.artifact
    assert "the second" not in (first.artifact, second.artifact)
    kind, reason = failure(study.try_("result_has_other_types"))
    assert (kind, reason.split(":")[0]) == ("bad result", "what the builder built does not read")
    kind, reason = failure(study.try_("result_is_empty"))
    assert (kind, reason) == ("bad result", "what the builder built does not read: KeyError: 'artifact'")
    study.evaluator.close()  # its answers stay as they are


def test_build_memory_beyond_the_limit_fails_the_trial_and_so_does_a_builder_that_cannot_start_again(
    study, monkeypatch
):
    study.evaluator.close()
    monkeypatch.setattr(process_tree, "limit_mib", lambda: 2500.0)
    kind, reason = failure(study.try_("memory_grows"))
    assert kind == "out of memory"
    assert "MiB in phase 'build', and this machine had 2500 MiB for it" in reason
    monkeypatch.setattr(process_tree, "limit_mib", lambda: 1.0)
    kind, reason = failure(study.try_())
    assert kind == "out of memory"
    assert "MiB in phase 'start', and this machine had 1 MiB for it" in reason
    monkeypatch.undo()
    assert study.try_().failure is None


def test_build_builder_killed_while_it_starts_again_fails_the_trial_and_the_next_one_goes_on(study, monkeypatch):
    study.evaluator.close()

    class Killed(building.WorkerProcess):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.process.kill()

    with monkeypatch.context() as patch:
        patch.setattr(building, "WorkerProcess", Killed)
        kind, reason = failure(study.try_())
    assert kind == "signal SIGKILL"
    assert "SIGKILL" in reason
    assert study.try_().failure is None


@contextmanager
def no_file_grows_beyond(n_bytes: int, process: int) -> Iterator[None]:
    """The process, and what it starts, is refused as under a quota that is used up."""
    unlimited = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (n_bytes, unlimited[1]))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, unlimited)


@pytest.mark.parametrize(
    ("runtime", "quantization", "pruning_ratio", "n_bytes"),
    [
        ("eager", "none", 0.3, 0),  # the pruned network's weights
        ("eager", "none", 0.4, 20_000),  # the program
        ("eager", "dynamic_int8", 0.5, 20_000),
        ("onnxruntime", "none", 0.6, 2_000),
        ("onnxruntime", "static_int8", 0.7, 4_000),
    ],
)
def test_build_no_file_may_grow_is_a_full_disk_and_not_the_trials_failure(
    study, runtime, quantization, pruning_ratio, n_bytes
):
    study.try_()
    (builder,) = study.evaluator._builder.processes()
    variant = Variant(runtime=runtime, quantization=quantization, pruning_ratio=pruning_ratio)
    with no_file_grows_beyond(n_bytes, builder), pytest.raises(OSError, match="File too large") as refused:
        study.evaluator.evaluate(variant, 0, lambda _: None, lambda metrics: False)
    assert refused.value.errno in DISK_FULL
    assert list(study.cache.rglob(".*.tmp")) == []
    assert study.evaluator._builder.processes() == [builder]
    assert study.evaluator.evaluate(variant, 0, lambda _: None, lambda metrics: False).failure is None


def test_probe_that_may_write_no_samples_is_a_full_disk_and_not_the_trials_failure(study):
    study.try_()
    with no_file_grows_beyond(10_000, os.getpid()), pytest.raises(OSError, match="File too large") as refused:
        study.try_()
    assert refused.value.errno in DISK_FULL
    assert isinstance(refused.value.__cause__, WorkerFailed)
    assert study.try_().failure is None


def test_test_accuracy_on_a_full_disk_is_not_called_unknown(study):
    artifact = str(study.try_().artifact)
    with no_file_grows_beyond(10_000, os.getpid()), pytest.raises(OSError, match="File too large") as refused:
        study.evaluator.quality_on_test_split(SOUND, artifact, lambda _: None)
    assert refused.value.errno in DISK_FULL
    assert study.evaluator.quality_on_test_split(SOUND, artifact, lambda _: None).value is not None


def test_build_endless_loop_ends_at_the_deadline_with_its_orphan(study, monkeypatch):
    study.try_()
    monkeypatch.setattr(building, "_DEADLINES_S", {"": 120.0, "build": 3.0})
    kind, reason = failure(study.try_("orphan_and_a_loop_that_ignores_sigterm"))
    assert (kind, reason) == ("timeout in build", "no answer in phase 'build' for 3 s")
    assert is_gone(int(study.orphan.read_text()))
