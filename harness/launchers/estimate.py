"""What a benchmark will cost on this machine, from a few steps and a few samples of each model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.launchers import Launcher, Observer
from harness.launchers.agenda import Agenda, Assignment
from harness.measurement import evaluation_cost
from harness.measurement.evaluation_cost import CallCost, Work, cost_through
from harness.metrics.speed import LEAST as LEAST_CALLS
from harness.planning.budget import Budget, Currency
from harness.planning.trial import Trial
from harness.row import Row
from harness.storage.store import Store

STEPS = Budget(10, Currency.STEPS)
"""Budget of a probe. A model of several stages goes through all of them in it."""

LEAST = 2
"""Images of the first probe: with fewer, neither a covariance nor a standard error is defined."""

SAMPLES = 200
"""Maximum images of a probe."""

CAP = 12.0
"""Maximum seconds of sampling, scoring and likelihood together in a further probe."""

PROBES = 4
"""Maximum probes of a model; most have two or three."""

NOISE = 0.1
"""Assumed relative error of a measurement, when the next probe is sized."""

WORTHWHILE = 3
"""Minimum ratio of images to those of the previous probe that justifies another one."""

TIMED = 0.05
"""Seconds for which a probe times the drawing of single images."""

GROWING = {
    "sampling": evaluation_cost.sampling,
    "scoring": evaluation_cost.scoring,
    "likelihood": evaluation_cost.likelihood,
}
"""The work of a trial, by the part of the evaluation that scales with it."""

BASIS = (
    f"{STEPS} of each model, evaluated with {LEAST} images and then with up to {SAMPLES}, as "
    f"long as these take at most about {CAP:g} s; and depends on the current load of this "
    "machine. Training grows in proportion to the budget; sampling and likelihood of a batch, "
    "and scoring of a set, take a + b n seconds. Of a model whose first two images took longer "
    "than that, the estimate "
    'is an upper bound, "at most": all that they took, for each two images. What is done already '
    "is counted too"
)


@dataclass(frozen=True)
class Estimate:
    """Seconds that a trial will take, or why they are unknown.

    Attributes:
        setup: building, loading, warming up, writing.
        training: on the clock.
        evaluation: during training and at the end.
        at_most: whether ``evaluation`` is an upper bound.
        reason: why its probe failed.
    """

    setup: float = 0.0
    training: float = 0.0
    evaluation: float = 0.0
    at_most: bool = False
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
    ``LEAST`` images; the next have more, by what it took. Seeds of one model share theirs.

    Returns:
        Estimates by trial id, without trials that will not be run.
    """
    trials = [trial for trial in trials if not (trial.unsupported or trial.fault)]
    launcher.check([_probe(trial) for trial in trials])
    with tempfile.TemporaryDirectory(prefix="harness-estimate-") as folder:
        store = Store(Path(folder), "probes")
        store.prepare()
        agenda = _Probes(trials, store, observer or Observer())
        launcher.run(agenda)
    return {trial.id: _extrapolate(trial, agenda.rows) for trial in trials}


class _Probes(Agenda):
    """First probes, and each further one as soon as the one before has ended.

    Attributes:
        rows: of the probes that have ended, by their identities.
    """

    def __init__(self, trials: list[Trial], store: Store, observer: Observer) -> None:
        self._trials = trials
        self.rows: dict[str, Row] = {}
        # Those of references come first: they pay for what is computed once per data set and
        # cached, in the set-up of a probe that is not the last of its trial.
        ordered = sorted(trials, key=lambda trial: not trial.is_reference)
        first = {probe.id: probe for probe in (_probe(trial) for trial in ordered)}
        super().__init__(first.values(), store, observer)
        self._begun = set(first)

    def finish(self, assignment: Assignment, row: Row) -> None:
        """Write the row of a probe, and add the probes that follow."""
        super().finish(assignment, row)
        self.rows[assignment.trial.id] = row
        for trial in self._trials:
            probe = _next(trial, _series(trial, self.rows))
            if probe is not None and probe.id not in self._begun:
                self._begun.add(probe.id)
                self.add(probe)


@dataclass(frozen=True)
class _Probe:
    """A probe and its row."""

    trial: Trial
    row: Row

    @property
    def sampled(self) -> int:
        return self.trial.evaluation.samples or 0

    @property
    def scored(self) -> int:
        return self.trial.evaluation.likelihood_images or 0

    def seconds(self, *parts: str) -> float:
        return sum(self.row.usage.evaluation.get(part, 0.0) for part in parts)


def _series(trial: Trial, rows: dict[str, Row]) -> list[_Probe]:
    """Return the probes of a trial that have ended, in order."""
    series: list[_Probe] = []
    probe: Trial | None = _probe(trial)
    while probe is not None and probe.id in rows:
        series.append(_Probe(probe, rows[probe.id]))
        probe = _next(trial, series)
    return series


