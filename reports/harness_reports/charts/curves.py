"""Curves of quality against what was used, with Altair: for the page, and as SVG for papers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from harness_reports.columns import column

# Mid-tones that stand out from white and from black, told apart by the colour-blind (after P. Tol).
PALETTE = (
    "#4477aa",
    "#ee6677",
    "#228833",
    "#b59410",
    "#33a6cc",
    "#aa3377",
    "#e07b39",
    "#7a68c8",
    "#4e9a8c",
    "#8c8c8c",
)
CURRENCIES = {
    "fraction": ("fraction of the budget", ".1~%"),
    "seconds": ("device-seconds", "~s"),
    "flops": ("training FLOPs", "~s"),
    "images": ("images seen", "~s"),
}


@dataclass(frozen=True)
class Curves:
    """Evaluations during training, of one metric and one table.

    Attributes:
        metric: its name among the columns of ``points``.
        points: as ``Results.curves``, with finite values only.
        labels: in the order of the ranking, which is that of the colours.
    """

    metric: str
    points: pd.DataFrame
    labels: tuple[str, ...]

    @property
    def colours(self) -> dict[str, str]:
        """The colour of each label."""
        return {label: PALETTE[i % len(PALETTE)] for i, label in enumerate(self.labels)}


def curves(points: pd.DataFrame, trials: Sequence[str], metric: str = "fid") -> Curves | None:
    """Return the curves of ``metric`` over ``trials``, or None where nothing was evaluated."""
    if metric not in points:
        return None
    chosen = points[points["trial"].isin(trials)].copy()
    chosen[metric] = pd.to_numeric(chosen[metric], errors="coerce")
    chosen = chosen[chosen[metric].abs().lt(float("inf"))]
    if chosen.empty:
        return None
    order = {trial: i for i, trial in enumerate(trials)}
    labels = chosen.sort_values("trial", key=lambda column: column.map(order))["label"].unique()
    return Curves(metric, chosen, tuple(map(str, labels)))


def chart(curves: Curves, currency: str, legend: bool = True) -> alt.Chart:
    """Return quality against one currency, a line a seed; the axes are logarithmic.

    Evaluations come at geometric fractions of a budget, and distances fall by decades.
    """
    title, ticks = CURRENCIES[currency]
    heading = column(curves.metric).heading
    data = pd.DataFrame(
        {
            "used": curves.points[currency].astype(float),
            "quality": curves.points[curves.metric],
            "model": curves.points["label"].astype(str),
            "seed": curves.points["seed"].astype(str),
            "weights": curves.points["weights"].astype(str),
        }
    )
    data = data[data["used"] > 0]
    colour = alt.Color(
        "model:N",
        title=None,
        scale=alt.Scale(domain=[*curves.colours], range=[*curves.colours.values()]),
        legend=alt.Legend(symbolType="stroke", symbolStrokeWidth=3) if legend else None,
    )
    encodings: dict[str, Any] = {
        "x": alt.X(
            "used:Q",
            title=title,
            scale=alt.Scale(type="log", nice=False, padding=8),
            axis=alt.Axis(format=ticks, tickCount=5, labelOverlap="greedy", grid=False),
        ),
        "y": alt.Y(
            "quality:Q",
            title=heading,
            scale=_scale(data["quality"]),
            axis=alt.Axis(format="~g", tickCount=5, labelOverlap="greedy"),
        ),
        "color": colour,
        "detail": ["seed:N", "weights:N"],
        "tooltip": [
            alt.Tooltip("model:N"),
            alt.Tooltip("seed:N"),
            alt.Tooltip("weights:N"),
            alt.Tooltip("used:Q", title=title, format=ticks if currency == "fraction" else ".4~s"),
            alt.Tooltip("quality:Q", title=heading, format=".4~r"),
        ],
    }
    if data["weights"].nunique() > 1:
        dashes = alt.Scale(domain=["averaged", "raw"], range=[[1, 0], [4, 3]])
        encodings["strokeDash"] = alt.StrokeDash("weights:N", scale=dashes, legend=None)
    line = alt.Chart(data).mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=28, filled=True))
    drawn: alt.Chart = line.encode(**encodings)
    return drawn


def specification(chart: alt.Chart) -> dict[str, Any]:
    """Return the Vega-Lite of a chart that fills its container and lets the page colour it."""
    sized = chart.properties(width="container", height=240).configure(background="transparent")
    specification: dict[str, Any] = sized.configure_view(stroke=None).to_dict()
    return specification


def write_svg(curves: Curves, currency: str, path: Path) -> Path:
    """Write a chart, 480 by 320, with its legend."""
    drawn = chart(curves, currency).properties(width=480, height=320)
    drawn.configure_view(stroke=None).save(path, format="svg")
    return path


def _scale(values: pd.Series[float]) -> alt.Scale:
    if (values > 0).all():
        return alt.Scale(type="log", nice=False, padding=8)
    return alt.Scale(zero=False)
