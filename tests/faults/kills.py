"""Disturbs a study again and again and checks what must hold afterwards. Run as a script: it forks, so it starts alone.

    python kills.py rounds FOLDER ROUNDS SEED      signals at random moments, to any of the processes
    python kills.py sweep  FOLDER [N]              death before each step of writing, or before N of them

`explore start` runs in processes of their own, with a builder and probes as ever (see coordinator.py). Exits with 0
when every claim of history.py holds after every death.
"""

from __future__ import annotations

import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import processes

# isort: split
import steps
from disturbance import MAY_END_WITH, Disturbance
from history import Claim, History, last_words, tidy
from processes import Fault, Place, exit_code
from scripted_runtime import read_study

SAMPLERS = ("tpe", "nsga2", "random", "qmc")
SWEEP_TRIALS = 3
_FRESH_SHARE = 0.2
_EARLY_SHARE, _LONGEST_DELAY_S = 0.25, 1.5
_MOST_EVENTS = 12

Say = Callable[[str], None]


def rounds(root: Path, n_rounds: int, seed: int, say: Say) -> int:
    """Disturb one study `n_rounds` times, then let it end; returns how many rounds it survived. Raises Fault.

    No kind of disturbance comes again before each other has come.
    """
    generator = random.Random(seed)
    place = Place(root)
    place.make()
    history, port, n_deaths = History(place.study, place.acknowledged), processes.free_port(), 0
    options = ("--sampler", generator.choice(SAMPLERS), "--seed", seed % 1000, "--port", port)
    for number, kind in enumerate(_kinds(n_rounds, generator), 1):
        n_trials = history.n_stored + generator.randint(2, 12)
        child = processes.start(place, *options, "--trials", n_trials, is_fresh=generator.random() < _FRESH_SHARE)
        _await_moment(place, child, generator)
        getattr(Disturbance(child, generator), kind)()
        code = exit_code(child)
        n_deaths += code != 0
        try:
            processes.require_nobody()
            processes.require_free(port)
            require(_after(place, history, kind, code, n_trials, n_deaths))
        except Fault as fault:
            raise Fault(f"round {number} of {n_rounds}, seed {seed}, {kind}, exit code {code}: {fault}") from fault
        say(f"round {number}: {kind}, exit code {code}, {history.n_stored} trials")
    n_trials = history.n_stored + 2
    _require_end(place, history, exit_code(processes.start(place, *options, "--trials", n_trials)), n_trials, n_deaths)
    processes.require_free(port)
    return n_rounds


def _kinds(n: int, generator: random.Random) -> list[str]:
    """`n` kinds of disturbance, each as often as any other, or once more."""
    kinds: list[str] = []
    while len(kinds) < n:
        kinds += generator.sample(list(MAY_END_WITH), len(MAY_END_WITH))
    return kinds[:n]


def _await_moment(place: Place, child: int, generator: random.Random) -> None:
    """Wait a while from the start, which may take longer than that, or until a few trials more began or ended."""
    if generator.random() < _EARLY_SHARE:
        time.sleep(generator.uniform(0.0, _LONGEST_DELAY_S))
        return
    n_events = _n_events(place) + generator.randint(1, _MOST_EVENTS)
    while not processes.has_ended(child) and _n_events(place) < n_events:
        time.sleep(0.005)
    time.sleep(generator.uniform(0.0, 0.1))


def _n_events(place: Place) -> int:
    return place.acknowledged.read_bytes().count(b"\n") if place.acknowledged.is_file() else 0