def _next(trial: Trial, done: list[_Probe]) -> Trial | None:
    """Return the probe that follows, or None if there are enough or none has ended well."""
    if not done or len(done) == PROBES or done[-1].row.status != "ok":
        return None
    last, full = done[-1], trial.evaluation
    of_samples = [(probe.sampled, probe.seconds("sampling", "scoring")) for probe in done]
    of_scores = [(probe.scored, probe.seconds("likelihood")) for probe in done]
    sampled = min(_affordable(of_samples, full.batch_size), SAMPLES, full.samples or 0)
    sampled = max(sampled, last.sampled)
    # In one batch: further ones cost what it does.
    batch = min(full.batch_size, sampled)
    scored = min(_affordable(of_scores, full.batch_size), batch, full.likelihood_images or 0)
    scored = max(scored, last.scored)
    growth = max(sampled / last.sampled, scored / max(1, last.scored))
    worthwhile = growth > 1 if len(done) == 1 else growth >= WORTHWHILE
    return _probe(trial, sampled, scored) if worthwhile else None


def _affordable(done: list[tuple[int, float]], batch_size: int) -> int:
    """Return for how many images half of ``CAP`` lasts, by all that their seconds could grow.

    Args:
        done: images and their seconds, in order.
        batch_size: of the trial.
    """
    cap = CAP / 2
    (few, seconds), (images, longer) = done[0], done[-1]
    in_proportion = images * cap / max(longer, 1e-3)
    if images == few:
        return int(in_proportion)
    # Within a batch, only what grew from the first probe to the last grows further.
    highest = (1 + NOISE) * longer
    each = (highest - (1 - NOISE) * seconds) / (images - few)
    by_slope = images + (cap - highest) / max(each, 1e-6)
    return int(max(in_proportion, min(by_slope, batch_size)))


def _probe(trial: Trial, sampled: int = LEAST, scored: int = LEAST) -> Trial:
    full = trial.evaluation
    evaluation = full.model_copy(
        update={
            "samples": sampled,
            "sample_sets": 1,
            "batch_size": min(full.batch_size, sampled),
            "curve": (),
            "raw_weights": False,
            "speed_batch_sizes": (1,),
            "speed_seconds": TIMED,
            "likelihood_images": min(full.likelihood_images or scored, scored),
        }
    )
    budget = "" if trial.is_reference else str(STEPS)
    return trial.model_copy(update={"seed": 0, "budget": budget, "evaluation": evaluation})


def _extrapolate(trial: Trial, rows: dict[str, Row]) -> Estimate:
    """Return what a trial will take: seconds of training by the last probe, and ``_evaluation``."""
    probes = _series(trial, rows)
    if not probes:
        return Estimate(reason="its probe was not run")
    last = probes[-1].row
    if last.status != "ok":
        return Estimate(reason=f"{last.status}: {last.reason}")
    training = 0.0
    if not trial.is_reference:
        budget = Budget.parse(trial.budget)
        used = budget.used(last.usage)
        if not used:
            return Estimate(reason=f"its probe used no {budget.currency}")
        training = last.usage.seconds * budget.amount / used
    setup = sum(last.usage.phases.get(name, 0.0) for name in ("setup", "warm_up", "io"))
    # Two images alone do not show what scales.
    tried, full = probes[-1], trial.evaluation
    at_most = tried.sampled == LEAST < (full.samples or 0)
    at_most |= tried.scored == LEAST < (full.likelihood_images or 0)
    return Estimate(setup, training, _evaluation(trial, probes), at_most)


def _evaluation(trial: Trial, probes: list[_Probe]) -> float:
    """Return seconds of evaluation: what grows, by the first and the last probe, and the rest."""
    last = probes[-1]
    parts = {name: _cost(name, probes) for name in GROWING}
    grown = sum(parts[name].of(work(trial)) for name, work in GROWING.items())
    measured = last.seconds(*GROWING, "speed")
    rest = max(0.0, last.row.usage.phases.get("eval", 0.0) - measured)
    # What remains of timing single images: counting the cost of a few images.
    counted = max(0.0, last.seconds("speed") - _timing(last.trial, parts["sampling"]))
    return grown + _timing(trial, parts["sampling"]) + counted + rest


def _cost(part: str, probes: list[_Probe]) -> CallCost:
    few, many = (
        (GROWING[part](probe.trial), probe.seconds(part)) for probe in (probes[0], probes[-1])
    )
    return cost_through(few, many)


def _timing(trial: Trial, sampling: CallCost) -> float:
    """Return the seconds of timing batches: one untimed call per size, then timed ones."""
    plan = trial.evaluation
    if trial.is_reference:
        return 0.0
    calls = [sampling.of(Work(1, size)) for size in {1, *plan.speed_batch_sizes}]
    repeated = (max(plan.speed_seconds, LEAST_CALLS * call) for call in calls)
    return sum(
        call + (call if call > plan.speed_seconds else again)
        for call, again in zip(calls, repeated, strict=True)
    )
