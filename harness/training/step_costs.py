"""FLOPs of a training step, counted before the clock starts, on a copy of the model."""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from harness.contract import Batch, GenerativeModel
from harness.machine.exceptions import explain
from harness.machine.flops import FlopCounter
from harness.machine.heartbeat import Interrupted
from harness.machine.precision import Precision, autocast
from harness.machine.seeding import WARM_UP, reseed
from harness.planning.budget import Budget, Currency
from harness.plugins.contract_validation import validated_losses
from harness.training.batches import BatchStream
from harness.training.parallel.replicas import ALONE, SingleProcess

log = logging.getLogger(__name__)

LOOKS = (0.5, 0.999)
"""Where in a stage a period of steps is counted, besides its beginning."""

BENT = 0.01
"""Tolerance of a count from the line through its neighbours, relative to the largest."""

NEAREST = 2**-9
"""Minimum distance of two points, as a fraction of the stage: the resolution of a jump."""

MOST = 64
"""Maximum points of a stage."""


class Unmetered(Exception):
    """A budget in FLOPs cannot be metered: no FLOPs are counted."""


@dataclass(frozen=True)
class StepCost:
    """FLOPs of a step in one stage.

    Attributes:
        flops: of each step of one period, as the stage begins.
        uncounted: operators without a formula, with their calls per step.
        later: where steps cost more or less as progress grows, the same as ``flops`` at further
            points: progress in ascending order, from the beginning of the stage on.
    """

    flops: tuple[float, ...]
    uncounted: dict[str, int]
    later: tuple[tuple[float, tuple[float, ...]], ...] = ()

    @property
    def total(self) -> float:
        """FLOPs of a period, as the stage begins."""
        return sum(self.flops)

    def at(self, progress: float, index: int) -> float:
        """Return the FLOPs of step ``index`` of a trial: between two points, on a straight line."""
        place = index % len(self.flops)
        if not self.later:
            return self.flops[place]
        points = [point for point, _ in self.later]
        after = bisect_right(points, progress)
        if after in (0, len(points)):
            return self.later[min(after, len(points) - 1)][1][place]
        (start, before), (end, behind) = self.later[after - 1 : after + 1]
        share = (progress - start) / (end - start)
        return before[place] + share * (behind[place] - before[place])


def stage_at(stages: tuple[tuple[str, float], ...], progress: float) -> str:
    """Return the name of the stage that ``progress`` in [0, 1] lies in."""
    end = 0.0
    for name, fraction in stages:
        end += fraction
        if progress < end:
            return name
    return stages[-1][0]


def take_step(
    model: GenerativeModel, batch: Batch, progress: float, precision: Precision, *seed: int
) -> Mapping[str, Tensor]:
    """Take one step of training, seeded, and return its losses."""
    reseed(batch.x.device, *seed)
    with autocast(precision, batch.x.device):
        return validated_losses(model.training_step(batch, progress))


def measure_steps(
    build: Callable[[], GenerativeModel],
    stream: BatchStream,
    precision: Precision,
    replicas: SingleProcess = ALONE,
    beat: Callable[[], None] = lambda: None,
) -> dict[str, StepCost]:
    """Run and count one period of steps at three points of each stage, in the order of training.

    FLOPs are those of all devices. Where the counts of a stage differ, it is halved again and again
    until they lie on straight lines.

    Args:
        build: returns the same model every time; it is discarded afterwards.
        stream: batches of the training split.
        precision: of the network's arithmetic.
        replicas: the processes that train the model.
        beat: called after every step.
    """
    counting = _Counting(stream, precision, replicas, beat)
    # Each model is released before the next one is built: memory holds one beside the trial's own.
    counts = _at_beginnings(build().train(), counting)
    _look_ahead(build().train(), counting, counts)
    for found in counts.values():
        _refine(found, build, counting)
    return {name: _cost(name, found) for name, found in counts.items()}


def _at_beginnings(model: GenerativeModel, counting: _Counting) -> dict[str, dict[float, StepCost]]:
    """Return for each stage the count of a period at its beginning, by progress."""
    start, counts = 0.0, dict[str, dict[float, StepCost]]()
    for name, fraction in model.stages:
        # A first period without counting warms up kernels, and compiles where that is asked for; a
        # whole one, so that the counted steps fall on the same part of the period as the trial's.
        counting.warm_up(model, start)
        counts[name] = {start: counting.count(model, start)}
        start += fraction
    return counts


def _look_ahead(
    model: GenerativeModel, counting: _Counting, counts: Mapping[str, dict[float, StepCost]]
) -> None:
    """Add the counts of the middle and the end of each stage."""
    for name, fraction in model.stages:
        start = min(counts[name])
        counting.warm_up(model, start)
        for look in LOOKS:
            counting.add(counts[name], model, start + look * fraction)


