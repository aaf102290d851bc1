"""The public Python API: open a study, run one, read its trials and its front as DataFrames, choose, export.

    import explorer

    study = explorer.load("studies/reference")
    study.front()                                              # a pandas DataFrame
    study.recommend(where=["accuracy >= 0.99 * baseline"])     # the knee within these limits
    study.figure()                                             # a plotly Figure

Every error is an `explorer.ExplorerError` whose message is one sentence, or a few lines where no trial is feasible; its
classes are in `explorer.errors`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from html import escape
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, final, get_args

from explorer.errors import ExplorerError, UsageError
from explorer.records import Measurement, Variant
from explorer.space.expressions import parse_constraint
from explorer.study.front import FrontView, front_view
from explorer.study.read import load_result
from explorer.study.store.location import studies_folder, study_folder
from explorer.views.outputs import front_table, trial_table, write_outputs

if TYPE_CHECKING:
    from pandas import DataFrame
    from plotly.graph_objects import Figure

    from explorer.deploy.selection import Choice
    from explorer.study.result import StudyResult
    from explorer.system.signals import Interrupt

__all__ = ["ExplorerError", "ExportOptions", "RunOptions", "SelectedTrial", "Source", "Study", "load", "run"]

Source = Literal["confirmed", "search"]
"""Which values: medians over fresh processes after the search, or those of the search, each measured once."""


class RunOptions(TypedDict, total=False):
    """What `run` takes beside the search space; each option is that of `explore start` with the same name.

    trials              trials in all, the baseline included
    timeout             begin no trial after this long: seconds, or a text such as "20m"
    name                the study's name, instead of the file's
    sampler             "tpe", "nsga2", "nsga3", "gp", "random", "qmc" or "grid"
    seed                the same seed proposes the same variants
    data                folder of the data sets (else EXPLORER_DATA, data/)
    studies             folder of the studies (else EXPLORER_STUDIES, studies/)
    storage             URL of the database, instead of the study's study.db
    confirm             measure the finalists again after the search (default: True)
    skip_unavailable    leave out runtimes that are not installed (default: False)
    """

    trials: int
    timeout: float | str
    name: str
    sampler: str
    seed: int
    data: str | Path
    studies: str | Path
    storage: str
    confirm: bool
    skip_unavailable: bool


class ExportOptions(TypedDict, total=False):
    """What `Study.export` takes beside the choice of the trial.

    format    "bundle" (default), "onnx", "triton" or "mlflow"
    data      folder of the data sets (else EXPLORER_DATA, data/), for the accuracy on the test split
    force     replace an earlier export, and take a trial that is infeasible or dominated (default: False)
    """

    format: str
    data: str | Path
    force: bool


@final
@dataclass(frozen=True, slots=True)
class SelectedTrial:
    """A trial, its variant, its metrics by name (confirmed values where there are any), and why it was selected."""

    trial: int
    variant: Variant
    metrics: Mapping[str, Measurement]
    reason: str

    @property
    def values(self) -> dict[str, float]:
        """The known metrics as plain numbers, in the units of their names."""
        return {name: metric.value for name, metric in self.metrics.items() if metric.value is not None}


@final
class Study:
    """A study as it was when it was loaded; load it again to see what a running one has found since.

    DataFrames have one row a trial and these columns: `trial`, `state` ("complete", "infeasible", "failed" or
    "invalid"), `feasible`, each parameter of the search space, each metric in the unit of its name, and `<metric>_low`
    and `<metric>_high`, the ends of its 95 % interval. Unknown numbers are NaN; a width per stage is a tuple.
    """

    __slots__ = ("_result", "_view")

    def __init__(self, result: StudyResult) -> None:
        self._result = result
        self._view = front_view(result)

    @property
    def name(self) -> str:
        """The study's name."""
        return self._result.name

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return self._result.folder

    @property
    def is_confirmed(self) -> bool:
        """Whether the finalists of these trials were measured again, in fresh processes."""
        return self._view.is_confirmed

    @property
    def baseline(self) -> SelectedTrial | None:
        """Trial 0, the variant that ratios compare with; None until it has a result."""
        found = self._view.result.baseline
        return None if found is None else SelectedTrial(0, found.variant, found.outcome.metrics, "the baseline")

    def trials(self, source: Source = "search") -> DataFrame:
        """Return every finished trial by number; with `source="confirmed"` the finalists and their confirmed values.

        Of the latter, `probability` is that of being on the front; NaN where a constraint is broken in any case.
        Raises UsageError for another `source`, and for "confirmed" when there are no such values.
        """
        if self._source(source) == "search":
            trials = sorted(self._result.trials, key=lambda trial: trial.number)
            return _frame(self._result, trial_table(self._result, trials))
        view = self._view
        trials = sorted((t for t in view.result.trials if t.number in view.confirmed), key=lambda trial: trial.number)
        probability = [view.standings[trial.number].probability for trial in trials]
        table = trial_table(replace(view.result, trials=tuple(trials)), trials)
        return _frame(view.result, table | {"probability": probability})

    def front(self, source: Source | None = None, where: Sequence[str] = ()) -> DataFrame:
        """Return the trials of the front, best in the first objective first.

        `source` None: confirmed values where there are any, else the search's. `where` are further limits, such as
        "latency_ms <= 1.5" or "accuracy >= 0.99 * baseline". Four more columns: `knee` (bool), `probability` of being
        on the front, `test_accuracy`, and `ties`, the trials (tuple of int) that cannot be told from this one in any
        objective; of the search's values the last three are unknown or empty. The front may be empty.
        Raises UsageError for another `source`, for "confirmed" when there are no such values, and for a limit that
        does not read.
        """
        return _frame(self._result, front_table(self._front(source, where)))

    def recommend(self, where: Sequence[str] = (), best: str | None = None) -> SelectedTrial:
        """Select the knee of the front within the limits `where`, or the trial that is `best` in a metric.

        Of a confirmed study it is selected by confirmed values, among the trials that are more likely on the front than
        not. Raises NothingFeasible when no trial is within the limits, UsageError for an unknown metric or limit.
        """
        choice = self._choose(None, best, where, is_forced=False)
        metrics = choice.trial.outcome.metrics if choice.confirmed is None else choice.confirmed.metrics
        return SelectedTrial(choice.trial.number, choice.trial.variant, metrics, _reason(choice))

    def figure(self) -> Figure:
        """Draw the front over its first two objectives, every other trial behind it; without Plotly's upload button."""
        from explorer.views.figure import front_figure

        return front_figure(self._view)

    def export(
        self,
        target: str | Path,
        trial: int | None = None,
        best: str | None = None,
        where: Sequence[str] = (),
        **options: Unpack[ExportOptions],
    ) -> Path:
        """Export a trial for deployment to the new folder `target`, as `explore export` does; return the folder.

        The trial is the one of that number, else the one that `recommend(where, best)` selects. Runs in the main thread
        alone. Raises UsageError, NothingFeasible, StudyError when the measured files are missing or changed,
        RuntimeNotAvailable, Interrupted.
        """
        from explorer.deploy.export.formats import Target, check_export, check_format, write_export
        from explorer.views.model_card import export_documents

        _check_options("export", options, ExportOptions)
        form = options.get("format", "bundle")
        check_format(form)
        choice = self._choose(trial, best, where, options.get("force", False))
        place = Target(_required_path("target", target), form, options.get("force", False))
        check_export(self._result, choice, place)
        documents = partial(export_documents, choice)
        with _interruptible() as interrupt:
            write_export(self._result, choice, place, _path(options.get("data")), documents, interrupt)
        return place.folder

    def __repr__(self) -> str:
        return f"<Study {self._in_words()}>"

    def _repr_html_(self) -> str:
        """The study in a sentence and its front as a table, for notebooks."""
        from explorer.views.formatting import displayed_metrics, varying_parameters

        result, summary = self._result, self._front(None, ())
        names = [*varying_parameters(result.space), *displayed_metrics(result)]
        front = _frame(result, front_table(summary))
        columns = ["trial", *names, "knee", *(["probability"] if summary.is_confirmed else [])]
        table = front[columns].to_html(index=False, na_rep="", float_format="{:.4g}".format, escape=True)
        return f"<p>{escape(self._in_words())}</p>{table}"

    def _in_words(self) -> str:
        n_feasible = sum(trial.is_feasible for trial in self._result.trials)
        rounds = f", confirmed in {self._view.n_rounds} rounds" if self.is_confirmed else ""
        return f"{self.name}: {len(self._result.trials)} trials, {n_feasible} feasible{rounds}"

    def _source(self, source: Source | None) -> Source:
        if source is None:
            return "confirmed" if self.is_confirmed else "search"
        if source not in get_args(Source):
            raise UsageError(f"source: expected 'confirmed' or 'search', got {source!r}")
        if source == "confirmed" and not self.is_confirmed:
            raise UsageError(f"{self.name} has no confirmed values: `explore confirm` measures its finalists again")
        return source

    def _front(self, source: Source | None, where: Sequence[str]) -> FrontView:
        limits = [parse_constraint(text) for text in _texts(where)]
        view = self._view if self._source(source) == "confirmed" else front_view(self._result, is_search=True)
        return view.within(limits) if limits else view

    def _choose(self, trial: int | None, best: str | None, where: Sequence[str], is_forced: bool) -> Choice:
        from explorer.deploy.selection import Selection, choose

        if trial is not None and (isinstance(trial, bool) or not isinstance(trial, Integral)):
            raise UsageError(f"trial: expected a whole number, got {trial!r}")
        if best is not None and not isinstance(best, str):
            raise UsageError(f"best: expected the name of a metric, got {best!r}")
        if trial is not None and (best is not None or where):
            raise UsageError("expected `trial`, or `best` and `where`, got both: leave one of them out")
        limits = tuple(parse_constraint(text) for text in _texts(where))
        return choose(self._result, Selection(trial, trial is None and best is None, best, limits), is_forced)


