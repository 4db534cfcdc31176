"""Names beside points, each on the side without an overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence

FONT = 11
LETTER = 6
"""Approximate width of a letter in pixels."""
LIMIT = 180
"""Pixels beyond which a name is truncated."""
DOT = 6
ABOVE, BELOW = -11, 12


def sides(names: Sequence[str], x: Sequence[float], y: Sequence[float]) -> list[int]:
    """Return for each name whether it stands ``ABOVE`` or ``BELOW`` its point, in pixels downwards.

    Above, unless another point or an earlier name is there and nothing is below.

    Args:
        names: of the points.
        x: of the points, in pixels.
        y: the same, downwards.
    """
    taken = [(across, down, float(DOT)) for across, down in zip(x, y, strict=True)]
    chosen = []
    for name, across, down in zip(names, x, y, strict=True):
        half = min(LETTER * len(name), LIMIT) / 2
        free = (
            side
            for side in (ABOVE, BELOW)
            if all(
                abs(across - other) >= half + width or abs(down + side - height) >= FONT
                for other, height, width in taken
            )
        )
        side = next(free, ABOVE)
        taken.append((across, down + side, half))
        chosen.append(side)
    return chosen


def pixels(values: Sequence[float], size: int, padding: int) -> list[float]:
    """Return positions of figures on an axis with room at both ends: logarithmic, if possible."""
    places = [math.log(value) for value in values] if min(values) > 0 else list(values)
    least = min(places)
    span = max(places) - least or 1
    return [padding + (place - least) / span * (size - 2 * padding) for place in places]
