"""What a benchmark is said to cost: exact where a trial's cost is as the estimate supposes."""

import math

import pytest
from support.launching import Instant
from support.stored import trial

from harness.benchmark import Evaluation
from harness.budget import Budget
from harness.estimate import estimate
from harness.launchers.local import LocalLauncher
from harness.row import Measurement

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


def slow(one=0.4, each=0.1, likelihood=0.05):
    """A row of a model whose batches take ``one + each n`` seconds, timed in the row."""

    def row(probe):
        plan = probe.evaluation
        batch = [one + each * n for n in (1, plan.batch_size)]
        drawn = math.ceil(plan.samples / plan.batch_size) * batch[1]
        timed = sum(2 * seconds for seconds in {*batch})
        rest = 3 + 0.01 * plan.samples + likelihood * plan.likelihood_images
        seconds = drawn + timed + rest
        metrics = {
            "latency": Measurement(value=batch[0]),
            "images_per_second": Measurement(value=plan.batch_size / batch[1]),
        }
        usage = {name: 10 * value for name, value in STEP.items()} | {"phases": {"eval": seconds}}
        return probe.row("ok", usage=usage, metrics=metrics)

    return row


def test_a_slow_sampler_is_said_to_take_what_it_takes():
    """Four sets of twenty batches, the likelihood once, and the timing of two sizes."""
    one = planned()
    found, starter = estimated(one, row=slow())
    batch = 0.4 + 0.1 * 250
    timed = 0.5 + 2.0 + 2 * (0.4 + 6.4)
    expected = 80 * batch + timed + 3 + 0.01 * 20_000 + 0.05 * 100
    assert found[one.id].evaluation == pytest.approx(expected)


def test_the_slower_a_sampler_the_fewer_images_its_probes_have():
    sizes = []
    for seconds in (0.001, 0.1, 4.0):
        _, starter = estimated(planned(), row=slow(seconds, seconds))
        sizes.append([probe.evaluation.samples for probe, _ in starter.started])
    assert sizes == [[2, 2, 12, 63, 180, 2], [2, 2, 9, 25, 39, 2], [2, 2]]


def test_a_reference_trains_nothing():
    one = planned(model="real", budget="")
    found, _ = estimated(one)
    assert found[one.id].training == 0
    assert found[one.id].evaluation == pytest.approx(3 + 0.01 * 5000 * 2)


def test_seeds_share_their_probes_and_what_is_skipped_has_none():
    trials = [planned(seed=seed) for seed in range(20)]
    found, starter = estimated(*trials, planned(unsupported="too small"))
    assert len(found) == 20 and len(set(found.values())) == 1
    # One that is not measured, for what is computed once of the data; then more and more images,
    # and as many to be scored with few samples.
    assert [probe.evaluation.samples for probe, _ in starter.started] == [2, 2, 13, 83, 200, 2]
    assert [probe.evaluation.likelihood_images for probe, _ in starter.started] == [
        *(2, 2, 13, 83, 100, 100)
    ]


def test_a_probe_that_fails_says_why():
    one = planned()
    found, _ = estimated(one, row=lambda probe: probe.row("error", "it has no brush"))
    assert found[one.id].reason == "error: it has no brush"
    assert found[one.id].total == 0


@pytest.mark.parametrize("images", [1, 2, 30])
def test_no_probe_scores_more_images_than_its_trial(images):
    evaluation = planned().evaluation.model_copy(update={"likelihood_images": images})
    _, starter = estimated(planned(evaluation=evaluation))
    assert max(probe.evaluation.likelihood_images for probe, _ in starter.started) == images
