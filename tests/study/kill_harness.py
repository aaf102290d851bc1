"""Kills a study again and again and checks what must hold afterwards. Run as a script: it forks, so it starts alone.

    kill_harness.py random FOLDER ROUNDS SEED      signals at random moments
    kill_harness.py sweep  FOLDER                  death before and after each step of writing

Exits with 0 when every invariant holds after every death, else prints what does not.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import optuna
from fakes import FakeEvaluator, append_line, small_space, start
from optuna.storages import RDBStorage

from explorer.errors import ExplorerError
from explorer.objectives import Constraint
from explorer.records import Variant
from explorer.space.values import SearchSpace
from explorer.study import session, storage
from explorer.study.evidence import Evidence
from explorer.study.front import front_summary
from explorer.study.journal import Journal
from explorer.study.locate import NOW_NAME
from explorer.study.read import load_result
from explorer.study.result import StudyResult

DIED = 137
STEPS: tuple[tuple[Any, str, tuple[int, ...]], ...] = (
    (session, "write_text", (1,)),
    (storage, "_create_study", (1,)),
    (storage.StudyStorage, "create", (1,)),
    (storage.StudyStorage, "set_reference_point", (1,)),
    (os, "replace", (1, 2, 3, 4, 5, 7, 9)),
    (RDBStorage, "create_new_trial", (1, 3)),
    (FakeEvaluator, "evaluate", (1, 3)),
    (Evidence, "of", (1, 3)),
    (Journal, "write", (1, 3)),
    (RDBStorage, "set_trial_user_attr", (1, 3)),
    (RDBStorage, "set_trial_system_attr", (1, 6)),
    (RDBStorage, "set_trial_state_values", (1, 3)),
    (storage.StudyStorage, "finish", (1, 3)),
)
"""What writes, and at which of its calls the process dies."""

SWEEP_TRIALS = 4


def the_space(n_trials: int, sampler: str) -> SearchSpace:
    constraints = [Constraint("accuracy", ">=", 0.8, is_relative=True), Constraint("peak_memory_mib", "<=", 700.0)]
    levels = [i / 20 for i in range(10, 21)]
    return small_space("killed", n_trials, sampler, constraints=constraints, exit_threshold=levels)


def run(folder: Path, n_trials: int, sampler: str, delay_s: float) -> int:
    """Run the study as the program does; returns the exit code."""

    def pay(variant: Variant, number: int) -> None:
        append_line(folder / "paid.log", repr(variant))

    def write_outputs(result: StudyResult) -> None:
        return None

    evaluator = FakeEvaluator(folder, before=pay, delay_s=delay_s)
    try:
        start(the_space(n_trials, sampler), folder, evaluator)
    except ExplorerError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def in_child(work: Callable[[], int]) -> int:
    """Start `work` in a process of its own; returns its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = work()
    finally:
        sys.stderr.flush()
        os._exit(code)


def exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def uninterrupted(folder: Path, n_trials: int, sampler: str) -> list[Variant]:
    """The variants that a study that is left alone tries."""
    os.environ["EXPLORER_CACHE"] = f"{folder}-cache"
    folder.mkdir(parents=True)
    if (code := exit_code(in_child(lambda: run(folder, n_trials, sampler, 0.0)))) != 0:
        raise RuntimeError(f"the undisturbed run ended with {code}")
    return [trial.variant for trial in load_result(folder).trials]


