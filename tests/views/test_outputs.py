from dataclasses import replace

import pytest

from explorer.views.outputs import write_outputs


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
