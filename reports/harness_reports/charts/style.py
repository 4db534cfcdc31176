"""Shared by charts: colours, axes, zoom, and output to a page or a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

# Mid-tones that stand out from white and from black, told apart by the colour-blind (after P. Tol).
PALETTE = (
    *("#4477aa", "#ee6677", "#228833", "#b59410", "#33a6cc", "#aa3377"),
    *("#e07b39", "#7a68c8", "#4e9a8c", "#8c8c8c", "#b0605a", "#7f9a2e"),
)
NEUTRAL = "#8a8f98"
SIZE = {"width": 480, "height": 320}


def colours(labels: Iterable[str]) -> dict[str, str]:
    """Return a distinct colour for each label; those beyond the palette get none."""
    return dict(zip(dict.fromkeys(labels), PALETTE, strict=False))


def by_colour(field: str, colours: Mapping[str, str], symbol: str = "stroke") -> Any:
    """Return the colour of ``field``; what has no colour of its own is grey, and not in the key."""
    scale = alt.Scale(domain=[*colours], range=[*colours.values()])
    legend = alt.Legend(symbolType=symbol, symbolStrokeWidth=3, title=None)
    coloured = alt.FieldOneOfPredicate(field=field, oneOf=[*colours])
    return (
        alt.when(coloured)
        .then(f"{field}:N", scale=scale, legend=legend)
        .otherwise(alt.value(NEUTRAL))
    )


def quality(field: str, values: pd.Series[float], title: str, padding: int = 12) -> alt.Y:
    """Return the axis of a metric: logarithmic if possible, as distances fall by decades.

    ``padding`` is the room beyond the data, in pixels, for example for names of points.
    """
    return alt.Y(
        f"{field}:Q",
        title=title,
        scale=alt.Scale(type="log", nice=False, padding=padding)
        if (values > 0).all()
        else alt.Scale(zero=False, padding=padding),
        axis=alt.Axis(format="~g", tickCount=5, labelOverlap="greedy"),
    )


def amount(field: str, title: str, ticks: str = "~s", padding: int = 12) -> alt.X:
    """Return the logarithmic axis of usage."""
    return alt.X(
        f"{field}:Q",
        title=title,
        scale=alt.Scale(type="log", nice=False, padding=padding),
        axis=alt.Axis(format=ticks, tickCount=5, labelOverlap="greedy", grid=False),
    )


def zoomable(chart: Any) -> Any:
    """Let a reader pan a chart by dragging, and zoom it by Ctrl and the wheel."""
    mouse = "[pointerdown[event.pointerType === 'mouse'], window:pointerup] > window:pointermove!"
    zoom = "wheel![event.ctrlKey || event.metaKey]"
    scales = alt.selection_interval(name="zoom", bind="scales", translate=mouse, zoom=zoom)
    # Altair numbers unnamed parts, over all charts of a process.
    return chart.properties(name="zoomed").add_params(scales)


def specification(chart: Any) -> dict[str, Any]:
    """Return the Vega-Lite of a chart that fills its container; the page has colours and key."""
    sized = chart.properties(width="container").configure(background="transparent")
    made: dict[str, Any] = _without_keys(sized.configure_view(stroke=None).to_dict())
    return made


def _without_keys(part: Any) -> Any:
    if isinstance(part, dict):
        kept = {name: _without_keys(value) for name, value in part.items()}
        return kept | {"legend": None} if "legend" in kept else kept
    return [_without_keys(value) for value in part] if isinstance(part, list) else part


def save(chart: Any, path: Path) -> None:
    """Write a chart as ``path`` with the suffixes .svg and .pdf."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = chart.configure_view(stroke=None).to_dict()
    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    svg = numbered(vl_convert.vegalite_to_svg(drawn, vl_version=version))
    path.with_suffix(".svg").write_text(svg, encoding="utf-8")
    path.with_suffix(".pdf").write_bytes(vl_convert.svg_to_pdf(svg))


def numbered(svg: str) -> str:
    """Return an SVG whose clip paths are numbered from 0; Vega numbers them across a process."""
    names: dict[str, str] = {}

    def rename(match: re.Match[str]) -> str:
        name = names.setdefault(match["name"], f"clip{len(names)}")
        return f"{match['before']}{name}{match['after']}"

    return re.sub(r'(?P<before>\bid="|url\(#)(?P<name>clip\d+)(?P<after>["\)])', rename, svg)
