"""Whether the numbers can be believed: repeatability, coverage, planted faults, the front's truth, and what it costs.

    python benchmarks/trust.py coverage
    python benchmarks/trust.py repeatability STUDY [--load] [--times 4]
    python benchmarks/trust.py faults STUDY [--quiet 200]
    python benchmarks/trust.py truth STUDY [--factor 10]
    python benchmarks/trust.py cost STUDY BEFORE

STUDY is the folder of a finished study with its artifacts; EXPLORER_DATA says where its data are. Repeatability,
coverage and the hog are compared with what people write: a loop of 100 `perf_counter` timings, and
`torch.utils.benchmark`, each in a fresh process and for the same time as the probe takes for its queries. Of the other
faults, and of who is on the front, neither says anything. What is invalid is measured again, as a study does; in
`faults` it is counted.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from statistics import NormalDist

import numpy as np
import psutil
from numpy.typing import NDArray
from scipy.stats import kendalltau

from explorer import intervals
from explorer.data.preparing import prepare
from explorer.data.splits import split
from explorer.measure.metrics import Prices
from explorer.measure.noise import measured_noise
from explorer.measure.probing import ProbeSettings, probe
from explorer.measure.results import Measured
from explorer.metrics import Direction
from explorer.pareto.front import front_mask
from explorer.records import Progress, Variant
from explorer.runtimes.artifact import Artifact
from explorer.study.confirm.confirmation import Repeat
from explorer.study.confirm.confirmed_values import confirmed
from explorer.study.evaluation import MAX_ATTEMPTS
from explorer.study.feasibility import directions_of, objective_points
from explorer.study.front import front_view
from explorer.study.read import load_result
from explorer.study.result import StudyResult, TrialRecord
from explorer.system import cores
from explorer.system.worker_process import WorkerFailed
from explorer.tasks.classification import Classification
from explorer.tasks.task import Examples

_ALTERNATIVE = """
import json, os, sys, time
import numpy as np
artifact, images, batch, threads, cores, seconds = json.loads(sys.argv[1])
os.sched_setaffinity(0, cores)
from pathlib import Path
from explorer.runtimes.artifact import Artifact
executor = Artifact.read(Path(artifact)).load(threads)
data = np.load(images, mmap_mode="r")[:2048]
queries = [np.ascontiguousarray(data[i:i + batch]) for i in range(0, len(data) - batch + 1, batch)]
for query in queries[:10]:
    executor.classify(query)
def loop(enough):
    times = []
    while not enough(times):
        query = queries[len(times) % len(queries)]
        before = time.perf_counter()
        executor.classify(query)
        times.append(time.perf_counter() - before)
    return 1e3 * float(np.mean(times)), 1e3 * float(np.median(times))
mean, median = loop(lambda times: len(times) >= 100)
_, long = loop(lambda times: len(times) >= 100 and sum(times) >= seconds)
from torch.utils.benchmark import Timer
turn = iter(range(10**9))
timed = Timer("executor.classify(queries[next(turn) % n])",
              globals={"executor": executor, "queries": queries, "turn": turn, "n": len(queries)}, num_threads=threads)
print(json.dumps([mean, median, long, 1e3 * timed.blocked_autorange(min_run_time=seconds).median]))
"""


ALTERNATIVES = ("loop, mean of 100", "loop, median of 100", "loop, equal time", "torch.utils.benchmark")


@dataclass(frozen=True, slots=True)
class Subject:
    """Something to measure: a trial's artifact, as a variant of it."""

    artifact: Artifact
    variant: Variant


