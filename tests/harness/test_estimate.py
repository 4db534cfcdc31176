"""What a benchmark is said to cost: exact where a trial's cost is as the estimate supposes."""

import pytest
from support.launching import Instant
from support.stored import trial

from harness.benchmark import Evaluation
from harness.budget import Budget
from harness.estimate import estimate
from harness.launchers.local import LocalLauncher

STEP = {"steps": 1, "images": 32, "flops": 5e8, "seconds": 0.25}


def measured(probe):
    """A row of a model with steps as above, and 3 s + 10 ms a sample of evaluation."""
    steps = 0 if probe.is_reference else Budget.parse(probe.budget).amount
    phases = {"setup": 2.0, "eval": 3.0 + 0.01 * probe.evaluation.samples}
    usage = {name: steps * value for name, value in STEP.items()} | {"phases": phases}
    return probe.row("ok", usage=usage)


def estimated(*trials, row=measured):
    launcher = LocalLauncher(["cpu"], starter=(starter := Instant(row=row)))
    return estimate(trials, launcher), starter


def planned(**changes):
    evaluation = Evaluation(samples=5000, sample_sets=2, curve=(0.25, 0.5), likelihood_images=100)
    return trial().model_copy(update={"evaluation": evaluation} | changes)


@pytest.mark.parametrize(
    ("budget", "seconds"),
    [("5k steps", 1250.0), ("32k images", 250.0), ("1 TFLOP", 500.0), ("10 min", 600.0)],
)
def test_training_is_in_proportion_to_any_budget(budget, seconds):
    one = planned(budget=budget)
    found, _ = estimated(one)
    assert found[one.id].training == pytest.approx(seconds)
    assert found[one.id].setup == 2.0


def test_evaluation_is_linear_in_the_samples_of_all_sets_and_pauses():
    one = planned()
    both = planned(evaluation=one.evaluation.model_copy(update={"raw_weights": True}))
    found, _ = estimated(one, both)
    assert found[one.id].evaluation == pytest.approx(3 + 0.01 * 5000 * (2 + 2))
    assert found[both.id].evaluation == pytest.approx(3 + 0.01 * 5000 * (2 + 2 * 2 + 1))


def test_a_reference_trains_nothing():
    one = planned(model="real", budget="")
    found, _ = estimated(one)
    assert found[one.id].training == 0
    assert found[one.id].evaluation == pytest.approx(3 + 0.01 * 5000 * 2)


def test_seeds_share_their_probes_and_what_is_skipped_has_none():
    trials = [planned(seed=seed) for seed in range(20)]
    found, starter = estimated(*trials, planned(unsupported="too small"))
    assert len(found) == 20 and len(set(found.values())) == 1
    # One that is not measured, for what is computed once of the data; and two that are.
    assert len(starter.started) == 3
    assert [probe.evaluation.samples for probe, _ in starter.started] == [100, 100, 200]


def test_a_probe_that_fails_says_why():
    one = planned()
    found, _ = estimated(one, row=lambda probe: probe.row("error", "it has no brush"))
    assert found[one.id].reason == "error: it has no brush"
    assert found[one.id].total == 0


@pytest.mark.parametrize(
    ("images", "tried"), [(100, [2, 2, 4]), (1000, [20, 20, 40]), (1, [1] * 3)]
)
def test_a_probe_scores_at_least_two_images_where_its_trial_does(images, tried):
    evaluation = planned().evaluation.model_copy(update={"likelihood_images": images})
    _, starter = estimated(planned(evaluation=evaluation))
    assert [probe.evaluation.likelihood_images for probe, _ in starter.started] == tried
