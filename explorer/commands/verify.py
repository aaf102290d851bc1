"""`explore verify`: what a bundle promised, what was found here, and whether it holds."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from explorer.commands.again import command_line
from explorer.commands.printing import console, note, print_json
from explorer.deploy.report import Fact, Report, Row, Verdict
from explorer.deploy.signature import Signature
from explorer.deploy.verify import verify as verify_bundle
from explorer.errors import ExplorerError, Interrupted, UsageError, VerificationFailed
from explorer.records import Measurement, Progress
from explorer.study.interrupt import Interrupt
from explorer.views.wording import ASCII, Glyphs, glyphs_for, interval_text, metric_title, one_line, value_text

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

    Raises VerificationFailed when one does not hold, UsageError, NotAvailable, Interrupted, and ExplorerError when
    there is no room for a copy of the bundle.
    """
    if (signature is None) != (signers is None):
        raise UsageError(
            "expected --signature and --signers together, got one of them: a signature says who made a bundle only to "
            "one who says who may (a file with a line each: a name, a public key)"
        )
    signed = None if signature is None or signers is None else Signature(signature, signers)
    with Interrupt() as interrupt:
        try:
            report = verify_bundle(bundle, data, is_quick, interrupt, _tell, signed)
        except Interrupted:
            given = {"--data": data, "--quick": is_quick, "--signature": signature, "--signers": signers}
            again = command_line("verify", bundle, options=given)
            raise Interrupted(f"interrupted; nothing was changed. To check again: {again}") from None
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


def _tell(progress: Progress) -> None:
    note(f"{progress.stage}{f' ({progress.note})' if progress.note else ''}")


def _print(out: Console, bundle: Path, report: Report) -> None:
    glyphs = glyphs_for(out.encoding)
    table = Table(box=box.ASCII2 if glyphs == ASCII else box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for heading in ("", "promised", "found", "verdict"):
        table.add_column(heading, overflow="fold")
    for row in report.rows:
        facts = (Text(_fact(row.what, fact, glyphs)) for fact in (row.promised, row.found))
        table.add_row(Text(metric_title(row.what)), *facts, Text(row.verdict, style=_STYLES[row.verdict]))
    out.print(table)
    for row in report.rows:
        if row.why:
            out.print(Text(f"{metric_title(row.what)}: {row.verdict}, {one_line(row.why)}", style="dim"))
    counts = Counter(row.verdict for row in report.rows)
    tally = ", ".join(
        f"{n} {verdict if n == 1 else _SEVERAL.get(verdict, verdict)}" for verdict in _STYLES if (n := counts[verdict])
    )
    out.print(Text(f"{report.name or bundle}: {tally}.", style="bold"))


def _fact(what: str, fact: Fact, glyphs: Glyphs) -> str:
    if not isinstance(fact, Measurement):
        return one_line(fact, limit=400)
    if fact.value is None:
        return f"unknown: {one_line(fact.why or 'nobody said why')}"
    metric = "accuracy" if what.endswith("accuracy") else what
    interval = interval_text(metric, fact, glyphs)
    return f"{value_text(metric, fact.value)}{f' ({interval})' if interval else ''}"


def _sentence(bundle: Path, report: Report) -> str:
    """What does not hold, for people who see no table."""
    return f"{bundle} does not prove itself: {'; '.join(_reason(row) for row in report.failed)}"


def _reason(row: Row) -> str:
    return f"{metric_title(row.what)}: {one_line(row.why or str(row.found), limit=400)}"