@dataclass(frozen=True, slots=True)
class Bench:
    """A study's artifacts and its validation examples."""

    result: StudyResult
    validation: Examples
    prices: Prices
    place: Path

    @classmethod
    def of(cls, study: Path, place: Path) -> Bench:
        result = load_result(study)
        dataset = prepare(result.space.data, None, lambda _: None)
        splits = split(dataset, result.space.data, Classification())
        validation = splits.examples
        device = result.space.device
        prices = Prices(device.hardware_usd_per_hour, device.memory_usd_per_gib_hour, device.other_usd_per_million)
        (place / "results").mkdir()
        return cls(result, validation, prices, place)

    def subject(self, trial: int, **changes: int) -> Subject:
        """That trial's, with another batch size, say."""
        record = next(one for one in self.result.trials if one.number == trial)
        return Subject(self._artifact(str(record.outcome.artifact)), record.variant.replaced(**changes))

    def _artifact(self, name: str) -> Artifact:
        return Artifact.read(self.result.folder / "artifacts" / name)

    def believed(self, subject: Subject) -> Measured:
        """The first valid measurement of a few, or the last one."""
        for _ in range(MAX_ATTEMPTS):
            made = self.measure(subject)
            if not made.invalid:
                break
        return made

    def measure(self, subject: Subject, on_progress: Callable[[Progress], None] = lambda _: None) -> Measured:
        """One measurement in a fresh process, with the whole budget."""
        logits = self.place / "logits"
        settings = ProbeSettings(self.validation, self.prices, logits, on_progress=on_progress)
        return probe(subject.artifact, subject.variant, settings, "bench", self.place / "results")[0]

    def alternatives(self, subject: Subject, seconds: float) -> list[float]:
        """Milliseconds: the plain loop's mean and median of 100, its median and torch's at equal time."""
        variant = subject.variant
        chosen = cores.measuring(cores.available(), variant["threads"])
        request = [str(subject.artifact.folder), str(self.validation.inputs), variant["batch_size"], variant["threads"]]
        command = [sys.executable, "-c", _ALTERNATIVE, json.dumps([*request, chosen, seconds])]
        environment = {**os.environ, "OMP_NUM_THREADS": str(variant["threads"]), "ORT_DISABLE_TELEMETRY": "1"}
        made = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return [float(value) for value in json.loads(made.stdout)]


def subjects(bench: Bench, count: int = 12) -> list[Subject]:
    """Variants spread over the study's range of latencies in equal ratios, the slow end by batches of the baseline."""
    valid = [trial for trial in bench.result.trials if trial.is_feasible or trial.state == "infeasible"]
    by_latency = sorted(valid, key=lambda trial: trial.values()["latency_ms"])
    wanted = np.geomspace(0.1, by_latency[-1].values()["latency_ms"], count - 2)
    chosen: list[int] = []
    for ms in wanted:
        left = [trial for trial in by_latency if trial.number not in chosen]
        chosen.append(min(left, key=lambda trial: abs(np.log(trial.values()["latency_ms"] / ms))).number)
    return [bench.subject(number) for number in chosen] + [bench.subject(0, batch_size=size) for size in (2, 4)]


def repeatability(study: Path, is_loaded: bool, times: int) -> None:
    """Each variant so many times, each time in a fresh process and in another order; any two of them are compared."""
    with tempfile.TemporaryDirectory() as place, _busy_neighbor(is_loaded):
        bench = Bench.of(study, Path(place))
        chosen = subjects(bench)
        methods = ("explore", "explore, experienced", *ALTERNATIVES)
        print(measured_noise().sentence, flush=True)
        found = np.zeros((times, len(methods), len(chosen)))
        for turn in range(times):
            for index in np.random.default_rng(turn).permutation(len(chosen)):
                made = bench.believed(chosen[index])
                seconds = made.observation.timing.seconds
                latencies = [made.metrics[name].value for name in ("latency_ms", "latency_experienced_ms")]
                found[turn, :, index] = [*latencies, *bench.alternatives(chosen[index], seconds)]
                print(f"{turn} {chosen[index].variant} {np.round(found[turn, :, index], 4)} {made.invalid}", flush=True)
    pairs = list(combinations(range(times), 2))
    differences = np.array([np.abs(found[a] - found[b]) / (found[a] + found[b]) * 2 for a, b in pairs])
    print(
        f"\n{'busy process on the other core' if is_loaded else 'idle'}; {len(chosen)} variants, "
        f"{found.min():.3f} to {found[:, 0].max():.1f} ms, each {times} times: {differences[:, 0].size} pairs"
    )
    print(f"{'':24} median |difference|  largest  Kendall's tau (the least of two rankings)")
    for index, name in enumerate(methods):
        tau = min(kendalltau(found[a, index], found[b, index]).statistic for a, b in pairs)
        print(f"{name:24} {np.median(differences[:, index]):18.2%} {differences[:, index].max():9.2%} {tau:14.3f}")


