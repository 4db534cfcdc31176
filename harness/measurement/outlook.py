"""Warning about trials whose evaluation will dwarf their training, from a few timed images."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from harness.measurement import evaluation_cost
from harness.measurement.evaluation_cost import CallCost

if TYPE_CHECKING:
    from harness.planning.trial import Trial

FACTOR = 3.0
"""Ratio of evaluation to training time from which a warning is given."""

WORTH = 30.0
"""Seconds of evaluation below which no warning is given."""

SHORTENED_BY = {
    "sampling": "samples, sample_sets or points of the curve",
    "likelihood": "likelihood_images",
}
"""Keys of ``[evaluation]`` by the part that they shorten."""


class Costs(NamedTuple):
    """Seconds of calls with few images; for slow calls only the fixed part is known."""

    sampling: CallCost
    likelihood: CallCost


def warning(trial: Trial, costs: Costs, training_seconds: float) -> str:
    """Return a warning for a trial whose evaluation dwarfs its training, or "".

    Args:
        trial: to be run.
        costs: of its model.
        training_seconds: that its budget takes.
    """
    parts = {
        "sampling": costs.sampling.of(evaluation_cost.sampling(trial)),
        "likelihood": costs.likelihood.of(evaluation_cost.likelihood(trial)),
    }
    seconds = sum(parts.values())
    if seconds < WORTH or seconds < FACTOR * training_seconds:
        return ""
    most = max(parts, key=lambda name: parts[name])
    listed = ", ".join(f"{name} {_duration(took)}" for name, took in parts.items() if took)
    return (
        f"its evaluation will take at least about {_duration(seconds)}, its training about "
        f"{_duration(training_seconds)}: {listed}; fewer evaluation.{SHORTENED_BY[most]} shorten it"
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 99.5 else f"{seconds / 60:.0f} min"
