"""What a benchmark will cost on this machine, from a few steps and a few samples of each model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.budget import Budget, Currency
from harness.launchers import Launcher, Observer
from harness.launchers.agenda import Agenda
from harness.outlook import batches_drawn, sets_drawn
from harness.row import Row
from harness.store import Store
from harness.trial import Trial

STEPS = Budget(10, Currency.STEPS)
"""Budget of a probe. A model of several stages goes through all of them in it."""

SAMPLES = 200
"""Images that a model's probes draw at most; the first of them draws ``LEAST``."""

LEAST = 2
"""Images of the smallest probe: of fewer, neither a covariance nor a standard error is defined."""

GROWTH = 10
"""How many times more images a probe has than the one before, at most."""

WORTHWHILE = 1.5
"""How many times more images than the one before make another probe worth its start."""

CAP = 20.0
"""Seconds that the evaluation of a probe may take, by what the one before took."""

TIMED = 0.05
"""Seconds for which a probe times the drawing of a batch."""

BASIS = (
    f"{STEPS} and up to {SAMPLES} samples of each model, fewer of slow ones, and on what else this "
    "machine did just now: training grows in proportion to the budget, batches of samples take "
    "a + b n seconds, and the rest of the evaluation grows linearly; what is done already is "
    "counted too"
)


@dataclass(frozen=True)
class Estimate:
    """Seconds that a trial will take, or why nobody knows.

    Attributes:
        setup: building, loading, warming up, writing.
        training: on the clock.
        evaluation: at the end and on the way.
        reason: what went wrong with its probe.
    """

    setup: float = 0.0
    training: float = 0.0
    evaluation: float = 0.0
    reason: str | None = None

    @property
    def total(self) -> float:
        """Seconds in all."""
        return self.setup + self.training + self.evaluation


def estimate(
    trials: Iterable[Trial], launcher: Launcher, observer: Observer | None = None
) -> dict[str, Estimate]:
    """Run probes of each model on each data set, and return what each trial will take.

    A probe is a trial of ``STEPS`` with few samples, in a worker. The first of a model has
    ``LEAST`` images; the next ones have more, as long as that costs no more than ``CAP``. Seeds of
    one model share theirs.

    Returns:
        By the trials' identities; nothing for those that will not be run.
    """
    trials = [trial for trial in trials if not (trial.unsupported or trial.fault)]
    hears = observer or Observer()
    # What is computed of a data set once and kept is no trial's cost: paid for before.
    first = {
        (trial.dataset, trial.features["name"]): _probe(trial, LEAST, LEAST)
        for trial in trials[::-1]
    }
    _run(first.values(), launcher, hears)
    series: dict[str, list[_Probe]] = {trial.id: [] for trial in trials}
    while grown := {t.id: probe for t in trials if (probe := _next(t, series[t.id]))}:
        rows = _run(grown.values(), launcher, hears)
        for name, probe in grown.items():
            series[name].append(_Probe(probe, rows[probe.id]))
    return {trial.id: _extrapolate(trial, series[trial.id]) for trial in trials}


@dataclass(frozen=True)
class _Probe:
    """A probe and its row, if it was run."""

    trial: Trial
    row: Row | None

    @property
    def images(self) -> int:
        return _samples(self.trial)

    @property
    def scored(self) -> int:
        return self.trial.evaluation.likelihood_images or 0

    @property
    def evaluation(self) -> float:
        return 0.0 if self.row is None else self.row.usage.phases.get("eval", 0.0)

    def batch_seconds(self, size: int) -> float | None:
        """Return how long a batch of 1, or of the probe's size, took to draw."""
        name = "latency" if size == 1 else "images_per_second"
        found = self.row.metrics.get(name) if self.row else None
        if found is None or not found.value:
            return None
        return found.value if size == 1 else size / found.value


def _run(probes: Iterable[Trial], launcher: Launcher, observer: Observer) -> dict[str, Row | None]:
    distinct = {probe.id: probe for probe in probes}
    launcher.check(list(distinct.values()))
    with tempfile.TemporaryDirectory(prefix="harness-estimate-") as folder:
        store = Store(Path(folder), "probes")
        store.prepare()
        launcher.run(Agenda(distinct.values(), store, observer))
        return {name: store.row(name) for name in distinct}