@contextmanager
def _busy_neighbor(is_wanted: bool) -> Iterator[None]:
    """A process that multiplies matrices on the first core, which no probe with one thread uses."""
    if not is_wanted:
        yield
        return
    process = multiprocessing.get_context("spawn").Process(target=_multiply, args=(cores.available()[0],), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()


def _multiply(core: int) -> None:
    for thread in Path("/proc/self/task").iterdir():  # those of NumPy's library are there already
        os.sched_setaffinity(int(thread.name), [core])
    matrix = np.random.default_rng(0).random((1000, 1000), dtype=np.float32)
    while True:
        matrix @ matrix


def coverage(repeats: int = 1000) -> None:
    """Intervals of a scripted device with a known distribution: two modes, a heavy tail, and a memory.

    Of 200, the shares of one sound row in thirty would leave 92 to 98 % by chance; of 1000, one in fifty thousand.
    Beside them what the others state of the median: the loop, the mean of its first 100 times and 1.96 standard errors;
    torch, the quartiles of all times.
    """
    true = {percent: float(_two_modes(np.array([NormalDist().inv_cdf(percent / 100)]))[0]) for percent in (50, 90)}
    print(f"{repeats} intervals each: share that contains the truth (asked: 92 to 98 %), and their median width")
    for memory in (0.0, 0.5, 0.8):
        for n in (400, 1000, 3000):
            rng = np.random.default_rng(0)
            stated: dict[str, list[tuple[float, float, float]]] = {}
            for _ in range(repeats):
                samples = _two_modes(_scores(rng, n, memory))
                for percent, truth in true.items():
                    made = intervals.percentile(samples, percent)
                    ends = (made.low or 0.0, float("inf") if made.high is None else made.high)
                    stated.setdefault(f"p{percent}", []).append((*ends, truth))
                first = samples[:100]
                error = 1.96 * float(first.std(ddof=1)) / np.sqrt(len(first))
                mean = float(first.mean())
                stated.setdefault("loop of 100", []).append((mean - error, mean + error, true[50]))
                low, high = np.percentile(samples, (25, 75)).tolist()
                stated.setdefault("torch's quartiles", []).append((low, high, true[50]))
            words = []
            for name, found in stated.items():
                share = np.mean([low <= truth <= high for low, high, truth in found])
                words.append(
                    f"{name} {share:.1%} ({np.median([(high - low) / at for low, high, at in found]):.1%} wide)"
                )
            print(f"  memory {memory:.1f}, {n:5} queries: {', '.join(words)}", flush=True)


def _scores(rng: np.random.Generator, n: int, memory: float) -> NDArray[np.float64]:
    noise = rng.standard_normal(n) * np.sqrt(1 - memory**2)
    scores = np.empty(n)
    scores[0] = rng.standard_normal()
    for index in range(1, n):
        scores[index] = memory * scores[index - 1] + noise[index]
    return scores


def _two_modes(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Milliseconds: 65 % around 1.0, 30 % around 1.8, and a Pareto tail of 5 % from 2.0 on; rising with the score."""
    rank = np.array([NormalDist().cdf(score) for score in scores])
    within = np.where(rank < 0.65, rank / 0.65, np.where(rank < 0.95, (rank - 0.65) / 0.3, (rank - 0.95) / 0.05))
    normal = np.array([NormalDist().inv_cdf(min(1 - 1e-9, max(1e-9, share))) for share in within])
    tail = 2.0 * (1 - np.minimum(within, 1 - 1e-9)) ** (-1 / 1.5)
    return np.where(rank < 0.65, 1 + 0.03 * normal, np.where(rank < 0.95, 1.8 + 0.05 * normal, tail))


_PLANTED: Mapping[str, str] = {
    "wrong thread count": """
import onnxruntime
class Options(onnxruntime.SessionOptions):
    def __setattr__(self, name, value):
        super().__setattr__(name, 2 if name == "intra_op_num_threads" else value)
onnxruntime.SessionOptions = Options
""",
    "provider that falls back": """
import onnxruntime
onnxruntime.InferenceSession.get_providers = lambda self: ["XnnpackExecutionProvider"]
""",
    "outputs that change": """
import time, onnxruntime
run, began = onnxruntime.InferenceSession.run, []
def changed(self, *arguments):  # warm-up is over after 0.5 s, and times are taken for a second and more
    made, now = run(self, *arguments), time.monotonic()
    began.append(now) if not began else None
    return [part + 1.0 if 0.8 < now - began[0] < 1.0 else part for part in made]
onnxruntime.InferenceSession.run = changed
""",
}


def faults(study: Path, n_quiet: int) -> None:
    """Plant each fault ten times, and look for false alarms where there is none."""
    with tempfile.TemporaryDirectory() as place:
        bench = Bench.of(study, Path(place))
        fast = next(
            trial.number
            for trial in bench.result.trials
            if trial.variant["runtime"] == "onnxruntime"
            and trial.variant["exit_threshold"] == 1.0
            and trial.is_feasible
        )
        subject = bench.subject(fast)
        for name, code in _PLANTED.items():
            with _site(bench.place / "site", code):
                _say(name, [_verdict(bench, subject) for _ in range(10)])
        _say("stopped for 300 ms", [_verdict(bench, subject, _stop_for_a_while) for _ in range(10)])
        seconds = bench.believed(subject).observation.timing.seconds
        quiet = bench.alternatives(subject, seconds)
        with _hog(cores.measuring(cores.available(), 1)[0]):
            _say("a hog on the pinned core", [_verdict(bench, subject) for _ in range(10)])
            hogged = bench.alternatives(subject, seconds)
        for name, before, beside in zip(ALTERNATIVES, quiet, hogged, strict=True):
            print(f"  {name} states {beside:.3f} ms beside it, {before:.3f} ms without, and says nothing", flush=True)
        alarms: list[str] = []
        for n_done in range(1, n_quiet + 1):
            alarms += filter(None, [_verdict(bench, subject)])
            if n_done % 20 == 0:
                print(f"quiet: {len(alarms)} false alarms of the first {n_done}", file=sys.stderr, flush=True)
        print(f"quiet: {len(alarms)} false alarms of {n_quiet} (asked: at most 2 %)", *sorted(set(alarms)), sep="\n  ")


def _say(name: str, verdicts: list[str]) -> None:
    flagged = sum(bool(verdict) for verdict in verdicts)
    reasons = sorted({verdict for verdict in verdicts if verdict})[:3]
    print(f"{name}: {flagged} of {len(verdicts)} flagged", *reasons, sep="\n  ", flush=True)


def _verdict(bench: Bench, subject: Subject, meanwhile: Callable[[], None] | None = None) -> str:
    """Why one measurement is not believed; empty when it is."""

    def begin(progress: Progress) -> None:
        if meanwhile is not None:
            threading.Thread(target=meanwhile, daemon=True).start()

    try:
        return "; ".join(bench.measure(subject, begin).invalid)
    except WorkerFailed as failed:
        return f"failed: {failed.reason}"


def _stop_for_a_while() -> None:
    """Stop the probe for 300 ms while it takes times: about a second after its start."""
    time.sleep(1.0)
    for child in psutil.Process().children(recursive=True):
        if "explorer.measure.probe" in " ".join(child.cmdline()):
            child.send_signal(signal.SIGSTOP)
            time.sleep(0.3)
            child.send_signal(signal.SIGCONT)


@contextmanager
def _hog(core: int) -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=_multiply, args=(core,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()


@contextmanager
def _site(folder: Path, code: str) -> Iterator[None]:
    """Every probe that starts meanwhile runs `code` first."""
    folder.mkdir(exist_ok=True)
    guard = "import sys\nif 'explorer.measure.probe' in sys.orig_argv:"
    (folder / "sitecustomize.py").write_text(guard + code.replace("\n", "\n    "))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def truth(study: Path, factor: int) -> None:
    """Measure the confirmed front again with so many times its rounds: who falls off by more than is stated?"""
    with tempfile.TemporaryDirectory() as place:
        bench = Bench.of(study, Path(place))
        stated, confirmation = front_view(bench.result), bench.result.confirmation
        assert confirmation is not None
        sure = [entry for entry in stated.entries if (entry.probability or 0.0) >= 0.9]
        numbers = [finalist.trial for finalist in confirmation.finalists]
        rounds: list[tuple[Repeat, ...]] = []
        for turn in range(factor * len(confirmation.rounds)):
            repeats = []
            for number in np.random.default_rng(turn).permutation(numbers).tolist():
                made = bench.believed(bench.subject(number))
                repeats.append(Repeat(number, made.metrics, made.invalid))
            rounds.append(tuple(repeats))
            print(
                f"round {turn + 1}: {sum(not repeat.is_valid for repeat in repeats)} invalid",
                file=sys.stderr,
                flush=True,
            )
        again = confirmed(bench.result, replace(confirmation, rounds=tuple(rounds))).result
        directions = directions_of(again)
        points = objective_points(again, again.trials)
        fallen = [entry.trial.number for entry in sure if _falls_off(entry.trial, again, points, directions)]
        latency = {trial.number: trial.values()["latency_ms"] for trial in again.trials}
        changes = [abs(latency[e.trial.number] / e.trial.values()["latency_ms"] - 1) for e in sure]
        print(f"{len(stated.entries)} members, {len(sure)} of them stated with a probability of 0.9 or more")
        print(f"again in {len(rounds)} rounds, before {len(confirmation.rounds)}")
        print(f"fell off by more than the stated interval: {len(fallen)} {fallen} (asked: at most 5 %)")
        print(f"their latency changed by {np.median(changes):.2%} (median), {max(changes):.2%} (largest)")


def _falls_off(
    stated: TrialRecord, again: StudyResult, points: NDArray[np.float64], directions: tuple[Direction, ...]
) -> bool:
    """Whether another finalist dominates its new values, each moved to the better by the stated interval's half."""
    place = next(index for index, trial in enumerate(again.trials) if trial.number == stated.number)
    corner = points[place].copy()
    for index, objective in enumerate(again.objectives):
        metric = stated.outcome.metrics[objective.metric]
        if metric.low is not None and metric.high is not None and metric.value is not None:
            is_more = objective.direction == "maximize"
            corner[index] += metric.high - metric.value if is_more else metric.low - metric.value
    return not front_mask(np.vstack([corner, np.delete(points, place, axis=0)]), directions)[0]


def cost(study: Path, before: Path) -> None:
    """Wall time of a study against one from before: the search, and with its confirmation."""
    for name, folder in (("now", study), ("before", before)):
        trials = load_result(folder).trials
        seconds = max(trial.finished for trial in trials) - min(trial.started for trial in trials)
        measuring = sum(stage.seconds for trial in trials for stage in trial.outcome.stages if stage.name == "measure")
        confirmation = load_result(folder).confirmation
        more = f"; its confirmation {confirmation.seconds:.0f} s more" if confirmation is not None else ""
        print(f"{name:7} {len(trials)} trials in {seconds:.0f} s, of which {measuring:.0f} s measuring{more}")


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(dest="task", required=True)
    tasks.add_parser("coverage")
    for name in ("repeatability", "faults", "truth", "cost"):
        task = tasks.add_parser(name)
        task.add_argument("study", type=Path)
        if name == "repeatability":
            task.add_argument("--load", action="store_true")
            task.add_argument("--times", type=int, default=4)
        if name == "faults":
            task.add_argument("--quiet", type=int, default=200)
        if name == "truth":
            task.add_argument("--factor", type=int, default=10)
        if name == "cost":
            task.add_argument("before", type=Path)
    chosen = parser.parse_args()
    if chosen.task == "coverage":
        coverage()
    elif chosen.task == "repeatability":
        repeatability(chosen.study, chosen.load, chosen.times)
    elif chosen.task == "faults":
        faults(chosen.study, chosen.quiet)
    elif chosen.task == "truth":
        truth(chosen.study, chosen.factor)
    elif chosen.task == "cost":
        cost(chosen.study, chosen.before)


if __name__ == "__main__":
    main()
