"""The critical-difference diagram: mean ranks, and who cannot be told apart.

J. Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7, 2006.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from harness_reports.charts.style import NEUTRAL
from harness_reports.statistics.ranks import Ranks

LINE = 22
"""Pixels between two names."""
BAR = 0.35
"""Height of a bar, in lines."""
MARGIN = 150
"""Pixels for names, on either side."""


def critical_difference_diagram(ranks: Ranks) -> Any:
    """Return mean ranks on an axis, the best on the left; bars join who cannot be told apart."""
    mean = ranks.mean
    models = len(mean)
    half = (models + 1) // 2
    top = BAR * (len(ranks.bars) + 1)
    names = pd.DataFrame(
        {
            "model": mean.index.astype(str),
            "rank": mean.to_numpy(float),
            "edge": [1 if i < half else models for i in range(models)],
            "axis": 0.0,
            "level": [-top - min(i, models - 1 - i) for i in range(models)],
        }
    )
    depth = -names["level"].min() + 0.6
    x = alt.X(
        "rank:Q",
        title=None,
        scale=alt.Scale(domain=[1, models], nice=False, zero=False),
        axis=alt.Axis(
            orient="top", tickMinStep=1, format="d", grid=False, offset=-LINE * 1.4, domainWidth=1.5
        ),
    )
    y = alt.Y("level:Q", axis=None, scale=alt.Scale(domain=[-depth, 1.4], nice=False))
    tooltip = [alt.Tooltip("model:N"), alt.Tooltip("rank:Q", title="mean rank", format=".2f")]
    base = alt.Chart(names)
    drops = base.mark_rule(color=NEUTRAL).encode(x=x, y=y, y2="axis:Q", tooltip=tooltip)
    arms = base.mark_rule(color=NEUTRAL).encode(x=x, x2="edge:Q", y=y, tooltip=tooltip)
    layers = [drops, arms, *_names(names, y, tooltip), *_bars(ranks, y)]
    if pd.notna(ranks.critical_difference):
        layers += _scale(ranks.critical_difference, y)
    height = LINE * (depth + 1.4)
    return alt.layer(*layers).properties(
        width=420, height=height, padding={"left": MARGIN, "right": MARGIN, "top": 5, "bottom": 5}
    )


def _names(names: pd.DataFrame, y: alt.Y, tooltip: Sequence[alt.Tooltip]) -> list[alt.Chart]:
    texts = names.assign(text=names["model"] + "  " + names["rank"].map("{:.2f}".format))
    left, right = texts[texts["edge"] == 1], texts[texts["edge"] != 1]
    marks = [
        alt.Chart(left).mark_text(align="right", dx=-6, fontSize=11, limit=MARGIN),
        alt.Chart(right).mark_text(align="left", dx=6, fontSize=11, limit=MARGIN),
    ]
    return [mark.encode(x="edge:Q", y=y, text="text:N", tooltip=tooltip) for mark in marks]


def _bars(ranks: Ranks, y: alt.Y) -> list[alt.Chart]:
    bars = pd.DataFrame(
        [
            {
                "rank": ranks.mean[bar[0]] - 0.04,
                "end": ranks.mean[bar[-1]] + 0.04,
                "level": -BAR * (i + 1),
                "models": ", ".join(bar),
            }
            for i, bar in enumerate(ranks.bars)
        ],
        columns=["rank", "end", "level", "models"],
    )
    if bars.empty:
        return []
    tooltip = alt.Tooltip("models:N", title="cannot be told apart")
    mark = alt.Chart(bars).mark_rule(strokeWidth=4, color=NEUTRAL, strokeCap="round")
    return [mark.encode(x="rank:Q", x2="end:Q", y=y, tooltip=tooltip)]


def _scale(difference: float, y: alt.Y) -> list[alt.Chart]:
    scale = pd.DataFrame(
        [{"rank": 1.0, "end": 1.0 + difference, "level": 1.0, "text": f"CD = {difference:.2f}"}]
    )
    base = alt.Chart(scale)
    return [
        base.mark_rule(strokeWidth=1.5, color=NEUTRAL, clip=True).encode(
            x="rank:Q", x2="end:Q", y=y
        ),
        base.mark_text(align="left", dy=-8, fontSize=11).encode(x="rank:Q", y=y, text="text:N"),
    ]