def load(study: str | Path, studies: str | Path | None = None, storage: str | None = None) -> Study:
    """Open a study for reading: by name, under `studies`, or by the path of its folder. It may be running.

    `studies` None: EXPLORER_STUDIES, else `studies/`. `storage` is the URL of its database, where that is elsewhere and
    the study's folder does not say so. Raises UsageError when there is no such study, StudyDamaged or StudyError when
    it does not read, NotAvailable when its database needs a driver that is not installed.
    """
    return Study(load_result(study_folder(str(_required_path("study", study)), _path(studies)), None, storage))


def run(space: str | Path, **options: Unpack[RunOptions]) -> Study:
    """Run the study that the search space (a YAML file) describes, or resume it, and return it.

    It is `explore start` without dashboard and without output, except for errors on standard error. A search space that
    names a network of your own runs that code, and one line on standard error states it before. Runs in the main thread
    alone; the first Ctrl-C ends the study at the next safe point, and calling `run` again resumes it. Raises SpaceError
    and UsageError for what is wrong with the search space or an option, NotAvailable when data, a runtime or a device
    is missing, NothingFeasible when no trial satisfies the constraints, StudyIncompatible, StudyLocked, StudyDamaged,
    ModelError, Interrupted.
    """
    from explorer.commands.start import say_own_code
    from explorer.space.read import Overrides, load_space
    from explorer.study.evaluator import MeasuringEvaluator
    from explorer.study.loop import StudyTools, run_study
    from explorer.study.vocabulary import installed_part, vocabulary
    from explorer.views.terminal.plain import QuietView

    _check_options("run", options, RunOptions)
    data, studies = _path(options.get("data")), _path(options.get("studies"))
    names = vocabulary()
    overrides = Overrides(
        options.get("name"),
        options.get("trials"),
        _seconds(options.get("timeout")),
        options.get("sampler"),
        options.get("seed"),
    )
    wanted = load_space(_required_path("space", space), names, overrides)
    part, left_out = installed_part(wanted, names) if options.get("skip_unavailable") else (wanted, {})
    folder, storage = studies_folder(studies) / wanted.name, options.get("storage")
    say_own_code(part.model)
    with _interruptible() as interrupt:
        evaluator = MeasuringEvaluator(part, folder, data, interrupt, left_out)
        try:
            tools = StudyTools(names, evaluator, QuietView(sys.stderr), interrupt, write_outputs, storage)
            result = run_study(part, folder, tools, is_confirming=options.get("confirm", True))
        finally:
            evaluator.close()
    return Study(result)


