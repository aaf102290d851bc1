"""`explore verify`: compare what a bundle promises with what is found on this machine."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from explorer.commands.printing import console, note, print_json
from explorer.commands.repeat import repeat_command
from explorer.deploy.verify.claims import CONFIRMED, TEST
from explorer.deploy.verify.report import Fact, Report, Row, Verdict
from explorer.deploy.verify.verification import Signature
from explorer.deploy.verify.verification import verify as verify_bundle
from explorer.errors import ExplorerError, Interrupted, UsageError, VerificationFailed
from explorer.records import Measurement, Progress
from explorer.system.signals import Interrupt
from explorer.views.formatting import ASCII, Glyphs, glyphs_for, interval_text, metric_title, one_line, value_text

_STYLES: dict[Verdict, str] = {
    "holds": "green",
    "fails": "bold red",
    "not comparable": "yellow",
    "not checked": "yellow",
}
_SEVERAL: dict[Verdict, str] = {"holds": "hold", "fails": "fail"}


def verify(
    bundle: Path,
    data: Path | None,
    is_json: bool,
    is_quick: bool,
    signature: Path | None = None,
    signers: Path | None = None,
) -> None:
    """Print the table of promises.

    Raises VerificationFailed when a promise does not hold, UsageError, NotAvailable, Interrupted, and ExplorerError
    when there is no room for a copy of the bundle.
    """
    if (signature is None) != (signers is None):
        raise UsageError(
            "expected --signature and --signers together, got one of them: a signature says who made a bundle only to "
            "one who says who may (a file with a line each: a name, a public key)"
        )
    signed = None if signature is None or signers is None else Signature(signature, signers)
    with Interrupt() as interrupt:
        try:
            report = verify_bundle(bundle, data, is_quick, interrupt, _report_progress, signed)
        except Interrupted:
            raise Interrupted(f"interrupted; nothing was changed. To check again: {repeat_command()}") from None
        except OSError as error:
            raise ExplorerError(
                f"{bundle} could not be checked ({error.strerror or error}): it takes room for a copy of the bundle in "
                f"{tempfile.gettempdir()}; TMPDIR names another place"
            ) from error
    if is_json:
        print_json(report.to_json(), is_patient=bool(report.failed))
    else:
        _print(console(is_patient=bool(report.failed)), bundle, report)
    if report.failed:
        raise VerificationFailed(_sentence(bundle, report))


def _report_progress(progress: Progress) -> None:
    note(f"{progress.stage}{f' ({progress.note})' if progress.note else ''}")


def _print(out: Console, bundle: Path, report: Report) -> None:
    out.print(Text(_first_line(bundle, report)), soft_wrap=True)
    glyphs = glyphs_for(out.encoding)
    table = Table(box=box.ASCII2 if glyphs == ASCII else box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for heading in ("", "promised", "found", "verdict"):
        table.add_column(heading, overflow="fold")
    for row in report.rows:
        facts = (Text(_fact(row.what, fact, glyphs)) for fact in (row.promised, row.found))
        table.add_row(Text(_title(row.what)), *facts, Text(row.verdict, style=_STYLES[row.verdict]))
    out.print(table)
    for (verdict, why), titles in _reasons(report).items():
        out.print(Text(f"{', '.join(titles)}: {verdict}, {why}", style="dim"))
    counts = Counter(row.verdict for row in report.rows)
    tally = ", ".join(
        f"{n} {verdict if n == 1 else _SEVERAL.get(verdict, verdict)}" for verdict in _STYLES if (n := counts[verdict])
    )
    out.print(Text(f"{report.name or bundle}: {tally}.", style="bold"))


def _reasons(report: Report) -> dict[tuple[Verdict, str], list[str]]:
    """Return the titles of the rows by verdict and reason."""
    found: dict[tuple[Verdict, str], list[str]] = {}
    for row in report.rows:
        if row.why:
            found.setdefault((row.verdict, one_line(row.why)), []).append(_title(row.what))
    return found


def _first_line(bundle: Path, report: Report) -> str:
    """Return which rows were recomputed here, which are derived from those, and which are only claimed."""
    said = {
        "recomputed here": report.obtained("recomputed"),
        "by formula from other rows": report.obtained("derived"),
        "the sender's word": report.obtained("sender's word"),
    }
    parts = [f"{how}: {', '.join(_title(row.what) for row in rows) or 'nothing'}" for how, rows in said.items()]
    return f"{report.name or bundle}: {'; '.join(parts)}."


def _title(what: str) -> str:
    """Return the title of a row, of a confirmed value with its metric's title."""
    metric = what.removeprefix(CONFIRMED)
    return f"{CONFIRMED if metric != what else ''}{one_line(metric_title(metric))}"


def _fact(what: str, fact: Fact, glyphs: Glyphs) -> str:
    if not isinstance(fact, Measurement):
        return one_line(fact, limit=400)
    if fact.value is None:
        return f"unknown: {one_line(fact.why or 'nobody said why')}"
    metric = what.removeprefix(CONFIRMED).removeprefix(TEST)
    interval = interval_text(metric, fact, glyphs)
    return f"{value_text(metric, fact.value)}{f' ({interval})' if interval else ''}"


def _sentence(bundle: Path, report: Report) -> str:
    """Return the promises that do not hold in one sentence."""
    return f"{bundle} does not prove itself: {'; '.join(_reason(row) for row in report.failed)}"


def _reason(row: Row) -> str:
    return f"{_title(row.what)}: {one_line(row.why or str(row.found), limit=400)}"
