"""The look that every figure has: colors, axes, labels, and what Plotly's toolbar may do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from explorer.views.points import TRIAL_AXIS
from explorer.views.wording import metric_label, metric_title, short_unit

# Okabe & Ito (2008) colors, and cividis (Nuñez et al. 2018): both can be told apart without red and green.
INK, GRID, FAINT, LINE = "#1f2933", "#e8ecf1", "#b3bcc8", "#52606d"
KNEE, FRONT = "#d55e00", "#0072b2"
SCALE = "Cividis"
# An axis whose values span more than this is drawn in logarithms.
_LOG_SPAN = 8.0
# 0.1, 0.2, 0.5, 1: in full, where Plotly would write lone digits between the decades.
LOG_TICKS = {"dtick": "D2", "tickformat": "~g"}

# For `Plotly.newPlot` and `Figure.show`: by default Plotly has a button that uploads the chart's data to a server.
FIGURE_CONFIG: Mapping[str, Any] = MappingProxyType(
    {
        "responsive": True,
        "displaylogo": False,
        "showSendToCloud": False,
        "plotlyServerURL": "",
        "modeBarButtonsToRemove": ["sendChartToCloud", "select2d", "lasso2d", "autoScale2d"],
    }
)


def axis_label(axis: str) -> str:
    """An axis in words, with its unit."""
    return "trial" if axis == TRIAL_AXIS else metric_label(axis)


def is_wide_span(values: Sequence[float | None]) -> bool:
    """Whether values span so much that logarithms show them better; never with zeros or negative ones."""
    known = [value for value in values if value is not None]
    return bool(known) and min(known) > 0 and max(known) / min(known) > _LOG_SPAN


def short_label(metric: str) -> str:
    """A metric's title with its shortest unit."""
    return f"{metric_title(metric)} [{short_unit(metric)}]" if short_unit(metric) else metric_title(metric)


def layout(**more: Any) -> dict[str, Any]:
    """The light theme that every figure has."""
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": "#cbd2d9", "ticks": "outside", "tickcolor": "#cbd2d9"}
    return {
        "template": "none",
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "hoverlabel": {"bgcolor": "white", "bordercolor": "#cbd2d9", "align": "left", "font": {"color": INK}},
        "margin": {"l": 64, "r": 16, "t": 40, "b": 56},
        "xaxis": axis,
        "yaxis": axis,
        **more,
    }
