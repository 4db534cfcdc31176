"""The staircase: the best model as a function of compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from harness_reports.charts.curves import CURRENCIES
from harness_reports.charts.names import LIMIT
from harness_reports.charts.style import (
    NEUTRAL,
    SIZE,
    amount,
    by_colour,
    colours,
    quality,
    zoomable,
)
from harness_reports.columns import column


def staircase(
    steps: pd.DataFrame, metric: str, currency: str, end: float, labels: Sequence[str]
) -> Any:
    """Return the best quality so far against one currency, in the colour of the leading model.

    Args:
        steps: see ``harness_reports.statistics.anytime.staircase``.
        metric: of the points.
        currency: one of ``CURRENCIES``.
        end: the most that any model used.
        labels: in the order of their colours.
    """
    heading, title = column(metric).heading, CURRENCIES[currency]
    data = steps[["used", "quality"]].assign(model=steps["label"].astype(str))
    data["until"] = data["used"].shift(-1).fillna(max(end, data["used"].iloc[-1]))
    data["next"] = data["quality"].shift(-1).fillna(data["quality"])
    base = alt.Chart(data).encode(x=amount("used", title))
    y = quality("quality", data["quality"], heading, padding=25)
    treads = base.mark_rule(strokeWidth=4).encode(
        y=y,
        x2="until:Q",
        color=by_colour("model", colours(labels)),
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("used:Q", title=f"from {title}", format=".4~s"),
            alt.Tooltip("quality:Q", title=heading, format=".4~r"),
        ],
    )
    risers = base.mark_rule(color=NEUTRAL, opacity=0.6).encode(
        x=amount("until", title), y=y, y2="next:Q"
    )
    measured = base.mark_point(filled=True, size=45, opacity=1).encode(
        y=y, color=by_colour("model", colours(labels))
    )
    leaders = data[data["model"] != data["model"].shift()]
    names = alt.Chart(leaders).mark_text(align="left", dy=-9, fontSize=11, limit=LIMIT)
    named = names.encode(x=amount("used", title), y=y, text="model:N")
    return (risers + zoomable(treads) + measured + named).properties(**SIZE)
