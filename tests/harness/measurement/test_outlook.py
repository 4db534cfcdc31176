"""A run is told, once and while it trains, that its evaluation will dwarf its training."""

import time

import pytest
from support.broken_models import Table
from support.prepared import prepared
from support.stored import trial

from harness.cli.progress_display import Lines
from harness.machine.heartbeat import Progress, read_progress
from harness.measurement import outlook, rehearsal
from harness.measurement.evaluation_cost import FREE, CallCost, Work, likelihood, sampling
from harness.measurement.outlook import Costs
from harness.planning.benchmark import Evaluation

EVALUATION = Evaluation(
    samples=5000, batch_size=250, sample_sets=2, curve=(0.25, 0.5), likelihood_images=600
)


def planned(**changes):
    return trial().model_copy(update={"evaluation": EVALUATION} | changes)


def test_all_batches_of_all_sets_are_counted():
    """Two sets at the end and one at each pause, in twenty batches each."""
    assert sampling(planned()) == Work(80, 80 * 250)
    raw = EVALUATION.model_copy(update={"raw_weights": True})
    assert sampling(planned(evaluation=raw)).calls == 20 * (2 + 2 * 2 + 1)
    assert likelihood(planned()) == Work(3, 600)


@pytest.mark.parametrize(
    ("batch", "scored", "training_seconds", "words"),
    [
        # Samples that are slow whatever the batch, and by the image.
        ((4.0, 0.0), FREE, 60.0, "about 5 min, its training about 60 s: sampling 5 min; fewer .*s"),
        ((0.0, 0.01), FREE, 60.0, "about 3 min, .*fewer evaluation.samples, sample_sets or points"),
        # Likelihood, although the samples are quick.
        ((0.1, 0.0), (1.0, 0.3), 7.0, "3 min, .* sampling 8 s, likelihood 3 min; .*ood_images"),
        ((4.0, 0.0), FREE, 107.0, None),  # less than three times as long
        ((0.3, 0.0), (0.1, 0.0), 1.0, None),  # half a minute is nobody's concern
    ],
)
def test_only_what_dwarfs_the_training_is_worth_a_warning(batch, scored, training_seconds, words):
    costs = Costs(CallCost(*batch), CallCost(*scored))
    said = outlook.warning(planned(), costs, training_seconds)
    assert bool(said) == bool(words)
    if words:
        with pytest.raises(AssertionError, match=words):
            raise AssertionError(said)


def test_a_slow_sampler_is_reported_while_it_trains(tmp_path, monkeypatch):
    clock = iter(range(0, 1000, 30))
    monkeypatch.setattr(rehearsal.time, "perf_counter", lambda: next(clock))
    run, training = prepared(Table, tmp_path, budget="3 steps")
    monkeypatch.setattr(time, "perf_counter", time.monotonic)
    assert run.warm_up.evaluation_costs == Costs(
        sampling=CallCost(30.0, 0.0), likelihood=CallCost(30.0, 0.0)
    )
    # A first warning is of the short evaluation: its one batch, and that of the likelihood.
    run._spend(training)
    run.trial = run.trial.model_copy(update={"evaluation": EVALUATION})
    run._report(training)
    said = read_progress(tmp_path).warning
    assert "its evaluation will take at least about 42 min" in said
    assert "sampling 40 min, likelihood 90 s" in said


def test_sixteen_images_show_what_one_more_costs(monkeypatch):
    """The first call is cold: of two images it is the quicker of two that counts."""
    seconds = iter([1.0, 0.2, 0.9])
    cost = rehearsal._cost(lambda n: next(seconds), 2, 16)
    assert cost.each == pytest.approx(0.05) and cost.fixed == pytest.approx(0.1)


def test_a_warning_is_printed_once(capsys):
    lines = Lines(1)
    for fraction in (0.1, 0.2):
        lines.progressed(planned(), Progress("train", fraction, warning="it will be \x1b[31mlong"))
    assert capsys.readouterr().out == "vae on digits, seed 0: it will be \\x1b[31mlong\n"
