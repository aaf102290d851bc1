import pytest

from explorer.views.theme import FIGURE_CONFIG, axis_label, is_wide_span, short_label


@pytest.mark.parametrize(
    ("values", "is_wide"),
    [([1.0, 20.0], True), ([1.0, 2.0], False), ([0.0, 20.0], False), ([None], False), ([], False)],
)
def test_is_wide_span_needs_positive_values_far_apart(values, is_wide):
    assert is_wide_span(values) is is_wide


def test_labels_have_units():
    assert axis_label("cost_usd_per_million") == "cost [$ per million]"
    assert short_label("cost_usd_per_million") == "cost [$/M]"
    assert (axis_label("trial"), short_label("n_parameters")) == ("trial", "parameters")


def test_figure_config_sends_nothing_anywhere():
    assert FIGURE_CONFIG["plotlyServerURL"] == ""
    assert "sendChartToCloud" in FIGURE_CONFIG["modeBarButtonsToRemove"]
