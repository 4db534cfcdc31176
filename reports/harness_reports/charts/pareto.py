"""Pareto fronts: quality against cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from harness_reports.charts.names import FONT, LIMIT, pixels, sides
from harness_reports.charts.style import SIZE, amount, by_colour, colours, quality, zoomable

FRONT = "on the front"
NAMED = 15
"""Maximum models that are all named; of more, only those on the front."""
ROOM = {"width": 45, "height": 25}
"""Beyond the points, for their names."""


def pareto(points: pd.DataFrame, heading: str, cost: str, labels: Sequence[str]) -> Any:
    """Return quality against a cost, with a line along the models that none dominates.

    Args:
        points: of one table; see ``harness_reports.statistics.pareto.trade_off``.
        heading: column of the quality.
        cost: column of the cost.
        labels: in the order of their colours.
    """
    data = pd.DataFrame(
        {
            "model": points["Model"].astype(str),
            "cost": points[cost].astype(float),
            "quality": points[heading].astype(float),
            "front": points["front"].map({True: FRONT, False: "dominated"}),
        }
    )
    x = amount("cost", cost, padding=ROOM["width"])
    y = quality("quality", data["quality"], heading, padding=ROOM["height"])
    front = data[points["front"].to_numpy(bool)]
    line = alt.Chart(front).mark_line(strokeDash=[4, 3], strokeWidth=1.5, opacity=0.6)
    dots = (
        alt.Chart(data)
        .mark_point(filled=True, size=90, opacity=1)
        .encode(
            x=x,
            y=y,
            color=by_colour("model", colours(labels), symbol="circle"),
            opacity=alt.when(alt.datum.front == FRONT)
            .then(alt.value(1))
            .otherwise(alt.value(0.45)),
            tooltip=[
                alt.Tooltip("model:N"),
                alt.Tooltip("cost:Q", title=cost, format=".4~s"),
                alt.Tooltip("quality:Q", title=heading, format=".4~r"),
                alt.Tooltip("front:N", title="Pareto"),
            ],
        )
    )
    named = data if len(data) <= NAMED else front
    place = pd.Series(_sides(data), data.index)[named.index]
    names = [
        alt.Chart(named[place == side])
        .mark_text(dy=side, fontSize=FONT, limit=LIMIT)
        .encode(x=x, y=y, text="model:N")
        for side in sorted({*place})
    ]
    return alt.layer(line.encode(x=x, y=y), zoomable(dots), *names).properties(**SIZE)


def _sides(data: pd.DataFrame) -> list[int]:
    across = pixels(data["cost"].tolist(), SIZE["width"], ROOM["width"])
    up = pixels(data["quality"].tolist(), SIZE["height"], ROOM["height"])
    return sides(data["model"].tolist(), across, [SIZE["height"] - place for place in up])
