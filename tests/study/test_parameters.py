"""A parameter that one family alone declares, in a study and in what is shown and shipped of it."""

from __future__ import annotations

import csv
import io
import json

from fakes import small_space, start

from explorer.deploy.manifest import read_variant
from explorer.study.read import load_result
from explorer.views.formatting import varying_parameters
from explorer.views.outputs import trials_csv


def test_depth_is_in_the_study_its_tables_and_its_manifests(tmp_path):
    result = start(small_space(depth=(0, 1, 2), runtime=("eager",), quantization=("none",)), tmp_path / "small")
    again = load_result(tmp_path / "small")
    assert [trial.variant for trial in again.trials] == [trial.variant for trial in result.trials]
    assert {trial.variant["depth"] for trial in again.trials} == {0, 1, 2}
    assert {row["depth"] for row in csv.DictReader(io.StringIO(trials_csv(again)))} == {"0", "1", "2"}
    assert "depth" in varying_parameters(again.space)
    assert all(read_variant(json.loads(json.dumps(t.variant.to_json()))) == t.variant for t in again.trials)