def sweep(root: Path, n_steps: int | None, say: Say) -> int:
    """Die before each step of writing, or before `n_steps` of them that are spread over all; returns how many.

    Raises Fault.
    """
    whole = Place(root / "undisturbed")
    whole.make()
    options = ("--trials", SWEEP_TRIALS, "--no-dashboard")
    if (code := exit_code(processes.start(whole, *options, **_watched(whole)))) != 0:
        raise Fault(f"the undisturbed study ended with {code}: {whole.stderr}")
    found, expected = steps.named(whole.steps.read_text()), _tried(whole)
    chosen = found if n_steps is None else spread(found, n_steps)
    for number, step in enumerate(chosen, 1):
        place = Place(root / "dying")
        place.make()
        history = History(place.study, place.acknowledged)
        try:
            code = exit_code(processes.start(place, *options, **_watched(place), **{steps.DIE_AT: step}))
            require([(f"it dies, and does not end with {code}", code == -signal.SIGKILL)])
            processes.require_nobody()
            require(_after(place, history, "sigkill_coordinator", code, SWEEP_TRIALS, 1))
            _require_end(place, history, exit_code(processes.start(place, *options)), SWEEP_TRIALS, 1)
            is_same = _tried(place) == expected
            require([("what was tried and measured is what an undisturbed study tries and measures", is_same)])
        except Fault as fault:
            raise Fault(f"death before step {found.index(step) + 1} of {len(found)} ({step}): {fault}") from fault
        shutil.rmtree(place.root)
        say(f"{number} of {len(chosen)}, of all {len(found)} steps: {step}")
    return len(chosen)


def spread(found: list[str], n: int) -> list[str]:
    """At most `n` steps over the whole of a study, no two of one kind: of each kind the middle one, a commit always."""
    kinds: dict[str, list[str]] = {}
    for step in found:
        kinds.setdefault(step.rpartition(" ")[0], []).append(step)
    commits = kinds.pop("coordinator: commit killed/study.db")
    middle = sorted((of_kind[len(of_kind) // 2] for of_kind in kinds.values()), key=found.index)
    n = min(n - 1, len(middle))
    return [commits[len(commits) // 2], *(middle[index * len(middle) // n] for index in range(n))]


def require(claims: Iterable[Claim]) -> None:
    """Raises Fault with every claim that does not hold."""
    if broken := [claim for claim, holds in claims if not holds]:
        raise Fault("; ".join(broken))


def _after(place: Place, history: History, kind: str, code: int, n_trials: int, n_deaths: int) -> Iterator[Claim]:
    """What must hold after a start that was disturbed so and ended with `code`."""
    history.take()
    codes = [0, *map(int, MAY_END_WITH[kind])]
    yield f"I9 {kind} ends with one of {codes}, not with {code}: {place.stderr}", code in codes
    yield "only a baseline that fails ends a study with exit code 5", code != 5 or not history.has_baseline
    yield from last_words(code, place.stderr)
    yield from history.claims(n_deaths)
    # A second Ctrl-C does not wait for anything to be tidied; who said nothing had not begun.
    if code >= 0 and kind != "sigint_twice" and place.stderr:
        yield from tidy(place.study)
    if code == 0:
        yield from history.over(n_trials)


def _require_end(place: Place, history: History, code: int, n_trials: int, n_deaths: int) -> None:
    """Raises Fault unless a start that nobody disturbed reached its end."""
    processes.require_nobody()
    require([(f"a study that nobody disturbs ends with 0, not with {code}: {place.stderr}", code == 0)])
    require(_after(place, history, "sigint", code, n_trials, n_deaths))


def _tried(place: Place) -> list[tuple[object, object]]:
    return [(trial.variant, trial.values()) for trial in read_study(place.study).trials]


def _watched(place: Place) -> dict[str, str]:
    return {steps.LOG: str(place.steps), steps.ROOTS: f"{place.study}:{place.cache}"}


def main() -> int:
    mode, folder, *numbers = sys.argv[1:]
    processes.prepare_process()
    root = Path(folder).resolve()
    try:
        if mode == "rounds":
            rounds(root, int(numbers[0]), int(numbers[1]), print)
        else:
            sweep(root, int(numbers[0]) if numbers else None, print)
    except Fault as fault:
        print(fault)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
