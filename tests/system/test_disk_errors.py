"""What a disk refuses is one sentence: of a full one, of a file of the study, of no file at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from fakes import FakeEvaluator, RecordingView, small_space, start

from explorer.errors import ExplorerError, StudyError
from explorer.study.read import load_result
from explorer.system.disk_errors import explaining_disk_errors


def refused(number: int, file: Path | None = None) -> OSError:
    return OSError(number, os.strerror(number), *([] if file is None else [str(file)]))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_disk_full_of_every_error_number_is_explained(tmp_path, number):
    words = f"^disk full: {tmp_path} cannot be written .*free some space"
    with pytest.raises(ExplorerError, match=words) as said, explaining_disk_errors(tmp_path):
        raise refused(number)
    assert said.value.exit_code == 1


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EROFS])
@pytest.mark.parametrize("name", [None, "now.json"])
def test_disk_that_does_not_work_is_the_studys(tmp_path, number, name):
    file = None if name is None else tmp_path / name
    words = f"^{file or tmp_path} cannot be used .*Nothing is lost"
    with pytest.raises(StudyError, match=words) as said, explaining_disk_errors(tmp_path):
        raise refused(number, file)
    assert said.value.exit_code == 6


@pytest.mark.parametrize("error", [refused(errno.EPIPE), refused(errno.EIO, Path("/elsewhere")), OSError("no number")])
def test_disk_errors_of_others_pass(tmp_path, error):
    with pytest.raises(OSError) as passed, explaining_disk_errors(tmp_path):
        raise error
    assert passed.value is error


def test_study_whose_disk_cannot_be_read_or_written_stops_with_a_sentence_and_resumes(tmp_path, monkeypatch):
    folder, view, fsync = tmp_path / "small", RecordingView(), os.fsync

    def fail(variant, number):
        if number == 3:
            monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(refused(errno.EIO)))

    with pytest.raises(StudyError, match=r"small/.* cannot be used \(Input/output error\).*start the study again"):
        start(small_space(n_trials=5), folder, FakeEvaluator(folder, before=fail), view)
    monkeypatch.setattr(os, "fsync", fsync)
    assert list(load_result(folder).trials) == view.records
    assert len(start(small_space(n_trials=5), folder).trials) == 5
