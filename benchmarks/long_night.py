"""A long night: a study of 10,000 trials whose building and measuring costs nothing, beside plain Optuna.

    python benchmarks/long_night.py [--trials 10000] [--samplers random tpe] [--sides explorer sqlite journal]
                                    [--minutes 60] [--folder DIR]

What is left is the coordinator's own work: propose, begin, judge, journal, store, tell views and dashboard, write the
outputs. A trial's cost is the time from one answer of the scripted evaluator to its next question, a median over 100
trials; its processor time stands beside, since a busy disk or neighbor counts in the first. The space is that of
large_study.py (381,780 variants), and so are the outcomes: 15 metrics, infeasible and failed trials.

The other sides are Optuna alone on its SQLite storage and on its journal file: the same distributions, sampler,
attributes and constraints, `ask` and `tell`. What TPE itself takes is told apart on every side. Each run is a process
of its own and stops after --minutes; `tpe` is the sampler of search_spaces/cnn.yaml too. A line is printed every 500
trials and a table after each run. The files are left in --folder, if it is given, which must be new or empty.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import psutil
from numpy.typing import NDArray

from explorer.commands.dashboard import BothViews
from explorer.commands.options import FrontOptions
from explorer.commands.read import front
from explorer.records import Measurement, Progress, TrialOutcome, Variant
from explorer.space.values import SearchSettings, SearchSpace
from explorer.study.evaluation import CanReachFront, OnProgress, Prepared
from explorer.study.loop import StudyTools, run_study
from explorer.study.read import load_result
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.search.grid import Grid
from explorer.study.store.facts import RECORD_KEY, checksummed
from explorer.study.store.journal import Entry
from explorer.study.verdict import judge
from explorer.study.vocabulary import vocabulary
from explorer.system.signals import Interrupt
from explorer.views.outputs import write_outputs
from explorer.views.server.feed import Feed
from explorer.views.server.thread import Server
from explorer.views.terminal.plain import PlainView

LARGE_STUDY = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("large_study.py"))))
SIDES = ("explorer", "sqlite", "journal")
WINDOW = 100
N_BETWEEN_LINES = 500
MIB = 2**20
FAILED_SHARE = 0.03
MOST_GROWTH, MOST_COST, MOST_SECONDS = 1.2, 1.2, 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """What one side took, early (around trial 100) and late (the last 100 trials); times in ms, memory in MiB.

    `own` is what of `cost` was not spent in Optuna's TPE, `own_cpu` the processor time of that. The pairs in s are
    elapsed and processor time: `open` is reading the finished study in a process that has imported everything, `front`
    reading it, making its front and printing that. `command_s` is the whole process of `explore front`.
    """

    side: str
    sampler: str
    n_trials: int
    minutes: float
    cost_ms: tuple[float, float]
    own_ms: tuple[float, float]
    own_cpu_ms: tuple[float, float]
    memory_mib: tuple[float, float]
    outputs_s: float = 0.0
    open_s: tuple[float, float] = (0.0, 0.0)
    front_s: tuple[float, float] = (0.0, 0.0)
    command_s: float | None = None


class Meter:
    """Takes what passes between the evaluator's answers and the next questions."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._process = psutil.Process()
        self._since: NDArray[np.float64] | None = None
        self._in_sampler = np.zeros(2)
        self._began = time.perf_counter()
        self.outputs_s = 0.0
        # In arrays, so that what is measured is not the meter.
        self._costs = array("d")  # of a trial, in ms: elapsed; its own, elapsed and processor
        self.memory_mib = array("d")

    @property
    def costs(self) -> NDArray[np.float64]:
        """Of each trial [n, 3], in ms: elapsed; its own, elapsed and processor."""
        return np.array(self._costs).reshape(-1, 3)

    @contextmanager
    def away(self) -> Iterator[None]:
        """What happens within is not the coordinator's work."""
        if self._since is not None:
            cost = now_s() - self._since
            own = cost - self._in_sampler
            self._costs.extend((1000 * cost[0], 1000 * own[0], 1000 * own[1]))
        self._in_sampler = np.zeros(2)
        self.memory_mib.append(self._process.memory_info().rss / MIB)
        if len(self._costs) and len(self._costs) // 3 % N_BETWEEN_LINES == 0:
            self._say()
        yield
        self._since = now_s()

    def sampling(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, whose time is noted as the sampler's."""

        def timed(*arguments: Any, **options: Any) -> Any:
            began = now_s()
            try:
                return function(*arguments, **options)
            finally:
                self._in_sampler += now_s() - began

        return timed

    def run(self, side: str, sampler: str) -> Run:
        """What was measured."""
        n = min(WINDOW, len(self.costs) // 3)
        early, late = self.costs[n // 2 : n // 2 + n], self.costs[-n:]
        cost, own, own_cpu = ((median(one[k] for one in early), median(one[k] for one in late)) for k in range(3))
        memory = self.memory_mib[n], self.memory_mib[-1]
        minutes = (time.perf_counter() - self._began) / 60
        return Run(side, sampler, len(self.memory_mib), minutes, cost, own, own_cpu, memory, self.outputs_s)

    def _say(self) -> None:
        last = self.costs[-WINDOW:]
        cost, own, own_cpu = (median(one[k] for one in last) for k in range(3))
        print(
            f"{self._label}: {len(self.costs):6,} trials, {cost:7.1f} ms a trial (without TPE {own:.1f}, processor "
            f"{own_cpu:.1f}), {self.memory_mib[-1]:.0f} MiB, {(time.perf_counter() - self._began) / 60:.1f} min",
            file=sys.stderr,
            flush=True,
        )


class Scripted:
    """An evaluator that answers at once, with outcomes that follow from the trial's number and variant."""

    def __init__(self, space: SearchSpace, meter: Meter) -> None:
        self._space = space
        self._meter = meter

    def prepare(self, on_progress: OnProgress) -> Prepared:
        return Prepared({"data": "made up"}, {"processor": {"name": "made up"}, "task": LARGE_STUDY.TASK})

    def evaluate(
        self, variant: Variant, number: int, on_progress: OnProgress, can_reach_front: CanReachFront
    ) -> TrialOutcome:
        with self._meter.away():
            outcome = self.outcome(variant, number)
        on_progress(Progress("measure", 1, 1))
        can_reach_front(outcome.metrics)
        return outcome

    def outcome(self, variant: Variant, number: int) -> TrialOutcome:
        generator = np.random.default_rng(number)
        noise = generator.normal(size=6).tolist()
        is_failed = number > 0 and generator.random() < FAILED_SHARE
        outcome: TrialOutcome = LARGE_STUDY.made_up_outcome(number, variant, noise, self._space, is_failed)
        return outcome

    def remeasure(
        self, variant: Variant, artifact: str, name: str, on_progress: OnProgress, can_reach_front: CanReachFront
    ) -> TrialOutcome:
        raise NotImplementedError("nothing is confirmed here")

    def accuracy_on_test_split(self, variant: Variant, artifact: str, on_progress: OnProgress) -> Measurement:
        raise NotImplementedError("nothing is confirmed here")

    def close(self) -> None:
        """Nothing to end."""


def the_space(sampler: str, n_trials: int, minutes: float) -> SearchSpace:
    space: SearchSpace = LARGE_STUDY.large_space(n_trials, 0)
    return replace(space, search=SearchSettings(sampler, n_trials, 60 * minutes, 0))


def run_explorer(space: SearchSpace, folder: Path, meter: Meter) -> None:
    """A study as `explore start` runs it, with its dashboard served to nobody."""

    def outputs(result: StudyResult) -> None:
        began = time.perf_counter()
        write_outputs(result)
        meter.outputs_s = time.perf_counter() - began

    feed = Feed(StudyResult(space.name, folder, space, (), {}))
    server = Server(feed, on_fault=lambda sentence: print(sentence, file=sys.stderr))
    try:
        with open(os.devnull, "w", encoding="utf-8") as nowhere, Interrupt() as interrupt:
            view = BothViews(PlainView(space, nowhere), feed)
            scripted = Scripted(space, meter)
            tools = StudyTools(vocabulary(), scripted, view, interrupt, outputs)
            run_study(space, folder, tools, is_confirming=False)
    finally:
        server.stop()


def plain_storage(side: str, folder: Path) -> optuna.storages.BaseStorage:
    if side == "sqlite":
        return optuna.storages.RDBStorage(f"sqlite:///{folder / 'study.db'}")
    backend = optuna.storages.journal.JournalFileBackend(str(folder / "journal.log"))
    return optuna.storages.JournalStorage(backend)


def run_plain(space: SearchSpace, side: str, folder: Path, meter: Meter) -> None:
    """The same trials by Optuna's own ask and tell."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    search = space.search
    grid, scripted = Grid(space, vocabulary()), Scripted(space, meter)
    sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=search.seed)
    if search.sampler == "tpe":
        sampler = optuna.samplers.TPESampler(seed=search.seed, constant_liar=False)
    directions = [objective.direction for objective in space.objectives]
    study = optuna.create_study(
        study_name=space.name, storage=plain_storage(side, folder), sampler=sampler, directions=directions
    )
    baseline: dict[str, float] | None = None
    began = time.monotonic()
    while len(meter.memory_mib) < search.n_trials and time.monotonic() - began < (search.timeout_s or 0):
        trial, started = study.ask(grid.distributions), time.time()
        variant = grid.variant(grid.index_of_params(trial.params))
        trial.set_user_attr("variant", variant.to_json())
        trial.set_user_attr("started", started)
        with meter.away():
            given = scripted.outcome(variant, trial.number)
        state, outcome, violations = judge(given, space, baseline)
        baseline = outcome.values() if baseline is None else baseline
        record = TrialRecord(trial.number, state, outcome, violations, started, time.time())
        trial.set_user_attr(RECORD_KEY, checksummed(Entry(record, {}, "made up")))
        for text, amount in violations.items():
            trial.set_constraint(text, amount)
        if state == "failed":
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, [record.values()[objective.metric] for objective in space.objectives])


def now_s() -> NDArray[np.float64]:
    """Elapsed time and this process's processor time [2], in s; differences count."""
    return np.array([time.perf_counter(), time.process_time()])


def opened(side: str, folder: Path) -> tuple[list[float], list[float]]:
    """Seconds, elapsed and of the processor, to read the study; and to read it, make its front and print that."""
    importlib.import_module("sqlalchemy.orm")  # importing it is not reading
    began = now_s()
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        if side == "explorer":
            load_result(folder)
            read = now_s()
            front(FrontOptions(str(folder)))
            return (read - began).tolist(), (now_s() - read).tolist()
        study = optuna.load_study(study_name="large", storage=plain_storage(side, folder))
        study.get_trials(deepcopy=False)
        read = now_s()
        print(study.best_trials)
        return (read - began).tolist(), (now_s() - began).tolist()


def child(mode: str, side: str, sampler: str, n_trials: int, minutes: float, folder: Path) -> None:
    """One run or one reading, in this process; prints what was measured."""
    if mode == "open":
        print(json.dumps(opened(side, folder)))
        return
    meter = Meter(f"{side} {sampler}")
    tpe = optuna.samplers.TPESampler
    for name in ("sample_independent", "sample_relative"):
        setattr(tpe, name, meter.sampling(getattr(tpe, name)))
    space = the_space(sampler, n_trials, minutes)
    if side == "explorer":
        run_explorer(space, folder, meter)
    else:
        run_plain(space, side, folder, meter)
    print(json.dumps(asdict(meter.run(side, sampler))))


def one_run(side: str, sampler: str, n_trials: int, minutes: float, root: Path) -> Run:
    """Run a side and read what it has written, each in a process of its own."""
    folder = root / f"{side}-{sampler}"
    folder.mkdir(parents=True)
    environment = {**os.environ, "EXPLORER_CACHE": str(root / "cache")}

    def answer(mode: str) -> Any:
        command = [sys.executable, __file__, "child", mode, side, sampler, str(n_trials), str(minutes), str(folder)]
        ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(ended.stdout)

    measured = Run(**answer("run"))
    open_s, front_s = answer("open")
    command_s = None
    if side == "explorer":
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "explorer", "front", str(folder)], env=environment, capture_output=True, check=True
        )
        command_s = time.perf_counter() - began
    return replace(measured, open_s=open_s, front_s=front_s, command_s=command_s)


def print_table(runs: Sequence[Run]) -> None:
    """What is known so far: early -> late, and in s elapsed (processor)."""
    head = (
        "side",
        "sampler",
        "trials",
        "min",
        "ms a trial",
        "without TPE",
        "its processor time",
        "MiB",
        "open s",
        "front s",
    )
    rows = [head]
    for one in runs:
        pairs = (one.cost_ms, one.own_ms, one.own_cpu_ms)
        costs = [f"{early:.1f} -> {late:.1f} ({late / early:.2f}x)" for early, late in pairs]
        early, late = one.memory_mib
        memory = f"{early:.0f} -> {late:.0f} (+{100 * (late / early - 1):.0f} %)"
        seconds = [f"{elapsed:.2f} ({busy:.2f})" for elapsed, busy in (one.open_s, one.front_s)]
        rows.append((one.side, one.sampler, f"{one.n_trials:,}", f"{one.minutes:.1f}", *costs, memory, *seconds))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print()
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def print_promises(run: Run) -> None:
    """Whether a long night costs what it may."""
    ratios = [late / early for early, late in (run.memory_mib, run.own_ms, run.own_cpu_ms)]
    claims = {
        f"memory grows by less than {100 * (MOST_GROWTH - 1):.0f} %": ratios[0] < MOST_GROWTH,
        f"a late trial, without TPE, takes at most {MOST_COST:g} x the time of an early one": ratios[1] <= MOST_COST,
        f"and at most {MOST_COST:g} x its processor time, which a busy disk leaves alone": ratios[2] <= MOST_COST,
        f"the finished study opens in {MOST_SECONDS:g} s": run.open_s[0] <= MOST_SECONDS,
        f"`explore front` works for at most {MOST_SECONDS:g} s": run.front_s[0] <= MOST_SECONDS,
    }
    print()
    for claim, holds in claims.items():
        print(f"{'reached' if holds else 'MISSED '}  {claim}")
    print(f"the whole process of `explore front`: {run.command_s:.2f} s; writing the outputs: {run.outputs_s:.1f} s")


def main() -> None:
    if sys.argv[1:2] == ["child"]:
        mode, side, sampler, n_trials, minutes, folder = sys.argv[2:]
        child(mode, side, sampler, int(n_trials), float(minutes), Path(folder))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--samplers", nargs="+", choices=("random", "tpe"), default=["random", "tpe"])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--minutes", type=float, default=60.0, help="the most that one run may take")
    parser.add_argument("--folder", type=Path, help="where the studies are left")
    arguments = parser.parse_args()
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.folder or Path(scratch)
        for sampler in arguments.samplers:
            for side in arguments.sides:
                runs.append(one_run(side, sampler, arguments.trials, arguments.minutes, root))
                print_table(runs)
                if side == "explorer":
                    print_promises(runs[-1])


if __name__ == "__main__":
    main()
