"""Cost of an evaluation, extrapolated from few images: a call with n takes a + b n seconds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from harness.planning.trial import Trial


class Work(NamedTuple):
    """The work of a part of an evaluation: a number of calls with a total number of images."""

    calls: int
    images: int


class CallCost(NamedTuple):
    """Seconds that a call takes, ``fixed + each * images``; neither is negative."""

    fixed: float
    each: float

    def of(self, work: Work) -> float:
        """Return the seconds of some work."""
        return self.fixed * work.calls + self.each * work.images


FREE = CallCost(0.0, 0.0)


def cost_through(few: tuple[Work, float], many: tuple[Work, float]) -> CallCost:
    """Return the cost from two measurements.

    It is exact for ``many`` at its own size: measurement error affects only the extrapolation to
    other sizes. If both are of the same size, all of it scales with the images, an upper bound.

    Args:
        few: work on few images, and its seconds.
        many: the same, of more images per call.
    """
    (less, seconds), (more, longer) = few, many
    if not more.images:
        return FREE
    size, call = more.images / more.calls, longer / more.calls
    each = call / size
    if (further := size - less.images / less.calls) > 0:
        each = min(max(0.0, (call - seconds / less.calls) / further), each)
    return CallCost(call - each * size, each)


def sets_drawn(trial: Trial) -> int:
    """Return how many sets of samples a model draws for scoring, during training and at its end."""
    evaluation = trial.evaluation
    weights = 2 if evaluation.raw_weights else 1
    return evaluation.sample_sets + weights * len(evaluation.curve) + weights - 1


def sampling(trial: Trial) -> Work:
    """Return the batches of all sets, including unused images of the last ones."""
    size = trial.evaluation.batch_size
    batches = sets_drawn(trial) * math.ceil((trial.evaluation.samples or 0) / size)
    return Work(batches, batches * size)


def scoring(trial: Trial) -> Work:
    """Return the sets that are scored; a reference has one."""
    sets = 1 if trial.is_reference else sets_drawn(trial)
    return Work(sets, sets * (trial.evaluation.samples or 0))


def likelihood(trial: Trial) -> Work:
    """Return the batches whose likelihood is computed; a reference takes all at once."""
    images = trial.evaluation.likelihood_images or 0
    batches = math.ceil(images / trial.evaluation.batch_size)
    return Work(min(1, images) if trial.is_reference else batches, images)
