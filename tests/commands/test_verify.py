"""`explore verify`: the table, the JSON, and the exit code."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from explorer.commands import verify as command
from explorer.commands.verify import verify
from explorer.deploy.verify.report import Report, Row
from explorer.deploy.verify.verification import Signature
from explorer.errors import ExplorerError, Interrupted, UsageError, VerificationFailed
from explorer.records import Measurement, Progress

HOLDING = (
    Row("files", "8 files, 16,919 bytes", "as stated", "holds"),
    Row("accuracy", Measurement(0.925, 0.88, 0.954, 200), Measurement(0.925, 0.88, 0.954, 200), "holds"),
    Row(
        "latency_ms", Measurement(1.5, 1.4, 1.6, 200), Measurement(9.0, 8.0, 10.0, 200), "not comparable", "a busy day"
    ),
    Row("test accuracy", Measurement.unknown("no data"), "", "not checked", "the manifest does not state it"),
)
FAILING = Row(
    "test accuracy", Measurement(0.9, 0.8, 0.95, 100), Measurement(0.5, 0.4, 0.6, 100), "fails", "it is not in"
)


@pytest.fixture
def reporting(monkeypatch):
    """Make the verification find these rows."""

    def report(*rows: Row) -> None:
        def found(folder, data, is_quick, stop, on_progress, signature):
            on_progress(Progress("classify the sample images"))
            on_progress(Progress("measure latency and memory", note="attempt 2"))
            return Report("tiny-trial-1", rows)

        monkeypatch.setattr(command, "verify_bundle", found)

    return report


def test_verify_holding_prints_the_table_and_returns(reporting, capsys):
    reporting(*HOLDING)
    verify(Path("bundle"), None, False, False)
    out, err = capsys.readouterr()
    lines = {line.split("  ")[0].strip(): line for line in out.splitlines()}
    assert "92.50 % (88.00" in lines["accuracy"]
    assert "not comparable" in lines["latency"]
    assert "1.50 ms (1.40" in lines["latency"]
    assert "9.00 ms" in lines["latency"]
    assert "unknown: no data" in lines["test accuracy"]
    assert "latency: not comparable, a busy day" in out
    assert "tiny-trial-1: 2 hold, 1 not comparable, 1 not checked." in out
    assert err.splitlines() == ["classify the sample images", "measure latency and memory (attempt 2)"]


def test_verify_first_line_says_which_rows_were_recomputed_here(reporting, capsys):
    """In one line, however narrow the terminal is."""
    derived = Row("throughput_per_s", Measurement(1.0), "follows", "holds", is_derived=True)
    reporting(*HOLDING, derived, Row("confirmed latency_ms", Measurement(1.0), "", "not checked"))
    verify(Path("bundle"), None, False, False)
    assert capsys.readouterr().out.splitlines()[0] == (
        "tiny-trial-1: recomputed here: files, accuracy; by formula from other rows: throughput; "
        "the sender's word: latency, test accuracy, confirmed latency."
    )


def test_verify_rows_of_the_same_reason_share_a_line(reporting, capsys):
    reporting(
        *(Row(name, Measurement(1.0), "", "not checked", "nobody can") for name in ("energy_mj", "cold_start_ms"))
    )
    verify(Path("bundle"), None, False, False)
    assert "energy, cold start: not checked, nobody can" in capsys.readouterr().out


def test_verify_confirmed_values_have_their_metrics_units(reporting, capsys):
    reporting(Row("confirmed accuracy", Measurement(0.925), "as in the search", "holds", is_derived=True))
    verify(Path("bundle"), None, False, False)
    assert "92.50 %" in capsys.readouterr().out


def test_verify_failing_prints_the_table_before_it_raises(reporting, capsys):
    reporting(*HOLDING, FAILING)
    with pytest.raises(
        VerificationFailed, match=r"bundle does not prove itself: test accuracy: it is not in"
    ) as failed:
        verify(Path("bundle"), None, False, False)
    assert failed.value.exit_code == 4
    assert "fails" in capsys.readouterr().out


def test_verify_failing_files_are_named_in_the_sentence(reporting, capsys):
    reporting(Row("files", "as stated", "model/segment_0.onnx is missing", "fails"))
    with pytest.raises(VerificationFailed, match=r"model/segment_0.onnx is missing"):
        verify(Path("bundle"), None, False, False)
    assert "model/segment_0.onnx is missing" in capsys.readouterr().out


@pytest.mark.parametrize("rows", [HOLDING, (*HOLDING, FAILING)])
def test_verify_json_is_alone_on_standard_output(reporting, capsys, rows):
    reporting(*rows)
    if FAILING in rows:
        with pytest.raises(VerificationFailed, match="does not prove itself"):
            verify(Path("bundle"), None, True, False)
    else:
        verify(Path("bundle"), None, True, False)
    report = json.loads(capsys.readouterr().out)
    assert report["bundle"] == "tiny-trial-1"
    assert report["verdict"] == ("fails" if FAILING in rows else "holds")
    assert [row["what"] for row in report["rows"]] == [row.what for row in rows]
    assert report["rows"][1]["promised"] == {"value": 0.925, "low": 0.88, "high": 0.954, "n": 200}
    assert report["rows"][3]["promised"] == {"value": None, "why": "no data"}
    assert report["rows"][0]["why"] is None
    assert [row["how"] for row in report["rows"][:4]] == ["recomputed"] * 2 + ["sender's word"] * 2


@pytest.mark.parametrize("is_json", [False, True])
def test_verify_failing_is_said_where_nobody_reads_the_table(reporting, monkeypatch, is_json):
    """`explore verify bundle | head -1`: the verdict is the exit code's."""

    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    reporting(*HOLDING, FAILING)
    monkeypatch.setattr(sys, "stdout", Gone())
    with pytest.raises(VerificationFailed, match="does not prove itself"):
        verify(Path("bundle"), None, is_json, False)


