"""Whether the evaluation of a trial will dwarf its training, by its first samples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.trial import Trial

FACTOR = 3.0
"""How much longer than training an evaluation must take to be worth a word."""

WORTH = 60.0
"""Seconds of evaluation that are nobody's concern."""


def sets_drawn(trial: Trial) -> int:
    """Return how many sets of samples a trial draws to be scored, on the way and at its end."""
    evaluation = trial.evaluation
    if trial.is_reference:
        return evaluation.sample_sets
    weights = 2 if evaluation.raw_weights else 1
    return evaluation.sample_sets + weights * len(evaluation.curve) + weights - 1


def batches_drawn(trial: Trial) -> int:
    """Return how many batches these sets are drawn in."""
    return sets_drawn(trial) * math.ceil(
        (trial.evaluation.samples or 0) / trial.evaluation.batch_size
    )


def warning(trial: Trial, batch_seconds: float, training_seconds: float) -> str:
    """Return what a user should hear of a trial whose evaluation dwarfs its training, or "".

    Args:
        trial: what is run.
        batch_seconds: that a batch of samples takes at least: a few images'.
        training_seconds: that its budget takes.
    """
    least = batches_drawn(trial) * batch_seconds
    if least < WORTH or least < FACTOR * training_seconds:
        return ""
    return (
        f"its evaluation will take at least {_duration(least)}, its training about "
        f"{_duration(training_seconds)}: {batches_drawn(trial)} batches of samples, of which the "
        f"smallest takes {batch_seconds:.2g} s; fewer evaluation.samples, sample_sets or points of "
        "the curve shorten it"
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 99.5 else f"{seconds / 60:.0f} min"