def _frame(result: StudyResult, table: Mapping[str, list[Any]]) -> DataFrame:
    """Return a table of explorer.views.outputs as a DataFrame with the types that `Study` documents."""
    import pandas as pd

    kinds: dict[str, Any] = {"trial": "int64", "state": "str", "feasible": "bool", "knee": "bool", "ties": "object"}
    kinds |= dict.fromkeys(result.space.parameters)  # inferred
    columns = {name: pd.Series(values, dtype=kinds.get(name, "float64")) for name, values in table.items()}
    return pd.DataFrame(columns)


def _reason(choice: Choice) -> str:
    """How the trial was selected, and what the confirmation adds, in a sentence."""
    parts = [choice.how]
    if choice.confirmed is not None and choice.confirmed.probability is not None:
        parts.append(f"on the front with probability {choice.confirmed.probability:.2f}")
    if choice.confirmed is not None and choice.confirmed.ties:
        parts.append(f"tied with trial {', '.join(map(str, choice.confirmed.ties))}")
    return "; ".join([*parts, *choice.objections])


@contextmanager
def _interruptible() -> Iterator[Interrupt]:
    """While the block runs, Ctrl-C stops at safe points. Raises UsageError outside of the main thread."""
    from explorer.system.signals import Interrupt

    if threading.current_thread() is not threading.main_thread():
        raise UsageError("expected a call from the main thread, which alone receives Ctrl-C: call it there")
    with Interrupt() as interrupt:
        yield interrupt


def _check_options(function: str, options: Mapping[str, object], known: type) -> None:
    for name in options.keys() - known.__annotations__.keys():
        near = get_close_matches(name, known.__annotations__, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known.__annotations__)}"
        raise UsageError(f"{function}() has no option {name}: {hint}")


def _texts(where: Iterable[str]) -> list[str]:
    if isinstance(where, str):
        raise UsageError(f"where: expected a list of limits, got the text {where!r}: put it into a list")
    limits = list(where) if isinstance(where, Iterable) else [where]
    if not all(isinstance(text, str) for text in limits):
        raise UsageError(f"where: expected a list of limits, each a text such as 'latency_ms <= 1.5', got {where!r}")
    return limits


def _seconds(timeout: float | str | None) -> float | None:
    from explorer.space.expressions import parse_duration

    return None if timeout is None else parse_duration(str(timeout))


def _path(value: str | Path | None) -> Path | None:
    if value is not None and not isinstance(value, str | os.PathLike):
        raise UsageError(f"expected a path, got {value!r}: give a text or a pathlib.Path")
    return None if value is None else Path(value)


def _required_path(name: str, value: str | Path) -> Path:
    if (path := _path(value)) is None:
        raise UsageError(f"{name}: expected a path, got None: give a text or a pathlib.Path")
    return path
