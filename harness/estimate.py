"""What a benchmark will cost on this machine, from a few steps and a few samples of each model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.budget import Budget, Currency
from harness.launchers import Launcher, Observer
from harness.launchers.agenda import Agenda
from harness.outlook import sets_drawn
from harness.row import Row
from harness.store import Store
from harness.trial import Trial

STEPS = Budget(10, Currency.STEPS)
"""Budget of a probe. A model of several stages goes through all of them in it."""

SAMPLES = 200
"""Images that the larger of a model's two probes draws; the smaller draws half of them."""

LEAST = 2
"""Images whose likelihood a probe takes at least: the standard error of fewer is not defined."""


BASIS = (
    f"{STEPS} and up to {SAMPLES} samples of each model, and on what else this machine did just "
    "now: training grows in proportion to the budget, evaluation linearly with the samples; "
    "what is done already is counted too"
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
    """Run two probes of each model on each data set, and return what each trial will take.

    A probe is a trial of ``STEPS`` with few samples, in a worker. Seeds of one model share theirs.

    Returns:
        By the trials' identities; nothing for those that will be skipped.
    """
    trials = [trial for trial in trials if not (trial.unsupported or trial.fault)]
    probes = {trial.id: _probes(trial) for trial in trials}
    # What is computed of a data set once and kept is no trial's cost: paid for before, unmeasured.
    first = {(trial.dataset, trial.features["name"]): probes[trial.id][0] for trial in trials[::-1]}
    _run(first.values(), launcher, observer or Observer())
    rows = _run([p for pair in probes.values() for p in pair], launcher, observer or Observer())
    return {
        trial.id: _extrapolate(trial, *((probe, rows[probe.id]) for probe in probes[trial.id]))
        for trial in trials
    }


def _run(probes: Iterable[Trial], launcher: Launcher, observer: Observer) -> dict[str, Row | None]:
    distinct = {probe.id: probe for probe in probes}
    launcher.check(list(distinct.values()))
    with tempfile.TemporaryDirectory(prefix="harness-estimate-") as folder:
        store = Store(Path(folder), "probes")
        store.prepare()
        launcher.run(Agenda(distinct.values(), store, observer))
        return {name: store.row(name) for name in distinct}


def _probes(trial: Trial) -> tuple[Trial, Trial]:
    """Return a trial with half of ``SAMPLES`` and one with all, of few steps."""
    most = min(SAMPLES, _samples(trial))
    return _probe(trial, most // 2), _probe(trial, most)


def _probe(trial: Trial, samples: int) -> Trial:
    full = trial.evaluation
    share, most = samples / _samples(trial), full.likelihood_images or LEAST
    evaluation = full.model_copy(
        update={
            "samples": samples,
            "sample_sets": 1,
            "batch_size": min(full.batch_size, samples),
            "curve": (),
            "raw_weights": False,
            "likelihood_images": min(most, max(LEAST, round(share * most))),
        }
    )
    budget = "" if trial.is_reference else str(STEPS)
    return trial.model_copy(update={"seed": 0, "budget": budget, "evaluation": evaluation})


def _extrapolate(
    trial: Trial, small: tuple[Trial, Row | None], large: tuple[Trial, Row | None]
) -> Estimate:
    """Return what a trial will take.

    Training: seconds of the probe times the budget over what the probe used of its currency.
    Evaluation: linear in the samples drawn, through the two probes.
    """
    (less, first), (more, second) = small, large
    if first is None or second is None:
        return Estimate(reason="its probe was not run")
    for row in (first, second):
        if row.status != "ok":
            return Estimate(reason=f"{row.status}: {row.reason}")
    usage = second.usage
    training = 0.0
    if not trial.is_reference:
        budget = Budget.parse(trial.budget)
        used = budget.used(usage)
        if not used:
            return Estimate(reason=f"its probe used no {budget.currency}")
        training = usage.seconds * budget.amount / used
    phases = [row.usage.phases for row in (first, second)]
    before, after = (found.get("eval", 0.0) for found in phases)
    slope = max(0.0, (after - before) / max(1, _samples(more) - _samples(less)))
    evaluation = after + slope * (_drawn(trial) - _samples(more))
    setup = sum(phases[1].get(name, 0.0) for name in ("setup", "warm_up", "io"))
    return Estimate(setup, training, evaluation)


def _samples(trial: Trial) -> int:
    return trial.evaluation.samples or 0


def _drawn(trial: Trial) -> int:
    """Return how many samples a trial draws to be scored, on the way and at its end."""
    return _samples(trial) * sets_drawn(trial)
