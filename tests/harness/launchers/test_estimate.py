"""What a benchmark is said to cost: exact where a trial's cost is as the estimate supposes."""

import math
import random

import pytest
from support.launching import Instant
from support.stored import trial

from harness.cli.plan_command import _cost, _summary
from harness.launchers.estimate import BASIS, CAP, estimate
from harness.launchers.local import LocalLauncher
from harness.planning.benchmark import Evaluation
from harness.planning.budget import Budget

STEP = {"steps": 1, "images": 32, "flops": 5e8, "seconds": 0.25}


def exactly(seconds):
    return seconds


def measured(sample=(0.0, 0.01), score=(0.5, 0.0), likelihood=(0.0, 0.0), noise=exactly):
    """Return rows of a model whose parts take a + b n seconds a call, besides 2 s of the rest.

    A call is a batch of samples, a set that is scored, or a batch whose likelihood is computed.
    Counting what an image costs takes as long as a batch of four.
    """

    def took(cost, calls, images):
        return noise(cost[0] * calls + cost[1] * images)

    def timing(plan):
        for size in {1, *plan.speed_batch_sizes}:
            once = took(sample, 1, size)
            yield once + (once if once > plan.speed_seconds else max(plan.speed_seconds, 3 * once))
        yield took(sample, 1, 4)

    def row(trial):
        plan = trial.evaluation
        weights = 2 if plan.raw_weights else 1
        sets = plan.sample_sets + weights * len(plan.curve) + weights - 1
        batches = sets * math.ceil(plan.samples / plan.batch_size)
        scored = math.ceil(plan.likelihood_images / plan.batch_size)
        parts = {
            "sampling": took(sample, batches, batches * plan.batch_size),
            "scoring": took(score, sets, sets * plan.samples),
            "likelihood": took(likelihood, scored, plan.likelihood_images),
            "speed": sum(timing(plan)),
        }
        if trial.is_reference:
            parts = {"scoring": took(score, 1, plan.samples)}
        phases = {"setup": 2.0, "eval": 2.0 + sum(parts.values())}
        steps = 0 if trial.is_reference else Budget.parse(trial.budget).amount
        used = {name: steps * value for name, value in STEP.items()}
        return trial.row("ok", usage=used | {"phases": phases, "evaluation": parts})

    return row


class Simulated:
    """Ends every trial at once with a row, and remembers it."""

    def __init__(self, row):
        self.row = row
        self.probes = []

    def check(self, trials):
        assert trials

    def run(self, agenda):
        while (assignment := agenda.take()) is not None:
            self.probes.append(assignment.trial)
            agenda.finish(assignment, self.row(assignment.trial))
        assert not agenda


def estimated(*trials, row):
    launcher = Simulated(row)
    return estimate(trials, launcher), launcher.probes


def planned(**changes):
    evaluation = Evaluation(samples=5000, sample_sets=2, curve=(0.25, 0.5), likelihood_images=100)
    return trial().model_copy(update={"evaluation": evaluation} | changes)


def evaluated(one, **changes):
    return one.model_copy(update={"evaluation": one.evaluation.model_copy(update=changes)})


def real(row, one):
    return row(one).usage.phases["eval"]


def sizes(probes):
    return [probe.evaluation.samples for probe in probes]


@pytest.mark.parametrize(
    ("budget", "seconds"),
    [("5k steps", 1250.0), ("32k images", 250.0), ("1 TFLOP", 500.0), ("10 min", 600.0)],
)
def test_training_is_in_proportion_to_any_budget(budget, seconds):
    one = planned(budget=budget)
    found, _ = estimated(one, row=measured())
    assert found[one.id].training == pytest.approx(seconds)
    assert found[one.id].setup == 2.0


MODELS = {
    "quick": {},
    "slow sampler": {"sample": (0.4, 0.1)},
    "slow network whatever the batch": {"sample": (1.5, 0.001), "likelihood": (0.1, 0.0)},
    "slow likelihood": {"likelihood": (0.1, 0.3)},
    "likelihood of many draws": {"likelihood": (1.5, 0.001)},
    "costly features": {"score": (0.5, 0.05)},
}
CHANGES = [
    {},
    {"raw_weights": True, "curve": (0.5,)},
    {"batch_size": 16, "speed_batch_sizes": (8,), "speed_seconds": 0.7},
    {"likelihood_images": 3000, "sample_sets": 1},
]