def violated(folder: Path, n_trials: int, n_deaths: int, expected: list[Variant]) -> list[str]:
    """The invariants that do not hold for the finished study."""
    result = load_result(folder)
    entries = list(Journal(folder).entries())
    stored = optuna.load_study(study_name="killed", storage=f"sqlite:///{folder / 'study.db'}").trials
    final = [trial for trial in stored if "interrupted" not in trial.user_attrs]
    with closing(sqlite3.connect(folder / "study.db")) as connection:
        (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
    paid = Counter((folder / "paid.log").read_text().splitlines())
    claims = {
        "I1 the journal and the database agree": [entry.record for entry in entries] == list(result.trials),
        "I2 every trial has one final state": all(trial.state.is_finished() for trial in stored)
        and [trial.number for trial in stored] == list(range(len(stored))),
        "I3 complete trials have their artifact": all(
            (folder / "artifacts" / str(trial.outcome.artifact) / "artifact.json").is_file() for trial in result.trials
        ),
        "I4 the budget is used and no more": len(result.trials) == n_trials == len(final),
        "I5 the database is whole": integrity == "ok",
        "I6 the front is that of brute force": fronts_agree(result),
        "I7 nothing half-written is left": not list(folder.rglob(".*.tmp")) and not list(folder.glob(".study.db*")),
        "nothing is said to be going on": not (folder / NOW_NAME).exists(),
        "I8 at most one variant is paid for twice a death": paid.total() - len(paid) <= n_deaths,
        "no variant is tried twice": len({trial.variant for trial in result.trials}) == n_trials,
        "what was tried is what an undisturbed study tries": [trial.variant for trial in result.trials] == expected,
        "trial 0 is the baseline": result.baseline is not None and result.baseline.variant == Variant(),
        "the values in Optuna are the record's": all(
            trial.values == [record.values()[objective.metric] for objective in result.objectives]
            and sum(v > 0 for v in trial.constraints.values()) == len(record.broken())
            for trial, record in zip(final, result.trials, strict=True)
        ),
    }
    return [claim for claim, holds in claims.items() if not holds]


def fronts_agree(result: StudyResult) -> bool:
    signs = [-1.0 if objective.direction == "maximize" else 1.0 for objective in result.objectives]
    names = [objective.metric for objective in result.objectives]
    points = {
        trial.number: [sign * trial.values()[name] for sign, name in zip(signs, names, strict=True)]
        for trial in result.trials
        if not trial.broken()
    }

    def dominates(a: list[float], b: list[float]) -> bool:
        return a != b and all(x <= y for x, y in zip(a, b, strict=True))

    best = {n for n, point in points.items() if not any(dominates(other, point) for other in points.values())}
    return best == {entry.trial.number for entry in front_summary(result).entries}


def random_kills(folder: Path, n_rounds: int, seed: int) -> list[str]:
    generator = random.Random(seed)
    sampler = generator.choice(["tpe", "nsga2", "random", "qmc"])
    n_trials = min(3 * n_rounds, 400)
    expected = uninterrupted(folder.with_name(f"{folder.name}-undisturbed"), n_trials, sampler)
    os.environ["EXPLORER_CACHE"] = f"{folder}-cache"
    folder.mkdir()
    n_deaths = 0
    for _ in range(n_rounds):
        delay_s = generator.uniform(0.02, 0.05)
        child = in_child(lambda delay_s=delay_s: run(folder, n_trials, sampler, delay_s))
        time.sleep(generator.uniform(0, 0.6))
        number = generator.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        os.kill(child, number)
        code = exit_code(child)
        n_deaths += code != 0
        # A signal that comes before its handler is installed ends the process by itself: it is still the interpreter's.
        if code not in (0, -number, 130, 1 if number == signal.SIGINT else 0):
            return [f"exit code {code} after {number.name}"]
    if (code := exit_code(in_child(lambda: run(folder, n_trials, sampler, 0.0)))) != 0:
        return [f"the last run ended with {code}"]
    return [f"{sampler}: {claim}" for claim in violated(folder, n_trials, n_deaths, expected)]


def sweep(folder: Path) -> list[str]:
    faults = []
    expected = uninterrupted(folder / "undisturbed", SWEEP_TRIALS, "tpe")
    for owner, name, occurrences in STEPS:
        for is_before, occurrence in product((True, False), occurrences):
            what = f"{name}-{'before' if is_before else 'after'}-{occurrence}"
            study = folder / what
            study.mkdir()
            os.environ["EXPLORER_CACHE"] = f"{study}-cache"
            point = (owner, name, is_before, occurrence)
            if (code := exit_code(in_child(lambda study=study, point=point: dying_run(study, *point)))) != DIED:
                faults.append(f"{what}: exit code {code} instead of death")
            if (code := exit_code(in_child(lambda study=study: run(study, SWEEP_TRIALS, "tpe", 0.0)))) != 0:
                faults.append(f"{what}: the run afterwards ended with {code}")
            else:
                faults += [f"{what}: {claim}" for claim in violated(study, SWEEP_TRIALS, 1, expected)]
    return faults


def dying_run(study: Path, owner: Any, name: str, is_before: bool, occurrence: int) -> int:
    """Run the study and die at that occurrence of a step."""
    step = getattr(owner, name)
    function = step.__func__ if hasattr(step, "__func__") else step
    calls = 0

    def dying(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if is_before and calls == occurrence:
            os._exit(DIED)
        value = function(*args, **options)
        if calls == occurrence:
            os._exit(DIED)
        return value

    setattr(owner, name, classmethod(dying) if hasattr(step, "__func__") else dying)
    return run(study, SWEEP_TRIALS, "tpe", 0.0)


def main() -> int:
    mode, folder, *numbers = sys.argv[1:]
    faults = random_kills(Path(folder), *map(int, numbers)) if mode == "random" else sweep(Path(folder))
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
