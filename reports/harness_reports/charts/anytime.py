"""Anytime curves: quality after each part of the budget, the mean over seeds with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from harness_reports.charts.style import SIZE, amount, by_colour, colours, quality, zoomable
from harness_reports.columns import column


def anytime(points: pd.DataFrame, metric: str, labels: Sequence[str]) -> Any:
    """Return mean quality against the fraction of the budget, intervals as bands.

    Args:
        points: see ``harness_reports.statistics.anytime.progress``.
        metric: of the points.
        labels: in the order of their colours.
    """
    heading = column(metric).heading
    data = points[["label", "fraction", "mean", "low", "high", "seeds"]]
    data = data.rename(columns={"label": "model", "mean": "quality"})
    if (data["quality"] > 0).all():
        # An interval that extends below zero has no end on a logarithmic axis.
        data["low"] = data["low"].clip(lower=data["quality"].min() / 2)
    colour = by_colour("model", colours(labels))
    x = amount("fraction", "fraction of the budget", ".1~%")
    y = quality("quality", data["quality"], heading)
    tooltip = [
        alt.Tooltip("model:N"),
        alt.Tooltip("fraction:Q", title="fraction of the budget", format=".1~%"),
        alt.Tooltip("quality:Q", title=heading, format=".4~r"),
        alt.Tooltip("low:Q", title="interval from", format=".4~r"),
        alt.Tooltip("high:Q", title="to", format=".4~r"),
        alt.Tooltip("seeds:Q"),
    ]
    lines = alt.Chart(data).mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=28, filled=True))
    drawn = zoomable(lines.encode(x=x, y=y, color=colour, tooltip=tooltip))
    bands = data.dropna(subset=["low", "high"])
    if bands.empty:
        return drawn.properties(**SIZE)
    band = (
        alt.Chart(bands).mark_area(opacity=0.15).encode(x=x, y=y_low(y), y2="high:Q", color=colour)
    )
    return (band + drawn).properties(**SIZE)


def y_low(y: alt.Y) -> alt.Y:
    """Return the axis ``y`` for the lower ends of intervals."""
    lower: alt.Y = y.copy()
    lower.shorthand = "low:Q"
    return lower