@pytest.mark.parametrize("costs", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_an_evaluation_of_linear_parts_takes_what_is_said(costs, changes):
    row = measured(**costs)
    one = evaluated(planned(), **changes)
    found, probes = estimated(one, row=row)
    assert found[one.id].evaluation == pytest.approx(real(row, one))
    assert not found[one.id].at_most
    for probe in probes:
        usage = row(probe).usage.evaluation
        assert sum(usage.values()) - usage["speed"] <= CAP


@pytest.mark.parametrize("costs", MODELS.values(), ids=MODELS)
def test_noise_of_a_probe_is_not_multiplied_by_the_test_set(costs):
    one = planned()
    for seed in range(4):
        source = random.Random(seed)
        noisy = measured(**costs, noise=lambda s, source=source: s * source.uniform(0.9, 1.1))
        found, _ = estimated(one, row=noisy)
        assert found[one.id].evaluation == pytest.approx(real(measured(**costs), one), rel=0.3)


@pytest.mark.parametrize(
    ("costs", "images"),
    [
        ({"score": (0.02, 0.0)}, [2, 200]),
        (MODELS["slow likelihood"], [2, 23, 200]),
        (MODELS["slow sampler"], [2, 10, 38]),
        (MODELS["slow network whatever the batch"], [2, 5, 33, 200]),
    ],
)
def test_the_slower_a_sampler_the_fewer_images_its_probes_have(costs, images):
    _, probes = estimated(planned(), row=measured(**costs))
    assert sizes(probes) == images


def test_two_images_that_took_too_long_are_an_upper_bound():
    row = measured(sample=(5.0, 3.0))
    one = planned()
    found, probes = estimated(one, row=row)
    assert sizes(probes) == [2]
    assert found[one.id].at_most
    assert found[one.id].evaluation > real(row, one)
    assert _cost(found[one.id])[1].startswith("at most ")
    assert "at most" in _summary(found.values(), 1)


def test_a_reference_trains_nothing_and_is_scored_once():
    row = measured(score=(0.5, 0.01))
    one = planned(model="real", budget="")
    found, _ = estimated(one, row=row)
    assert found[one.id].training == 0
    assert found[one.id].evaluation == pytest.approx(2 + 0.5 + 0.01 * 5000)


def test_seeds_share_their_probes_and_what_is_skipped_has_none():
    trials = [planned(seed=seed) for seed in range(20)]
    found, probes = estimated(*trials, planned(unsupported="too small"), row=measured())
    assert len(found) == 20 and len(set(found.values())) == 1
    assert len(sizes(probes)) == len(set(sizes(probes)))


def test_one_run_of_the_launcher_starts_all_probes_of_a_model():
    starter = Instant(row=measured(score=(0.02, 0.0)))
    estimate([planned()], LocalLauncher(["cpu"], starter=starter))
    assert sizes(probe for probe, _ in starter.started) == [2, 200]
    assert starter.closed


def test_references_are_probed_first():
    """They pay for what is computed once of a data set."""
    _, probes = estimated(planned(), planned(model="real", budget=""), row=measured())
    assert probes[0].model == "real"


def test_a_probe_that_fails_says_why():
    one = planned()
    found, _ = estimated(one, row=lambda probe: probe.row("error", "it has no brush"))
    assert found[one.id].reason == "error: it has no brush"
    assert found[one.id].total == 0


@pytest.mark.parametrize("images", [1, 2, 30])
def test_no_probe_scores_more_images_than_its_trial(images):
    _, probes = estimated(evaluated(planned(), likelihood_images=images), row=measured())
    assert max(probe.evaluation.likelihood_images for probe in probes) == images


def test_the_basis_says_how_long_a_probe_may_take():
    assert f"at most about {CAP:g} s" in BASIS
