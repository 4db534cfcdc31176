"""Formatting of numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable

PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")


def decimals(values: Iterable[float], least: int = 1, most: int = 3) -> int:
    """Return the decimals that give the smallest of ``values`` three significant figures."""
    sizes = [abs(value) for value in values if math.isfinite(value) and value != 0]
    if not sizes:
        return most
    return min(max(2 - math.floor(math.log10(min(sizes))), least), most)


def fixed(value: float, places: int) -> str:
    """Return ``value`` rounded to ``places`` decimals, with thousands separated."""
    return f"{value:,.{places}f}" if math.isfinite(value) else _special(value)


def significant(value: float, digits: int = 3) -> str:
    """Return ``value`` rounded to significant figures, never in exponents: 36,500; 7.18."""
    if not math.isfinite(value):
        return _special(value)
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    places = max(digits - 1 - math.floor(math.log10(abs(rounded))), 0)
    return f"{rounded:,.{places}f}"


def count(value: float) -> str:
    """Return a count with thousands separated; a mean of counts to at least three figures."""
    return fixed(value, 0) if value >= 100 or float(value).is_integer() else significant(value)


def spread(error: float, printed: str) -> str:
    """Return ``error`` to the decimals of the ``printed`` value, or to two figures if it has none.

    One that would vanish is printed as "<0.01".
    """
    places = len(printed.partition(".")[2])
    if not places or not math.isfinite(error):
        return significant(error, 2)
    text = fixed(error, places)
    return f"<{text[:-1]}1" if error > 0 and not text.strip("0.") else text


def prefixed(value: float, unit: str = "", digits: int = 3) -> str:
    """Return ``value`` with a decimal prefix: 1.20M, 3.41 GFLOP."""
    if not math.isfinite(value):
        return _special(value)
    rounded = float(f"{value:.{digits - 1}e}")
    power = 0 if rounded == 0 else math.floor(math.log10(abs(rounded)) / 3 + 1e-9)
    power = min(max(power, 0), len(PREFIXES) - 1)
    scaled = rounded / 1000**power
    exact = power == 0 and float(value).is_integer()
    text = f"{value:.0f}" if exact else significant(scaled, digits)
    return f"{text}{' ' if unit else ''}{PREFIXES[power]}{unit}"


def _special(value: float) -> str:
    if math.isnan(value):
        return "not a number"
    return "∞" if value > 0 else "−∞"
