"""Curves of quality against usage: every seed, as measured during training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from harness_reports.charts.style import (
    PALETTE,
    SIZE,
    amount,
    by_colour,
    colours,
    quality,
    zoomable,
)
from harness_reports.columns import column

CURRENCIES = {
    "seconds": "device-seconds",
    "flops": "training FLOPs",
    "images": "images seen",
}


def measured(points: pd.DataFrame, labels: Mapping[str, str], metric: str) -> pd.DataFrame:
    """Return the points of some trials with a finite figure, under the names of their entries.

    Args:
        points: ``Results.curves``.
        labels: by trial.
        metric: a column of ``points``.
    """
    if metric not in points:
        return points.iloc[:0].reindex(columns=[*points, metric])
    chosen = points[points["trial"].isin(list(labels))]
    figures = pd.to_numeric(chosen[metric], errors="coerce").astype(float)
    names = chosen["trial"].map(labels)
    known = figures.abs().lt(float("inf"))
    chosen = chosen.assign(label=names)
    chosen[metric] = figures
    return chosen[known]


def curves(points: pd.DataFrame, metric: str, currency: str, labels: Sequence[str]) -> Any:
    """Return quality against one currency, one line per seed; the axes are logarithmic.

    Evaluations come at geometric fractions of a budget, and distances fall by decades.

    Args:
        points: see ``measured``.
        metric: a column of ``points``.
        currency: one of ``CURRENCIES``.
        labels: in the order of their colours.
    """
    heading, title = column(metric).heading, CURRENCIES[currency]
    data = pd.DataFrame(
        {
            "used": points[currency].astype(float),
            "quality": points[metric].astype(float),
            "model": points["label"].astype(str),
            "seed": points["seed"].astype(str),
            "weights": points["weights"].astype(str),
        }
    )
    data = data[data["used"] > 0]
    encodings: dict[str, Any] = {
        "x": amount("used", title),
        "y": quality("quality", data["quality"], heading),
        "color": by_colour("model", colours(labels)),
        "detail": ["seed:N", "weights:N"],
        "tooltip": [
            alt.Tooltip("model:N"),
            alt.Tooltip("seed:N"),
            alt.Tooltip("weights:N"),
            alt.Tooltip("used:Q", title=title, format=".4~s"),
            alt.Tooltip("quality:Q", title=heading, format=".4~r"),
        ],
    }
    if data["weights"].nunique() > 1:
        dashes = alt.Scale(domain=["averaged", "raw"], range=[[1, 0], [4, 3]])
        encodings["strokeDash"] = alt.StrokeDash("weights:N", scale=dashes, legend=None)
    line = alt.Chart(data).mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=28, filled=True))
    return zoomable(line.encode(**encodings).properties(**SIZE))


def one_model(metric: str) -> Any:
    """Return the chart of one model's seeds against the budget, into which a page puts points.

    Points have ``fraction``, ``quality``, ``seed`` and ``weights``.
    """
    heading = column(metric).heading
    line = alt.Chart(alt.InlineData(values=[])).mark_line(point=True)
    return line.encode(
        x=amount("fraction", "fraction of the budget", ".1~%"),
        y=alt.Y("quality:Q", title=heading, scale=alt.Scale(zero=False)),
        color=alt.Color("seed:N", scale=alt.Scale(range=PALETTE)),
        strokeDash=alt.StrokeDash("weights:N", legend=None),
        tooltip=[
            alt.Tooltip("seed:N"),
            alt.Tooltip("weights:N"),
            alt.Tooltip("fraction:Q", format=".1~%"),
            alt.Tooltip("quality:Q", title=heading, format=".4~r"),
        ],
    ).properties(height=240)