def _refine(
    found: dict[float, StepCost], build: Callable[[], GenerativeModel], counting: _Counting
) -> None:
    """Add counts between those of a stage, at as many points as needed."""
    points = sorted(found)
    nearest = NEAREST * (points[-1] - points[0])
    unsettled = [pair for pair in pairwise(points) if counting.differ(found, *pair)]
    while unsettled and len(found) < MOST:
        # A new model, in increasing progress: one that has grown with progress may not shrink
        # again.
        halves = counting.halve(build().train(), found, unsettled)
        unsettled = [
            pair for pair in halves if pair[1] - pair[0] > nearest and counting.differ(found, *pair)
        ]


def _cost(name: str, found: Mapping[float, StepCost]) -> StepCost:
    """Return the cost of a stage from its counts by progress."""
    uncounted: dict[str, int] = {}
    for cost in found.values():
        uncounted |= cost.uncounted
    points = sorted(found)
    flops = found[points[0]].flops
    if all(cost.flops == flops for cost in found.values()):
        return StepCost(flops, uncounted)
    totals = [cost.total for cost in found.values()]
    log.info("stage %r: %.3g to %.3g FLOPs per period of steps", name, min(totals), max(totals))
    return StepCost(flops, uncounted, tuple((point, found[point].flops) for point in points))


class _Counting:
    """Runs whole periods of steps of a model, and counts them."""

    def __init__(
        self,
        stream: BatchStream,
        precision: Precision,
        replicas: SingleProcess,
        beat: Callable[[], None],
    ) -> None:
        self.stream = stream
        self.precision: Precision = precision
        self.replicas = replicas
        self.beat = beat

    def add(self, found: dict[float, StepCost], model: GenerativeModel, progress: float) -> bool:
        """Count a period from later in training, if the untrained model supports it."""

        def count() -> None:
            found[progress] = self.count(model, progress)

        return self._succeeds(count)

    def _succeeds(self, work: Callable[[], None]) -> bool:
        """Run steps that an untrained model may not support; return whether they succeeded."""
        try:
            work()
        except Interrupted:
            raise
        except Exception as error:
            # With several processes the others would wait for this one.
            if self.replicas.count > 1:
                raise
            log.info("later steps are not counted: %s", explain(error))
            return False
        return True

    def halve(
        self,
        model: GenerativeModel,
        found: dict[float, StepCost],
        intervals: list[tuple[float, float]],
    ) -> list[tuple[float, float]]:
        """Count in the middle of intervals; return the halves of those that are not straight."""
        halves: list[tuple[float, float]] = []
        # The first period of a model may have another cost.
        if not self._succeeds(lambda: self.warm_up(model, min(found))):
            return halves
        for low, high in intervals:
            middle = (low + high) / 2
            if not self.add(found, model, middle):
                return []
            if self.deviates(found, low, middle, high):
                halves += [(low, middle), (middle, high)]
        return halves

    def differ(self, found: Mapping[float, StepCost], low: float, high: float) -> bool:
        """Return whether the first process counted different costs at two points."""
        return bool(self.replicas.agree(float(found[low].flops != found[high].flops)))

    def deviates(
        self, found: Mapping[float, StepCost], low: float, middle: float, high: float
    ) -> bool:
        """Return whether a count deviates from the line between two others."""
        off = abs(found[middle].total - (found[low].total + found[high].total) / 2)
        largest = max(cost.total for cost in found.values())
        return bool(self.replicas.agree(float(off > BENT * largest)))

    def warm_up(self, model: GenerativeModel, progress: float) -> None:
        """Run one period at ``progress``."""
        for step in range(model.period):
            with self.replicas.share(self.stream.batch(step)) as batch:
                take_step(model, batch, progress, self.precision, WARM_UP, step)
            self.beat()

    def count(self, model: GenerativeModel, progress: float) -> StepCost:
        """Run one period at ``progress``, and return the cost of each of its steps."""
        flops, uncounted = [], dict[str, int]()
        for step in range(model.period):
            with self.replicas.share(self.stream.batch(step)) as batch, FlopCounter() as counter:
                take_step(model, batch, progress, self.precision, WARM_UP, step)
            flops.append(counter.total * self.replicas.count)
            uncounted |= counter.uncounted
            self.beat()
        return StepCost(tuple(flops), uncounted)


def refuse_unmetered(budget: Budget, costs: Mapping[str, StepCost]) -> None:
    """Raise ``Unmetered`` if a stage would never end because no FLOPs are counted."""
    if budget.currency is not Currency.FLOPS:
        return
    for name, cost in costs.items():
        if cost.total == 0:
            without = ", ".join(cost.uncounted)
            raise Unmetered(
                f"a budget of {budget} would never be used up: no FLOPs are counted for steps of "
                f"stage {name!r}"
                + (f", because these operators have no formula: {without}" if without else "")
                + "; give the budget in steps, images or device-seconds"
            )
