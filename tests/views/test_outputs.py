from __future__ import annotations

import csv
import io
from dataclasses import replace

import pandas as pd
import pytest

from explorer.records import Measurement, Variant
from explorer.study.front import front_view
from explorer.views.outputs import front_csv, trials_csv, write_outputs, write_report


def test_write_report_replaces_the_old_one_whole(makers, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(front_view(makers.make_small_result()), path)
    assert path.read_text(encoding="utf-8").endswith("</html>")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_trials_csv_columns_are_those_of_the_interface(makers):
    header = trials_csv(makers.make_small_result()).splitlines()[0].split(",")
    parameters = ["width", "pruning_ratio", "quantization", "runtime", "exit_threshold", "batch_size", "threads"]
    metrics = ["accuracy", "latency_ms", "cost_usd_per_million", "peak_memory_mib"]
    ends = [f"{metric}_{end}" for metric in metrics for end in ("low", "high")]
    assert header == ["trial", "state", "feasible", *parameters, *metrics, *ends]


def test_trials_csv_reads_back_equal(makers):
    result = makers.make_seeded_result(20)
    table = pd.read_csv(io.StringIO(trials_csv(result)))
    assert table["trial"].tolist() == list(range(20))
    for trial, row in zip(result.trials, table.to_dict("records"), strict=True):
        assert row["state"] == trial.state
        assert row["feasible"] == (trial.state == "complete")
        for name, value in trial.values().items():
            assert row[name] == value


def test_trials_csv_failed_and_unknown_have_empty_cells(makers):
    trials = [makers.make_trial(0, {"accuracy": Measurement.unknown("why")}), makers.make_trial(1, reason="no memory")]
    assert [row["accuracy"] for row in rows(trials_csv(makers.make_result(trials)))] == ["", ""]


def test_trials_csv_is_ordered_by_number(makers):
    trials = [makers.make_trial(number, {"accuracy": 0.5}) for number in (0, 2, 1)]
    assert [row["trial"] for row in rows(trials_csv(makers.make_result(trials)))] == ["0", "1", "2"]


def test_front_csv_has_the_fronts_rows_and_the_knee(makers):
    result = makers.make_small_result()
    found = rows(front_csv(front_view(result)))
    assert [(row["trial"], row["knee"]) for row in found] == [("0", "False"), ("1", "True"), ("2", "False")]


@pytest.mark.parametrize("word", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx"])
def test_trials_csv_text_that_a_spreadsheet_would_run_is_quoted(makers, word):
    result = makers.make_result([makers.make_trial(0, {"accuracy": 0.5}, Variant(runtime=word))])
    assert rows(trials_csv(result))[0]["runtime"] == f"'{word}"


def test_trials_csv_negative_numbers_stay_numbers(makers):
    result = makers.make_result([makers.make_trial(0, {"accuracy": -0.5})])
    assert rows(trials_csv(result))[0]["accuracy"] == "-0.5"


def test_trials_csv_width_per_stage_is_joined(makers):
    result = makers.make_result([makers.make_trial(0, {"accuracy": 0.5}, Variant(width=(0.5, 0.75, 1.0)))])
    assert rows(trials_csv(result))[0]["width"] == "0.5/0.75/1"


def test_front_csv_of_the_search_has_empty_cells_for_what_only_a_confirmation_knows(makers):
    result = makers.make_small_result()
    text = front_csv(front_view(result))
    assert text.splitlines()[0].endswith(",knee,probability,test_accuracy,ties")
    assert {(row["probability"], row["test_accuracy"], row["ties"]) for row in rows(text)} == {("", "", "")}


def test_front_csv_of_a_confirmed_front_has_probability_test_accuracy_and_ties(makers):
    result = makers.make_near_result()
    summary = front_view(result)
    (row,) = rows(front_csv(summary))
    assert (row["trial"], row["latency_ms"], row["ties"]) == ("2", "0.99", "1")
    assert float(row["probability"]) == summary.entries[0].probability
    assert float(row["test_accuracy"]) == pytest.approx(0.89)


def test_write_outputs_makes_the_three_files(makers, tmp_path):
    result = replace(makers.make_small_result(), folder=tmp_path / "study")
    write_outputs(result)
    assert sorted(entry.name for entry in result.folder.iterdir()) == ["front.csv", "report.html", "trials.csv"]


def test_write_outputs_again_replaces_them(makers, tmp_path):
    result = replace(makers.make_small_result(), folder=tmp_path)
    write_outputs(result)
    write_outputs(replace(result, trials=result.trials[:2]))
    assert len((tmp_path / "trials.csv").read_text().splitlines()) == 3


def test_write_outputs_folder_that_cannot_be_written_raises(makers, tmp_path):
    (tmp_path / "study").write_text("a file")
    with pytest.raises(OSError, match="study"):
        write_outputs(replace(makers.make_small_result(), folder=tmp_path / "study"))