@pytest.mark.parametrize("given", [(Path("a.sig"), None), (None, Path("allowed"))])
def test_verify_signature_without_those_who_may_sign_is_refused(reporting, given):
    reporting(*HOLDING)
    with pytest.raises(UsageError, match="expected --signature and --signers together, got one of them"):
        verify(Path("bundle"), None, False, False, *given)


def test_verify_passes_the_signature_on(monkeypatch):
    seen = []
    monkeypatch.setattr(command, "verify_bundle", lambda *given: seen.append(given[-1]) or Report("b", HOLDING))
    verify(Path("bundle"), None, False, False, Path("a.sig"), Path("allowed"))
    verify(Path("bundle"), None, False, False)
    assert seen == [Signature(Path("a.sig"), Path("allowed")), None]


def test_verify_plain_terminal_gets_plain_characters(reporting, capsys, monkeypatch):
    monkeypatch.setenv("LC_ALL", "C")
    reporting(*HOLDING)
    verify(Path("bundle"), None, False, False)
    assert capsys.readouterr().out.isascii()


def test_verify_foreign_text_cannot_steer_the_terminal(reporting, capsys):
    reporting(Row("packages", "evil \x1b[2J\n1.0", "x", "holds"))
    verify(Path("bundle"), None, False, False)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "evil [2J 1.0" in out


def test_verify_interrupted_says_how_to_go_on(monkeypatch):
    def interrupted(*_):
        raise Interrupted("interrupted by SIGINT: start the study again to resume it")

    monkeypatch.setattr(command, "verify_bundle", interrupted)
    monkeypatch.setattr("sys.argv", ["explore", "verify", "bundle"])
    with pytest.raises(Interrupted, match=r"nothing was changed. To check again: explore verify bundle"):
        verify(Path("bundle"), None, False, False)


def test_verify_full_disk_is_a_sentence(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(command, "verify_bundle", full)
    with pytest.raises(ExplorerError, match=r"could not be checked \(No space left on device\).*TMPDIR") as failed:
        verify(Path("bundle"), None, False, False)
    assert failed.value.exit_code == 1
