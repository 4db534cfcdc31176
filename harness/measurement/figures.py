"""Figures of a model, each measured or with the reason why it is missing.

By then the model may have been trained for hours. So an error in one figure, such as a metric that
raises or a batch too large for the memory, becomes the reason of that figure alone.
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
    """Ignore a heartbeat."""


@contextmanager
def guarded(names: Collection[str], measured: Metrics) -> Iterator[None]:
    """Continue if the block raises, with the reason under each of ``names`` in ``measured``."""
    try:
        yield
    except Exception as error:
        measured |= missing(names, why_missing(names, error))


def why_missing(names: Collection[str], error: Exception) -> str:
    """Return why these figures are missing.

    A request to stop, a full disk, after which the next run resumes, and damaged image files are
    re-raised.
    """
    if isinstance(error, Interrupted | ImageError) or is_disk_full(error):
        raise error
    # A metric raises ``ValueError`` with a readable reason; any other error is reported in full.
    in_words = isinstance(error, ValueError) and str(error)
    message = explain(error)
    log.warning("no %s: %s", ", ".join(names), message, exc_info=None if in_words else error)
    return str(error) if in_words else message


def measured_value(
    found: Tensor | Figure | str, protocol: str, limits: tuple[float, float]
) -> Measurement:
    """Return the result of a metric; infinity and NaN count as missing."""
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
        alike: why their spread is no measure of uncertainty, or None if it is.
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
