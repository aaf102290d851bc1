"""StudyPage: the dashboard beside a study that this process runs; the study never waits for it, nor fails with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.commands.printing import note
from explorer.commands.serving import is_at_terminal, open_browser, wait
from explorer.errors import StudyError, UsageError
from explorer.space.values import SearchSpace
from explorer.study.interrupt import Interrupt
from explorer.study.locate import is_study
from explorer.study.read import load_result
from explorer.study.result import StudyResult
from explorer.study.view import StudyView

if TYPE_CHECKING:
    from explorer.views.server.feed import Feed
    from explorer.views.server.thread import Server


@dataclass(frozen=True, slots=True)
class StudyPage:
    """`view` is what the study loop is to tell; feed and server are None where no dashboard is served."""

    view: StudyView
    feed: Feed | None = None
    server: Server | None = None

    def end(self, is_finished: bool) -> None:
        """Show that the study runs no longer."""
        if self.feed is not None:
            self.feed.end("finished" if is_finished else "interrupted")

    def serve_on(self, interrupt: Interrupt, sentence: str = "") -> None:
        """Wait for Ctrl-C when somebody sits at the terminal, after a last sentence; otherwise return at once."""
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


def no_page(view: StudyView) -> StudyPage:
    """No dashboard: `view` alone is told."""
    return StudyPage(view)


def open_page(
    space: SearchSpace,
    folder: Path,
    storage: str | None,
    port: int | None,
    view: StudyView,
    say: Callable[[str], None],
) -> StudyPage:
    """Serve the study from now on; the link is said, and opened, once the study has really begun.

    Raises NotAvailable when `port` cannot be had. Where no port was asked for, whatever prevents the dashboard is one
    sentence, and the study runs without.
    """
    from explorer.views.both import BothViews
    from explorer.views.server.feed import Feed
    from explorer.views.server.thread import NoDashboard, Server

    feed = Feed(_found_so_far(space, folder, storage))
    try:
        server = Server(feed, port, on_fault=lambda sentence: view.on_note(sentence, is_error=True))
    except NoDashboard as error:
        if port is not None:
            raise
        say(f"no dashboard: {error}; the study goes on without")
        return no_page(view)

    def begin() -> None:
        say(f"dashboard: {server.link}")
        open_browser(server.link)

    return StudyPage(BothViews(view, feed, begin), feed, server)


def _found_so_far(space: SearchSpace, folder: Path, storage: str | None) -> StudyResult:
    """What the study has found already, if it is resumed. Whatever is wrong with it, running it says so."""
    if is_study(folder):
        with suppress(StudyError, UsageError):
            return replace(load_result(folder, None if storage is None else space.name, storage), space=space)
    return StudyResult(space.name, folder, space, (), {})
