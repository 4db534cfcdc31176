"""A run is told, once and while it trains, that its evaluation will dwarf its training."""

import time

import pytest
from support.broken_models import Table
from support.prepared import prepared
from support.stored import trial

from harness import outlook, rehearsal
from harness.benchmark import Evaluation
from harness.cli.progress_display import Lines
from harness.progress import Progress, read_progress

EVALUATION = Evaluation(samples=5000, batch_size=250, sample_sets=2, curve=(0.25, 0.5))


def planned(**changes):
    return trial().model_copy(update={"evaluation": EVALUATION} | changes)


def test_all_batches_of_all_sets_are_counted():
    """Two sets at the end and one at each pause, in twenty batches each."""
    assert outlook.batches_drawn(planned()) == 20 * (2 + 2)
    raw = EVALUATION.model_copy(update={"raw_weights": True})
    assert outlook.batches_drawn(planned(evaluation=raw)) == 20 * (2 + 2 * 2 + 1)


@pytest.mark.parametrize(
    ("batch_seconds", "training_seconds", "words"),
    [
        (4.0, 60.0, "at least 5 min, its training about 60 s: 80 batches .* takes 4 s"),
        (4.0, 107.0, None),  # less than three times as long
        (0.5, 1.0, None),  # forty seconds are nobody's concern
    ],
)
def test_only_what_dwarfs_the_training_is_worth_a_word(batch_seconds, training_seconds, words):
    said = outlook.warning(planned(), batch_seconds, training_seconds)
    assert bool(said) == bool(words)
    if words:
        with pytest.raises(AssertionError, match=words):
            raise AssertionError(said)


def test_a_slow_sampler_is_told_of_while_it_trains(tmp_path, monkeypatch):
    clock = iter(range(0, 1000, 30))
    monkeypatch.setattr(rehearsal.time, "perf_counter", lambda: next(clock))
    run, training = prepared(Table, tmp_path, budget="3 steps")
    monkeypatch.setattr(time, "perf_counter", time.monotonic)
    assert run.batch_seconds == 30
    run._spend(training)
    assert "its evaluation will take at least 30 s" not in read_progress(tmp_path).warning
    run.trial = run.trial.model_copy(update={"evaluation": EVALUATION})
    run._report(training)
    assert "its evaluation will take at least 40 min" in read_progress(tmp_path).warning


def test_a_warning_is_printed_once(capsys):
    lines = Lines(1)
    for fraction in (0.1, 0.2):
        lines.progressed(planned(), Progress("train", fraction, warning="it will be \x1b[31mlong"))
    assert capsys.readouterr().out == "vae on digits, seed 0: it will be \\x1b[31mlong\n"
