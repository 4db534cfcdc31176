"""Figures of a model, each measured or with the reason why it is missing.

A model has been trained for hours when this begins. What keeps one figure from being had, a metric
that raises or a batch too large for the memory, is therefore the reason of that figure alone.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from torch import Tensor

from harness.files.disk import is_disk_full
from harness.files.images import ImageError
from harness.machine.exceptions import explain
from harness.machine.heartbeat import Interrupted
from harness.measurement.plausibility import outside, real_number
from harness.metrics.base import Figure
from harness.row import Measurement

log = logging.getLogger(__name__)


Metrics = dict[str, Measurement]
"""Figures by name."""


def ignore() -> None:
    """Do nothing at a heartbeat."""


@contextmanager
def guarded(names: Collection[str], measured: Metrics) -> Iterator[None]:
    """Go on after what is inside raises, with the reason in each of ``names`` in ``measured``."""
    try:
        yield
    except Exception as error:
        measured |= missing(names, why_missing(names, error))


def why_missing(names: Collection[str], error: Exception) -> str:
    """Return why there are no such figures.

    Being asked to stop is no reason, nor is a full disk, after which the next run resumes, nor are
    files of images that are damaged: these are passed on.
    """
    if isinstance(error, Interrupted | ImageError) or is_disk_full(error):
        raise error
    # A metric raises ``ValueError`` to say why, in words; anything else needs to be told in full.
    in_words = isinstance(error, ValueError) and str(error)
    told = explain(error)
    log.warning("no %s: %s", ", ".join(names), told, exc_info=None if in_words else error)
    return str(error) if in_words else told


def measured_value(
    found: Tensor | Figure | str, protocol: str, limits: tuple[float, float]
) -> Measurement:
    """Return what a metric found; infinity and NaN have no mean over sets, and are no figure."""
    if isinstance(found, str):
        return Measurement(value=None, reason=found)
    figure = found if isinstance(found, Figure) else Figure(found)
    value = real_number(figure.value)
    if not math.isfinite(value):
        return Measurement(value=None, reason=f"it came out {value}")
    if impossible := outside(value, limits):
        return Measurement(value=None, reason=impossible)
    error = None if figure.error is None else real_number(figure.error)
    reasons = [figure.warning]
    if error is not None and not 0 <= error < math.inf:
        reasons.append(f"its standard error came out {error}")
        error = None
    reason = "; ".join(filter(None, reasons)) or None
    return Measurement(value=value, error=error, protocol=protocol, reason=reason)


def missing(names: Collection[str], reason: str) -> Metrics:
    """Return why each of ``names`` has no value."""
    return {name: Measurement(value=None, reason=reason) for name in names}


def mean_over_sets(measurements: Sequence[Measurement], alike: str | None = None) -> Measurement:
    """Return the mean over sets of samples, or why one of them has no value.

    Args:
        measurements: of each set.
        alike: why their spread tells of no uncertainty, or None if it does.
    """
    missing = next((m for m in measurements if m.value is None), None)
    if missing is not None or len(measurements) == 1:
        return missing or measurements[0]
    values = [m.value for m in measurements if m.value is not None]
    sets = f"mean and standard deviation of {len(values)} sets"
    warning = next((m.reason for m in measurements if m.reason), None)
    return Measurement(
        value=float(np.mean(values)),
        error=None if alike else float(np.std(values, ddof=1)),
        protocol=f"{measurements[0].protocol}, {sets}",
        reason="; ".join(filter(None, (warning, alike))) or None,
        sets=tuple(values),
    )
