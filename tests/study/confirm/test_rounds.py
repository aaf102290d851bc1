"""Confirmation on the fake evaluator: luck that does not last, ties, budgets, interruptions, what is kept."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from fakes import (
    GAP,
    OBJECTIVES,
    STEAL,
    VOCABULARY,
    FakeEvaluator,
    RecordingView,
    known_metrics,
    small_space,
    some_hits,
    start,
)

from explorer.errors import Interrupted, NotAvailable, NothingFeasible, StudyDamaged
from explorer.metrics import Constraint
from explorer.records import Failure, Measurement, Variant
from explorer.study.confirm.confirmation import GROWING_NAME, NAME, PackedScores, read_confirmation, read_growing
from explorer.study.confirm.rounds import MAX_ROUNDS, MIN_ROUNDS, ConfirmationBudget
from explorer.study.evaluation import MAX_SAME_FAILURES
from explorer.study.front import front_view
from explorer.study.loop import StudyTools, confirm_study
from explorer.study.read import load_result
from explorer.study.store.live_status import StudyPoller
from explorer.system.signals import Interrupt

SPACE = {"n_trials": 4, "runtime": ("eager",), "quantization": ("none",), "pruning_ratio": (0.0,)}
"""Four widths: all on the front, of latencies 1 to 4 ms."""


def noisy(values, factor):
    return {**values, "latency_ms": values["latency_ms"] * factor}


def jitter(variant, name, size=0.005):
    """A factor near 1 that is the variant's and the round's alone."""
    return 1.0 + size * random.Random(f"{variant}{name}").uniform(-1, 1)


def settled(variant, name):
    values = known_metrics(variant)
    return noisy(values, jitter(variant, name))


def round_of(name):
    """The number of the round that samples are named after."""
    return int(name.split("-")[1])


def fake(folder, **options):
    return FakeEvaluator(folder, **{"again": settled, "hits": some_hits, **options})


def run(folder, evaluator=None, view=None, outputs=None, space=None, **options):
    made = space or small_space(**SPACE)
    options = {"is_confirming": True, **options}
    return start(made, folder, evaluator or fake(folder), view, outputs, **options)


def again(folder, evaluator=None, n_rounds=None, view=None):
    with Interrupt() as interrupt:
        found = load_result(folder)
        chosen = evaluator or fake(folder)
        tools = StudyTools(VOCABULARY, chosen, view or RecordingView(), interrupt, lambda _: None, clock=lambda: 0.0)
        return confirm_study(found, tools, n_rounds)


def rounds_of(evaluator):
    """The variants of each round, in their order."""
    found = {}
    for name, variant in evaluator.measured_again:
        found.setdefault(name.split("-")[1], []).append(variant)
    return list(found.values())


def test_confirm_settled_front_takes_the_fewest_rounds_each_in_another_order(tmp_path):
    evaluator, view, outputs = fake(tmp_path), RecordingView(), []
    result = run(tmp_path, evaluator, view, outputs)
    assert result.confirmation.ended == "settled"
    rounds = rounds_of(evaluator)
    assert len(rounds) == MIN_ROUNDS
    assert all(len(order) == len(set(order)) == 4 and Variant() in order for order in rounds)
    assert len({tuple(order) for order in rounds}) > 1
    assert len({name for name, _ in evaluator.measured_again}) == len(evaluator.measured_again)
    assert view.events[-1] == "confirmed"
    assert "progress confirm" in view.events
    assert outputs == [result]
    assert load_result(tmp_path) == result
    assert not (tmp_path / GROWING_NAME).exists()


def test_confirm_round_takes_a_quarter_of_the_budget_unless_a_metric_that_is_needed_stays_unknown(tmp_path):
    evaluator = fake(tmp_path)
    run(tmp_path, evaluator)
    asked = evaluator.asked_more_again
    assert set(asked) == {name for name, _ in evaluator.measured_again}
    known = {name: Measurement(1.0) for name in known_metrics(Variant())}
    for can_reach_front in asked.values():
        assert not can_reach_front(known)
        assert not can_reach_front({**known, "latency_p99_ms": Measurement.unknown("too few")})
        assert can_reach_front({**known, "latency_ms": Measurement.unknown("too few")})


def test_confirm_front_states_confirmed_values_probabilities_and_test_accuracy(tmp_path):
    summary = front_view(run(tmp_path))
    assert summary.is_confirmed
    assert summary.n_rounds == MIN_ROUNDS
    entry = summary.entries[0]
    latency = entry.trial.outcome.metrics["latency_ms"]
    assert (latency.n, entry.probability, entry.ties) == (MIN_ROUNDS, 1.0, ())
    assert latency.low < latency.value < latency.high
    assert entry.trial.outcome.metrics["accuracy"] == load_result(tmp_path).trials[0].outcome.metrics["accuracy"]
    answer = summary.to_json()
    assert answer["confirmed"] is True
    assert answer["front"][0]["test_accuracy"] == {"value": 0.5, "low": None, "high": None, "n": 100}
    searched = front_view(load_result(tmp_path), is_search=True)
    assert (searched.is_confirmed, searched.entries[0].probability) == (False, None)
    assert searched.entries[0].trial.outcome.metrics["latency_ms"].n is None


def test_confirm_lucky_variant_falls_off(tmp_path):
    lucky = Variant(width=0.75)

    def measured(variant):
        values = known_metrics(variant)
        return noisy(values, 0.3) if variant == lucky else values

    def hits(variant):
        return some_hits(Variant(width=0.25) if variant == lucky else variant)

    result = run(tmp_path, fake(tmp_path, metrics=measured, hits=hits))
    number = next(trial.number for trial in result.trials if trial.variant == lucky)
    # It is as accurate as the narrowest network, and was a tenth faster in the search; it is three times slower.
    assert number in {entry.trial.number for entry in front_view(result, is_search=True).entries}
    assert number in {finalist.trial for finalist in result.confirmation.finalists}
    assert number not in {entry.trial.number for entry in front_view(result).entries}


def test_confirm_two_equal_variants_are_tied_and_never_settled(tmp_path):
    twin = Variant(width=0.75)

    def values(variant):
        return known_metrics(Variant(width=0.5) if variant == twin else variant)

    def measured(variant, name):
        is_slow = (int(name.split("-")[1]) + (variant == twin)) % 2
        return noisy(values(variant), 1.005 if is_slow else 0.995)

    def hits(variant):
        return some_hits(Variant(width=0.5) if variant == twin else variant)

    space = small_space(**SPACE, objectives=OBJECTIVES[:2])
    result = run(tmp_path, fake(tmp_path, metrics=values, again=measured, hits=hits), space=space, clock=lambda: 0.0)
    assert result.confirmation.ended == "rounds"
    summary = front_view(result)
    pair = {trial.number for trial in result.trials if trial.variant in (twin, Variant(width=0.5))}
    shown = {entry.trial.number: entry for entry in (*summary.entries, *summary.near)}
    assert pair <= shown.keys()
    for number in pair:
        assert shown[number].ties == tuple(pair - {number})
        assert 0.05 < shown[number].probability < 0.95


def test_confirm_exact_rounds_are_obeyed(tmp_path):
    run(tmp_path, is_confirming=False)
    evaluator = fake(tmp_path)
    result = again(tmp_path, evaluator, n_rounds=7)
    assert len(result.confirmation.rounds) == len(rounds_of(evaluator)) == 7


def test_confirm_time_is_up_after_the_fewest_rounds(tmp_path):
    def wild(variant, name):
        return noisy(known_metrics(Variant(width=1.0)), jitter(variant, name, 0.3))

    seconds = iter(range(0, 10**9, 1000))
    view = RecordingView()
    result = run(tmp_path, fake(tmp_path, again=wild), view, clock=lambda: float(next(seconds)))
    assert (len(result.confirmation.rounds), result.confirmation.ended) == (MIN_ROUNDS, "time")
    assert any("the time for it is up" in note for note in view.notes)


def test_confirm_percentile_that_no_round_knows_stays_the_searchs(tmp_path):
    def searched(variant):
        return {**known_metrics(variant), "latency_p99_ms": 9.0}

    def measured(variant, name):
        return {**settled(variant, name), "latency_p90_ms": 7.0}

    summary = front_view(run(tmp_path, fake(tmp_path, metrics=searched, again=measured)))
    for entry in summary.entries:
        metrics = entry.trial.outcome.metrics
        assert metrics["latency_p99_ms"] == Measurement(9.0)
        assert (metrics["latency_p90_ms"].value, metrics["latency_p90_ms"].n) == (7.0, MIN_ROUNDS)


def test_confirm_begins_no_round_that_would_end_after_the_budget(tmp_path, monkeypatch):
    def wild(variant, name):
        return noisy(known_metrics(Variant(width=1.0)), jitter(variant, name, 0.3))

    a_round_takes_1000_s = iter(range(0, 10**9, 1000))
    monkeypatch.setattr(ConfirmationBudget, "of_search", lambda result: ConfirmationBudget(seconds=7500.0))
    result = run(tmp_path, fake(tmp_path, again=wild), clock=lambda: float(next(a_round_takes_1000_s)))
    assert (len(result.confirmation.rounds), result.confirmation.ended) == (7, "time")
    assert result.confirmation.seconds == 7000.0


def test_confirm_not_settled_ends_with_the_most_rounds(tmp_path):
    def wild(variant, name):
        return noisy(known_metrics(Variant(width=1.0)), jitter(variant, name, 0.3))

    result = run(tmp_path, fake(tmp_path, again=wild), clock=lambda: 0.0)
    assert (len(result.confirmation.rounds), result.confirmation.ended) == (MAX_ROUNDS, "rounds")


@pytest.mark.parametrize("bad", [Failure.reported("crash", "the probe died"), (STEAL,)])
def test_confirm_finalist_without_valid_rounds_is_said_to_be_unconfirmed(tmp_path, bad):
    def measured(variant, name):
        return bad if variant == Variant(width=0.5) else settled(variant, name)

    view = RecordingView()
    result = run(tmp_path, fake(tmp_path, again=measured), view)
    summary = front_view(result)
    (lost,) = summary.unconfirmed
    reason = bad.reason if isinstance(bad, Failure) else bad[0].sentence
    assert result.trial(lost.trial).variant == Variant(width=0.5)
    assert reason in lost.why
    assert lost.trial not in {entry.trial.number for entry in summary.entries}
    assert any(f"trial {lost.trial} is not confirmed" in note for note in view.notes)
    assert summary.to_json()["unconfirmed"] == [{"trial": lost.trial, "why": lost.why}]


def test_confirm_nothing_valid_is_not_settled_however_many_rounds(tmp_path):
    view = RecordingView()
    evaluator = fake(tmp_path, again=lambda variant, name: (STEAL,))
    result = run(tmp_path, evaluator, view, clock=lambda: 0.0)
    assert (len(result.confirmation.rounds), result.confirmation.ended) == (MAX_ROUNDS, "rounds")
    assert not any("who is on the front is settled" in note for note in view.notes)


@pytest.mark.parametrize(("n_bad", "n_rounds", "ended"), [(4, 9, "settled"), (99, MAX_ROUNDS, "rounds")])
def test_confirm_finalist_without_valid_rounds_may_get_them_in_further_ones(tmp_path, n_bad, n_rounds, ended):
    def measured(variant, name):
        is_bad = variant == Variant(width=0.5) and round_of(name) <= n_bad
        return (STEAL,) if is_bad else settled(variant, name)

    result = run(tmp_path, fake(tmp_path, again=measured), clock=lambda: 0.0)
    assert (len(result.confirmation.rounds), result.confirmation.ended) == (n_rounds, ended)


@pytest.mark.parametrize(("n_bad", "n_rounds"), [(99, MIN_ROUNDS), (3, 7)])
def test_confirm_finalist_that_fails_is_waited_for_unless_it_fails_in_every_round(tmp_path, n_bad, n_rounds):
    def measured(variant, name):
        is_bad = variant == Variant(width=0.5) and round_of(name) <= n_bad
        return Failure.reported("crash", "the probe died") if is_bad else settled(variant, name)

    confirmation = run(tmp_path, fake(tmp_path, again=measured), clock=lambda: 0.0).confirmation
    assert (len(confirmation.rounds), confirmation.ended) == (n_rounds, "settled")


@pytest.mark.parametrize(("n_bad", "n_valid"), [(1, 5), (2, 5), (3, 4)])
def test_confirm_invalid_take_is_made_again_twice_at_most_within_its_round(tmp_path, n_bad, n_valid):
    n_made = {}

    def measured(variant, name):
        n_made[name] = n_made.get(name, 0) + 1
        is_bad = variant == Variant(width=0.5) and round_of(name) == 2 and n_made[name] <= n_bad
        return (GAP,) if is_bad else settled(variant, name)

    evaluator = fake(tmp_path, again=measured)
    result = run(tmp_path, evaluator, clock=lambda: float(len(evaluator.measured_again)))
    assert sorted(n_made.values())[-2:] == [1, min(n_bad, 2) + 1]
    assert result.confirmation.seconds == 4 * MIN_ROUNDS + min(n_bad, 2)
    n_rounds = {e.trial.variant["width"]: e.trial.outcome.metrics["latency_ms"].n for e in front_view(result).entries}
    assert n_rounds == {1.0: 5, 0.75: 5, 0.5: n_valid, 0.25: 5}


HANGS = Failure.reported("timeout in warm-up", "no answer within 60 s")


@pytest.mark.parametrize("is_later", [False, True])
def test_confirm_same_failure_five_times_in_a_row_stops_with_the_cause_and_goes_on_later(tmp_path, is_later):
    def hanging(variant, name):
        return HANGS if round_of(name) > 2 else settled(variant, name)

    evaluator, outputs = fake(tmp_path, again=hanging), []
    reason = r"5 measurements of finalists in a row failed the same way \(timeout in warm-up\): no answer within 60 s"
    if is_later:
        run(tmp_path, is_confirming=False)
    with pytest.raises(NotAvailable, match=reason):
        again(tmp_path, evaluator) if is_later else run(tmp_path, evaluator, outputs=outputs)
    assert len(outputs) == (not is_later)
    assert len(evaluator.measured_again) == 2 * 4 + MAX_SAME_FAILURES
    # Four finalists fail in one round: the fifth failure is of the round after, which is not kept.
    assert (read_confirmation(tmp_path), len(read_growing(tmp_path).rounds)) == (None, 3)
    resumed = fake(tmp_path)
    confirmation = (again if is_later else run)(tmp_path, resumed).confirmation
    assert set(map(round_of, dict(resumed.measured_again))) == set(range(4, len(confirmation.rounds) + 1))


def test_confirm_stops_within_a_round_that_is_then_made_again(tmp_path):
    space = small_space(**{**SPACE, "pruning_ratio": (0.0, 0.2), "n_trials": 8})
    with pytest.raises(NotAvailable, match="5 measurements of finalists in a row"):
        run(tmp_path, fake(tmp_path, again=lambda variant, name: HANGS), space=space)
    assert read_growing(tmp_path) is None
    assert run(tmp_path, space=space).confirmation.ended is not None


@pytest.mark.parametrize("is_other", [False, True])
def test_confirm_other_results_between_failures_do_not_stop_it(tmp_path, is_other):
    def measured(variant, name):
        if variant["width"] in (0.5, 0.75):
            return HANGS
        return Failure.reported("crash", "it died") if is_other and variant["width"] == 0.25 else settled(variant, name)

    assert run(tmp_path, fake(tmp_path, again=measured)).confirmation.ended is not None


def test_confirm_one_invalid_round_does_not_count(tmp_path):
    def measured(variant, name):
        is_bad = variant == Variant(width=0.5) and "-02-" in name
        return (GAP,) if is_bad else settled(variant, name)

    summary = front_view(run(tmp_path, fake(tmp_path, again=measured)))
    n_rounds = {entry.trial.variant["width"]: entry.trial.outcome.metrics["latency_ms"].n for entry in summary.entries}
    assert n_rounds == {1.0: 5, 0.75: 5, 0.5: 4, 0.25: 5}


def test_confirm_broken_constraint_in_confirmed_values_leaves_the_front_and_says_so(tmp_path):
    def measured(variant, name):
        return {**settled(variant, name), "peak_memory_mib": 10_000.0 if variant["width"] == 0.5 else 1.0}

    space = small_space(**SPACE, constraints=[Constraint("peak_memory_mib", "<=", 1000.0)])
    summary = front_view(run(tmp_path, fake(tmp_path, again=measured), space=space))
    assert 0.5 not in {entry.trial.variant["width"] for entry in summary.entries}
    assert [one.why for one in summary.unconfirmed] == ["its confirmed values break `peak_memory_mib <= 1000`"]


def test_confirm_where_narrows_before_probabilities(tmp_path):
    result = run(tmp_path)
    fast = front_view(result, [Constraint("latency_ms", "<=", 2.5)])
    assert {entry.trial.variant["width"] for entry in fast.entries} == {0.25, 0.5}
    assert all(entry.probability == 1.0 for entry in fast.entries)


class Stop(Exception):
    """The death of a process, as far as files are concerned."""


@pytest.mark.parametrize("error", [Stop, Interrupted])
@pytest.mark.parametrize("n_before", [0, 6, 13])
def test_confirm_stopped_between_measurements_goes_on_where_it_was(tmp_path, error, n_before):
    undisturbed = run(tmp_path / "a").confirmation
    n_left = [n_before]

    def stop(variant, name):
        if n_left[0] == 0:
            raise error("now")
        n_left[0] -= 1

    outputs = []
    with pytest.raises(error, match="now"):
        run(tmp_path / "b", fake(tmp_path / "b", before_again=stop), outputs=outputs)
    assert len(outputs) == (error is Interrupted)
    assert read_confirmation(tmp_path / "b") is None
    n_kept = n_before // 4
    growing = read_growing(tmp_path / "b")
    assert (0 if growing is None else len(growing.rounds)) == n_kept
    resumed = fake(tmp_path / "b")
    confirmation = run(tmp_path / "b", resumed).confirmation
    assert resumed.evaluated == []
    assert len(resumed.measured_again) == 4 * (MIN_ROUNDS - n_kept)
    assert confirmation.rounds == undisturbed.rounds


def test_confirm_interrupted_while_judging_asks_each_test_accuracy_once(tmp_path):
    def stop_at_second(variant):
        if len(first.judged) == 2:
            raise Interrupted("now")
        return 0.5

    first = fake(tmp_path, test=stop_at_second)
    with pytest.raises(Interrupted, match="now"):
        run(tmp_path, first)
    resumed = fake(tmp_path)
    result = run(tmp_path, resumed)
    assert resumed.measured_again == []
    assert [*first.judged[:1], *resumed.judged] == [
        result.trial(finalist.trial).variant for finalist in result.confirmation.finalists
    ]


def test_confirm_finished_study_does_nothing_more(tmp_path):
    first = run(tmp_path)
    evaluator = fake(tmp_path)
    assert run(tmp_path, evaluator) == first
    assert (evaluator.evaluated, evaluator.measured_again, evaluator.judged) == ([], [], [])


def test_confirm_not_asked_for_is_done_by_the_next_start(tmp_path):
    assert run(tmp_path, is_confirming=False).confirmation is None
    evaluator = fake(tmp_path)
    assert run(tmp_path, evaluator).confirmation is not None
    assert evaluator.evaluated == []


def test_confirm_stale_after_more_trials_shows_the_search_and_is_made_again(tmp_path):
    small = {**SPACE, "pruning_ratio": (0.0, 0.2)}
    run(tmp_path, space=small_space(**small))
    grown = run(tmp_path, space=small_space(**{**small, "n_trials": 6}), is_confirming=False)
    assert grown.is_stale(grown.confirmation)
    summary = front_view(grown)
    assert (summary.is_confirmed, summary.is_stale) == (False, True)
    view = RecordingView()
    result = run(tmp_path, view=view, space=small_space(**{**small, "n_trials": 6}))
    assert not result.is_stale(result.confirmation)
    assert any("confirmed when it had 4 trials: confirming again" in note for note in view.notes)


def test_confirm_again_keeps_the_old_until_the_new_is_whole_and_no_test_is_repeated(tmp_path):
    old = run(tmp_path).confirmation

    def stop(variant, name):
        if "-03-" in name:
            raise Interrupted("now")
        return settled(variant, name)

    with pytest.raises(Interrupted, match="now"):
        again(tmp_path, fake(tmp_path, again=stop), n_rounds=6)
    assert read_confirmation(tmp_path) == old
    evaluator = fake(tmp_path)
    assert len(again(tmp_path, evaluator, n_rounds=6).confirmation.rounds) == 6
    assert evaluator.judged == []
    assert len(rounds_of(evaluator)) == 4


def test_confirm_without_artifacts_is_not_available_later_and_a_sentence_at_the_start(tmp_path):
    view = RecordingView()
    result = run(tmp_path, FakeEvaluator(), view)
    assert result.confirmation is None
    assert any(note.startswith("not confirmed: the artifacts of trials") for note in view.notes)
    with pytest.raises(NotAvailable, match=r"artifacts of trials .* nothing to measure again"):
        again(tmp_path, FakeEvaluator())


def test_confirm_nothing_feasible_is_said(tmp_path):
    space = small_space(**SPACE, constraints=[Constraint("latency_ms", "<=", 0.001)])
    with pytest.raises(NothingFeasible, match="Nearest misses"):
        run(tmp_path, space=space)
    with pytest.raises(NothingFeasible, match="Nearest misses"):
        again(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 1', "\udcff"])
def test_confirm_damaged_file_is_said_with_the_way_out(tmp_path, text):
    run(tmp_path)
    (tmp_path / NAME).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(StudyDamaged, match=r"confirmation\.json .*delete it"):
        load_result(tmp_path)
    (tmp_path / NAME).unlink()
    assert load_result(tmp_path).confirmation is None


def test_confirm_round_that_lacks_a_finalist_is_damage(tmp_path):
    run(tmp_path)
    values = json.loads((tmp_path / NAME).read_text())
    values["rounds"][1].pop()
    (tmp_path / NAME).write_text(json.dumps(values))
    with pytest.raises(StudyDamaged, match="a round does not hold every finalist once"):
        load_result(tmp_path)


def test_confirm_stores_scores_of_hits_in_bits(tmp_path):
    result = run(tmp_path)
    for finalist in result.confirmation.finalists:
        assert np.array_equal(finalist.scores()["accuracy"], some_hits(result.trial(finalist.trial).variant))
    assert len(result.confirmation.finalists[0].packed["accuracy"].text) < 400 / 6 + 4


def test_packed_scores_of_any_numbers_read_as_they_were():
    scores = np.array([0.0, 0.5, 3.25])
    packed = PackedScores.of(scores)
    assert not packed.is_binary
    assert np.array_equal(packed.scores(), scores)


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (PackedScores(3, False, "AAAA"), "3 bytes for the scores of 3 examples"),
        (PackedScores(9, True, "AA=="), "1 bytes for the scores of 9 examples"),
        (PackedScores(1, False, "AADAfw=="), "scores are not finite"),
        (PackedScores(1, False, "$"), "Only base64 data"),
    ],
)
def test_packed_scores_that_are_none_are_refused(packed, said):
    with pytest.raises(ValueError, match=said):
        packed.scores()


def test_confirm_reaches_a_watch(tmp_path):
    run(tmp_path, is_confirming=False)
    watch = StudyPoller(tmp_path)
    assert watch.poll().result.confirmation is None
    confirmation = run(tmp_path).confirmation
    assert watch.poll().result.confirmation == confirmation
    assert watch.poll().result == load_result(tmp_path)


def test_confirm_invalid_trials_are_no_finalists_and_an_invalid_baseline_is_measured_again(tmp_path):
    def invalid(variant, number):
        return (STEAL,) if number in (0, 2) else ()

    result = run(tmp_path, fake(tmp_path, invalid=invalid))
    finalists = {finalist.trial for finalist in result.confirmation.finalists}
    assert finalists == {0, 1, 3}
    # Its rounds are valid: it is on the front of confirmed values, though the search could not believe it.
    assert 0 in {entry.trial.number for entry in front_view(result).entries}
