"""What an evaluation costs, from what a few images did: a call of n takes a + b n seconds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from harness.planning.trial import Trial


class Work(NamedTuple):
    """What a part of an evaluation has to do: so many calls, which have so many images in all."""

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
    """Return the cost by two measurements.

    It is that of ``many`` at its own size: what the two are off by tells only on the way from
    there to other sizes. If both are of the same size, all of it grows with the images, which
    bounds the cost of more.

    Args:
        few: work of few images, and its seconds.
        many: the same of more images a call.
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
    """Return how many sets of samples a model draws to be scored, on the way and at its end."""
    evaluation = trial.evaluation
    weights = 2 if evaluation.raw_weights else 1
    return evaluation.sample_sets + weights * len(evaluation.curve) + weights - 1


def sampling(trial: Trial) -> Work:
    """Return the batches of all sets, which are drawn whole."""
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