def _next(trial: Trial, done: list[_Probe]) -> Trial | None:
    """Return the next probe of a trial, or None if there are enough.

    Samples and scored images grow together; the last probe has as few samples as the first, which
    tells what the samples cost from what the likelihood does.
    """
    most = min(SAMPLES, _samples(trial))
    if not done:
        return _probe(trial, LEAST, LEAST)
    last = done[-1]
    if last.row is None or last.row.status != "ok" or (len(done) > 1 and last.images == LEAST):
        return None
    # All of it might grow with the images.
    factor = min(GROWTH, CAP / max(last.evaluation, 1e-3))
    images = min(most, int(factor * last.images))
    if images >= WORTHWHILE * last.images:
        return _probe(trial, images, images)
    if len(done) > 1 and not trial.is_reference:
        return _probe(trial, LEAST, last.images)
    return None


def _probe(trial: Trial, samples: int, scored: int) -> Trial:
    full = trial.evaluation
    batch_size = min(full.batch_size, samples)
    evaluation = full.model_copy(
        update={
            "samples": samples,
            "sample_sets": 1,
            "batch_size": batch_size,
            "curve": (),
            "raw_weights": False,
            "speed_batch_sizes": (batch_size,),
            "speed_seconds": TIMED,
            "likelihood_images": min(full.likelihood_images or LEAST, scored),
        }
    )
    budget = "" if trial.is_reference else str(STEPS)
    return trial.model_copy(update={"seed": 0, "budget": budget, "evaluation": evaluation})


def _extrapolate(trial: Trial, probes: list[_Probe]) -> Estimate:
    """Return what a trial will take: seconds of training by the last probe, and ``_evaluation``."""
    for probe in probes:
        if probe.row is None:
            return Estimate(reason="its probe was not run")
        if probe.row.status != "ok":
            return Estimate(reason=f"{probe.row.status}: {probe.row.reason}")
    assert probes[-1].row is not None
    usage = probes[-1].row.usage
    training = 0.0
    if not trial.is_reference:
        budget = Budget.parse(trial.budget)
        used = budget.used(usage)
        if not used:
            return Estimate(reason=f"its probe used no {budget.currency}")
        training = usage.seconds * budget.amount / used
    setup = sum(usage.phases.get(name, 0.0) for name in ("setup", "warm_up", "io"))
    return Estimate(setup, training, _evaluation(trial, probes))


def _evaluation(trial: Trial, probes: list[_Probe]) -> float:
    """Return seconds of evaluation: drawing, timing that, scoring, likelihood and the rest.

    A batch of n takes a + b n seconds, through one of 1 and one of the largest probe's size.
    Scoring is linear in the samples, likelihood in the images: through the smallest probe, the
    largest, and the one that has as many images as this and as few samples as that.
    """
    small, large = probes[0], max(probes, key=lambda probe: probe.images)
    split = probes[-1] if probes[-1].images == small.images else small
    batch = _batches(large)
    rest = {id(probe): probe.evaluation - _sampling(probe.trial, batch) for probe in probes}
    of_likelihood = _slope(rest[id(split)] - rest[id(small)], split.scored - small.scored)
    of_scoring = _slope(rest[id(large)] - rest[id(split)], large.images - split.images)
    images = (trial.evaluation.likelihood_images or 0) - small.scored
    return (
        max(0.0, rest[id(small)])
        + of_scoring * (_samples(trial) * sets_drawn(trial) - small.images)
        + of_likelihood * max(0, images)
        + _sampling(trial, batch)
    )


def _slope(seconds: float, images: int) -> float:
    return max(0.0, seconds / images) if images > 0 else 0.0


def _batches(probe: _Probe) -> Callable[[int], float]:
    """Return the seconds of a batch by its size; none, where nothing was drawn or timed."""
    size = probe.trial.evaluation.batch_size
    one, many = probe.batch_seconds(1), probe.batch_seconds(size)
    if one is None or many is None:
        return lambda n: 0.0
    each = max(0.0, (many - one) / max(1, size - 1))
    return lambda n: max(0.0, one - each) + each * n


def _sampling(trial: Trial, batch: Callable[[int], float]) -> float:
    """Return how long drawing takes, for the metrics and to be timed."""
    plan = trial.evaluation
    took = [batch(size) for size in {1, *plan.speed_batch_sizes}]
    # One call of each size is not timed.
    timed = sum(once + max(once, plan.speed_seconds) for once in took if once)
    return batches_drawn(trial) * batch(plan.batch_size) + timed


def _samples(trial: Trial) -> int:
    return trial.evaluation.samples or 0
