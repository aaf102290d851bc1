"""`explore dashboard`: the dashboard of a study that is running or finished, from what its folder holds."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from pathlib import Path

from explorer.addresses import is_loopback
from explorer.commands.again import command_line
from explorer.commands.printing import note
from explorer.commands.serving import open_browser, wait
from explorer.errors import Interrupted, StudyError, UsageError
from explorer.measure import cores
from explorer.space.values import SearchSpace
from explorer.study.extent import n_possible_trials
from explorer.study.interrupt import Interrupt
from explorer.study.locate import study_folder
from explorer.study.watch import Sight, StudyWatch
from explorer.views.pace import TrialPace
from explorer.views.server.feed import Feed, Status
from explorer.views.server.thread import Server
from explorer.views.wording import one_line

_S_BETWEEN_LOOKS = 1.0
_OPENED = "whoever sees the link reads the study and can export bundles into its folder"


def dashboard(study: str, studies: Path | None, port: int | None, host: str, is_remote_allowed: bool) -> None:
    """Serve until Ctrl-C. Raises UsageError, NotAvailable when the port is taken, StudyError, and Interrupted at a
    second Ctrl-C.
    """
    if not is_loopback(host) and not is_remote_allowed:
        raise UsageError(
            f"--host {host} opens the dashboard to other machines: {_OPENED}, and the connection is not encrypted. Add "
            "--allow-remote if that is meant; else leave --host out, and forward the port with ssh"
        )
    watch = StudyWatch(study_folder(study, studies))
    sight = watch.look()
    space = sight.result.space
    feed = Feed(sight.result, _status(sight))
    _tell(feed, sight)
    try:
        with Interrupt() as interrupt, _off_measuring_cores(space):
            server = Server(feed, port, host, on_fault=note)
            try:
                server.prepare()
                if not is_loopback(host):
                    note(f"open to other machines, at every address of {host}, without encryption: {_OPENED}")
                note(f"dashboard of {one_line(sight.result.name)}: {server.link}")
                note("Ctrl-C ends it")
                open_browser(server.link)
                _follow(watch, sight, feed, interrupt)
            finally:
                server.stop()
    except Interrupted:  # a first signal ends the wait and raises nothing
        given = {"--port": port, "--host": host, "--allow-remote": is_remote_allowed, "--studies": studies}
        again = command_line("dashboard", study, options=given)
        raise Interrupted(f"stopped at once by a second signal. To look again: {again}") from None


def _follow(watch: StudyWatch, sight: Sight, feed: Feed, interrupt: Interrupt) -> None:
    """Tell the feed what changes, until a signal comes. A study that does not read for a while is said once."""
    complaint = ""
    while not wait(interrupt, _S_BETWEEN_LOOKS):
        before = sight
        try:
            sight = watch.look()
        except (StudyError, OSError) as error:
            if str(error) != complaint:
                complaint = str(error)
                note(complaint)
            continue
        complaint = ""
        if sight != before:
            _tell(feed, sight)


def _tell(feed: Feed, sight: Sight) -> None:
    """What the coordinator's own page would show."""
    space, trials = sight.result.space, sight.result.trials
    pace = None if sight.since is None else TrialPace.of_run(space, sight.since, trials, time.time)
    running, progress = (None, None) if sight.now is None else (sight.now.running, sight.now.progress)
    feed.update(sight.result, _status(sight), running, progress, pace)


def _status(sight: Sight) -> Status:
    if sight.since is not None:
        return "running"
    result = sight.result
    has_all = len(result.trials) >= n_possible_trials(result.space)
    # A study whose time was up has fewer trials; what ended otherwise is not confirmed before it is resumed.
    is_confirmed = result.confirmation is not None and not result.confirmation.is_stale(result.trials)
    is_finished = has_all or (result.space.search.timeout_s is not None and is_confirmed)
    return "finished" if is_finished else "interrupted"


def _off_measuring_cores(space: SearchSpace) -> AbstractContextManager[None]:
    """A study that runs beside this process measures on the last cores: leave them alone, as far as others are left."""
    available = cores.available()
    threads = max(int(str(value)) for value in space.parameters["threads"].values)
    return cores.kept_free(cores.measuring(available, min(threads, len(available))), [os.getpid()])
