"""The dashboard: of a study in its folder (`explore dashboard`), or of the one that this process runs.

A study that runs here never waits for its dashboard and does not fail with it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, final

from explorer.commands.printing import note
from explorer.commands.repeat import repeat_command
from explorer.commands.serving import Address, is_at_terminal, open_browser, wait
from explorer.errors import Interrupted, StudyError, UsageError
from explorer.records import Progress, Variant
from explorer.space.values import SearchSpace
from explorer.study.evaluation import StudyView
from explorer.study.read import load_result
from explorer.study.result import StudyResult, TrialRecord
from explorer.study.store.live_status import PolledStudy, StudyPoller
from explorer.study.store.location import is_study
from explorer.study.vocabulary import n_possible_trials
from explorer.system import cores
from explorer.system.signals import Interrupt
from explorer.views.formatting import one_line
from explorer.views.terminal.run_counts import TrialEta

if TYPE_CHECKING:
    from explorer.views.server.feed import Feed, Status
    from explorer.views.server.thread import Server

_S_BETWEEN_LOOKS = 1.0
_OPENED = "whoever sees the link reads the study and can export bundles into its folder"


def require_allowed(address: Address) -> None:
    """Raise UsageError if the dashboard would be open to other machines without --allow-remote."""
    address.require_allowed("the dashboard", f"{_OPENED}, and the connection is not encrypted")


def dashboard(folder: Path, address: Address) -> None:
    """Serve the study in `folder` until Ctrl-C.

    Raises UsageError, NotAvailable when the port is taken, StudyError, and Interrupted at a second Ctrl-C.
    """
    from explorer.views.server.feed import Feed
    from explorer.views.server.thread import Server

    require_allowed(address)
    poller = StudyPoller(folder)
    sight = poller.poll()
    space = sight.result.space
    feed = Feed(sight.result, _status(sight))
    _update(feed, sight)
    try:
        with Interrupt() as interrupt, _off_measuring_cores(space):
            server = Server(feed, address.port, address.host, on_fault=note)
            try:
                server.prepare()
                if not address.is_local:
                    note(f"open to other machines, at every address of {address.host}, without encryption: {_OPENED}")
                note(f"dashboard of {one_line(sight.result.name)}: {server.link}")
                note("Ctrl-C ends it")
                open_browser(server.link)
                _follow(poller, sight, feed, interrupt)
            finally:
                server.stop()
    except Interrupted:  # a first signal ends the wait and raises nothing
        raise Interrupted(f"stopped at once by a second signal. To look again: {repeat_command()}") from None


def _follow(poller: StudyPoller, sight: PolledStudy, feed: Feed, interrupt: Interrupt) -> None:
    """Pass every change on to the feed until a signal comes; an error that repeats is printed once."""
    complaint = ""
    while not wait(interrupt, _S_BETWEEN_LOOKS):
        before = sight
        try:
            sight = poller.poll()
        except (StudyError, OSError) as error:
            if str(error) != complaint:
                complaint = str(error)
                note(complaint)
            continue
        complaint = ""
        if sight != before:
            _update(feed, sight)


def _update(feed: Feed, sight: PolledStudy) -> None:
    space, trials = sight.result.space, sight.result.trials
    eta = None if sight.since is None else TrialEta.of_run(space, sight.since, trials, time.time)
    running, progress = (
        (None, None) if sight.live_status is None else (sight.live_status.running, sight.live_status.progress)
    )
    feed.update(sight.result, _status(sight), running, progress, eta)


def _status(sight: PolledStudy) -> Status:
    if sight.since is not None:
        return "running"
    result = sight.result
    has_all = len(result.trials) >= n_possible_trials(result.space)
    # A study whose time was up has fewer trials; what ended otherwise is not confirmed before it is resumed.
    is_confirmed = result.confirmation is not None and not result.is_stale(result.confirmation)
    is_finished = has_all or (result.space.search.timeout_s is not None and is_confirmed)
    return "finished" if is_finished else "interrupted"


def _off_measuring_cores(space: SearchSpace) -> AbstractContextManager[None]:
    """Keep this process off the last cores, on which a running study measures, if other cores are left."""
    available = cores.available()
    threads = max(int(str(value)) for value in space.parameters["threads"].values)
    return cores.keep_free(cores.measuring(available, min(threads, len(available))), [os.getpid()])


@final
class BothViews(StudyView):
    """A view that passes every call on to two others; `on_begin` is called once, before the first of them."""

    def __init__(self, first: StudyView, second: StudyView, on_begin: Callable[[], None] = lambda: None) -> None:
        self._views = (first, second)
        self._on_begin = on_begin
        self._has_begun = False

    def on_progress(self, progress: Progress) -> None:
        """Pass it on."""
        self._begin()
        for view in self._views:
            view.on_progress(progress)

    def on_trial_start(self, number: int, variant: Variant) -> None:
        """Pass it on."""
        self._begin()
        for view in self._views:
            view.on_trial_start(number, variant)

    def on_trial_end(self, record: TrialRecord, result_so_far: StudyResult) -> None:
        """Pass it on."""
        for view in self._views:
            view.on_trial_end(record, result_so_far)

    def on_confirmed(self, result_so_far: StudyResult) -> None:
        """Pass it on."""
        for view in self._views:
            view.on_confirmed(result_so_far)

    def on_note(self, text: str, is_error: bool = False) -> None:
        """Pass it on."""
        for view in self._views:
            view.on_note(text, is_error)

    def close(self) -> None:
        """Close both."""
        for view in self._views:
            view.close()

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._on_begin()


@dataclass(frozen=True, slots=True)
class StudyPage:
    """The view that the study loop reports to; `feed` and `server` are None where no dashboard is served."""

    view: StudyView
    feed: Feed | None = None
    server: Server | None = None

    def end(self, is_finished: bool) -> None:
        """Show on the page that the study has ended."""
        if self.feed is not None:
            self.feed.end("finished" if is_finished else "interrupted")

    def serve_on(self, interrupt: Interrupt, sentence: str = "") -> None:
        """Print `sentence` and wait for Ctrl-C at an interactive terminal; elsewhere return at once."""
        if self.server is None or not is_at_terminal():
            return
        if sentence:
            note(sentence)
        note(f"the dashboard stays at {self.server.link} until Ctrl-C")
        wait(interrupt)

    def close(self) -> None:
        """Stop serving."""
        if self.server is not None:
            self.server.stop()


def open_page(
    space: SearchSpace,
    folder: Path,
    storage: str | None,
    port: int | None,
    view: StudyView,
    say: Callable[[str], None],
) -> StudyPage:
    """Serve the study; the link is printed with `say` and opened in a browser when the study begins.

    Raises NotAvailable when `port` is taken. With `port` None, a reason that prevents the dashboard is printed, and the
    study runs without one.
    """
    from explorer.views.server.feed import Feed
    from explorer.views.server.thread import NoDashboard, Server

    feed = Feed(_found_so_far(space, folder, storage))
    try:
        server = Server(feed, port, on_fault=lambda sentence: view.on_note(sentence, is_error=True))
    except NoDashboard as error:
        if port is not None:
            raise
        say(f"no dashboard: {error}; the study goes on without")
        return StudyPage(view)

    def begin() -> None:
        say(f"dashboard: {server.link}")
        open_browser(server.link)

    return StudyPage(BothViews(view, feed, begin), feed, server)


def _found_so_far(space: SearchSpace, folder: Path, storage: str | None) -> StudyResult:
    """Return the result of a resumed study; of one that is new, or that does not load, an empty result."""
    if is_study(folder):
        with suppress(StudyError, UsageError):
            return replace(load_result(folder, None if storage is None else space.name, storage), space=space)
    return StudyResult(space.name, folder, space, (), {})
