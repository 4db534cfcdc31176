r"""Whether a row that was run again agrees with the row it repeats.

Under a budget of FLOPs, images or steps, and on a machine of the same kind, the bits have to agree:
digests of samples and weights, what was used, and every figure but timings.

Elsewhere a figure agrees if it is within the interval of one more training. With values of n seeds
of the same model, whose standard deviation is s, two trainings differ by less than

.. math:: t_{n-1} \, s \sqrt{2}

at the level asked for: the spread over seeds holds that over sets of samples. With one seed only
the errors of the two figures themselves are known, e and e', and figures agree within z sqrt(e^2 +
e'^2); with k sets of samples e = s / sqrt(k), and t of both sets' freedom takes the place of z.
The verdict rests on the headline figures, at ``LEVEL`` for all of them together (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import stdev

from harness.machine.hardware import computes_alike
from harness.planning.budget import Budget, Currency
from harness.row import Measurement, Row

LEVEL = 0.95
HEADLINE = ("fid", "is", "bits_per_dim")
TIMINGS = ("images_per_second", "latency")
"""Figures that are timings; no machine repeats them."""
USED = ("flops", "images", "steps", "batches")
TOLERANCE = 1e-6
"""Relative; of figures from the same bits, as of metrics against reference libraries."""


@dataclass(frozen=True)
class Comparison:
    """One comparison.

    Attributes:
        name: what was compared.
        agrees: None where nothing can be expected.
        words: both values, and the interval if there is one.
        decides: whether the verdict rests on it.
    """

    name: str
    agrees: bool | None
    words: str
    decides: bool = True


def repeats_bits(row: Row) -> bool:
    """Return whether the same machine gives the same bits: no clock decides when training ends."""
    return not row.budget or Budget.parse(row.budget).currency is not Currency.SECONDS


def why_not_bits(row: Row, again: Row) -> str:
    """Return why bits are not expected to agree, or "" where they are."""
    if not repeats_bits(row):
        return f"a budget of {row.budget} ends training by the clock"
    different = computes_alike(row.hardware, again.hardware)
    return f"another kind of machine: {', '.join(different)}" if different else ""


def compare(row: Row, again: Row, seeds: Sequence[Row]) -> list[Comparison]:
    """Return everything that can be compared.

    Args:
        row: the original.
        again: as it is now.
        seeds: rows of the same model with all seeds there are, ``row`` among them.
    """
    if row.status != "ok" or again.status != "ok":
        words = f"{row.status}, now {again.status}"
        words += f": {again.reason}" if again.reason and again.status != row.status else ""
        return [Comparison("status", row.status == again.status, words)]
    timings = [_timing(name, row, again) for name in TIMINGS if name in row.metrics]
    if why_not_bits(row, again):
        return [*_within_intervals(row, again, seeds), *timings]
    return [*_bits(row, again), *timings]


def _bits(row: Row, again: Row) -> Iterable[Comparison]:
    for name, digest in row.digests.items():
        found = again.digests.get(name, "none")
        yield Comparison(name, digest == found, f"SHA-256 {digest[:12]}, now {found[:12]}")
    for name in USED:
        then, now = getattr(row.usage, name), getattr(again.usage, name)
        yield Comparison(name, then == now, f"{then:,}, now {now:,}")
    for name in _figures(row, again):
        then, now = _value(row, name), _value(again, name)
        yield Comparison(name, _same(then, now), f"{_show(then)}, now {_show(now)}")


def _within_intervals(row: Row, again: Row, seeds: Sequence[Row]) -> Iterable[Comparison]:
    names = _figures(row, again)
    headline = [name for name in HEADLINE if name in names] or names
    for name in names:
        then, now = row.metrics.get(name), again.metrics.get(name)
        decides = name in headline
        if then is None or now is None or then.value is None or now.value is None:
            have, has = _value(row, name), _value(again, name)
            yield Comparison(name, _same(have, has), f"{_show(have)}, now {_show(has)}", decides)
            continue
        values = [v for other in seeds if (v := _value(other, name)) is not None]
        width, how = half_width(then, now, values, 1 - (1 - LEVEL) / len(headline))
        difference = abs(now.value - then.value)
        agrees = None if width is None else difference <= width + TOLERANCE * abs(then.value)
        words = f"{_show(then.value)}, now {_show(now.value)}; {how}"
        yield Comparison(name, agrees, words, decides)


def half_width(
    then: Measurement, now: Measurement, values: Sequence[float], level: float
) -> tuple[float | None, str]:
    """Return by how much two trainings may differ at a level, and what that is based on.

    Args:
        then: the figure.
        now: the same of another training.
        values: the figure of every seed that there is.
        level: probability that two trainings differ by less.
    """
    from scipy.special import ndtri, stdtrit

    upper = (1 + level) / 2
    if len(values) > 1:
        width = float(stdtrit(len(values) - 1, upper)) * stdev(values) * math.sqrt(2)
        return width, f"may differ by {_show(width)} ({len(values)} seeds)"
    if len(then.sets) > 1 and len(now.sets) > 1:
        error = math.hypot(*(stdev(m.sets) / math.sqrt(len(m.sets)) for m in (then, now)))
        width = float(stdtrit(len(then.sets) + len(now.sets) - 2, upper)) * error
        return width, f"may differ by {_show(width)} (sets of samples alone: one seed)"
    if then.error is not None and now.error is not None:
        width = float(ndtri(upper)) * math.hypot(then.error, now.error)
        return width, f"may differ by {_show(width)} (errors of the figures alone: one seed)"
    return None, "there is nothing to estimate by how much it may differ"


def _figures(row: Row, again: Row) -> list[str]:
    return [n for n in dict.fromkeys((*row.metrics, *again.metrics)) if n not in TIMINGS]


def _timing(name: str, row: Row, again: Row) -> Comparison:
    then, now = _value(row, name), _value(again, name)
    ratio = f" (x {now / then:.2f})" if then and now else ""
    return Comparison(name, None, f"{_show(then)}, now {_show(now)}{ratio}", decides=False)


def _same(then: float | None, now: float | None) -> bool:
    if then is None or now is None:
        return then is now
    undefined = math.isnan(then) and math.isnan(now)
    return undefined or math.isclose(then, now, rel_tol=TOLERANCE, abs_tol=1e-9)


def _value(row: Row, name: str) -> float | None:
    return row.metrics[name].value if name in row.metrics else None


def _show(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"
