import base64
import json
from dataclasses import replace

import pytest

from explorer.views.page_data import page_data, trial_rows
from explorer.views.shown import shown_study


@pytest.fixture
def confirmed(makers):
    changes = {1: {"latency_ms": (1.1, 1.2, 1.3, 1.2, 1.2)}}
    return makers.make_confirmed(makers.make_small_result(), changes, finalists=[0, 1, 2])


def test_page_data_confirmed_finalists_have_confirmed_values_and_the_searchs_beside(confirmed):
    data = page_data(confirmed)
    trials, said = data["trials"], data["confirmation"]
    assert trials["metrics"]["latency_ms"]["value"] == [3.0, 1.2, 0.5, 2.0, 0.1, None]
    assert trials["confirmed"] == [1, 1, 1, 0, 0, 0]
    assert trials["membership"][3:] == [None] * 3
    assert trials["membership"][:3] == [one.probability for one in shown_study(confirmed).standings.values()]
    assert said["searched"]["1"]["metrics"]["latency_ms"] == [1.0, None, None]
    assert (said["n_rounds"], said["is_stale"], said["why"]) == (5, False, {})
    assert said["test_accuracies"]["1"][0] == pytest.approx(0.89)
    json.dumps(data, allow_nan=False)


def test_page_data_packed_confirmation_is_the_same(confirmed):
    packed = page_data(confirmed, is_packed=True)
    assert packed["confirmation"] == page_data(confirmed)["confirmation"]
    assert base64.b64decode(packed["trials"]["confirmed"]["u1"]) == bytes([1, 1, 1, 0, 0, 0])


def test_page_data_stale_confirmation_says_only_that(makers, confirmed):
    more = replace(confirmed, trials=(*confirmed.trials, makers.make_trial(6, reason="gone")))
    data = page_data(more)
    assert data["confirmation"] == {"is_stale": True}
    assert data["trials"]["membership"] is data["trials"]["confirmed"] is None
    assert data["trials"]["metrics"]["latency_ms"]["value"][1] == 1.0


def test_trial_rows_of_a_confirmed_study_are_the_snapshots(confirmed):
    assert trial_rows(confirmed, 0) == page_data(confirmed)["trials"]


def test_page_data_finalist_that_is_not_confirmed_says_why(makers):
    data = page_data(makers.make_confirmed(makers.make_small_result(), invalid=[2]))
    assert data["trials"]["confirmed"][2] == 0
    assert "5 of 5 rounds" in data["confirmation"]["why"]["2"]
