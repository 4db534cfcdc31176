"""When a row that was run again agrees: bits on the same kind of machine, intervals elsewhere."""

import math

import numpy as np
import pytest
from support.rows import make_row

from harness.machine.hardware import computes_alike
from harness.publishing.agreement import LEVEL, compare, half_width, why_not_bits
from harness.row import Measurement, Usage

MACHINE = {
    "device": "cpu",
    "cpu": "a cpu",
    "instructions": "AVX2",
    "extensions": "avx avx2",
    "cores": 2,
    "threads": 2,
    "torch": "2.11.0",
    "gpu": None,
    "capability": None,
    "cuda": None,
    "cudnn": None,
}


def row(fid=2.0, budget="5 steps", machine=None, **changes):
    digests = {"samples": "a" * 64, "weights": "b" * 64}
    hardware = MACHINE | (machine or {})
    fields = {"budget": budget, "hardware": hardware, "digests": digests}
    return make_row("vae", fid, **(fields | changes))


def outcome(then, now, seeds=()):
    return {check.name: check for check in compare(then, now, seeds or (then,))}


def test_the_same_bits_agree_and_timings_are_not_asked():
    faster = {"images_per_second": Measurement(value=1e6)}
    found = outcome(row(), row(metrics=faster))
    assert found.pop("images_per_second").agrees is None
    assert all(check.agrees for check in found.values())
    assert {"samples", "weights", "steps", "fid"} <= set(found)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"digests": {"samples": "a" * 64, "weights": "c" * 64}}, "weights"),
        ({"digests": {"weights": "b" * 64}}, "samples"),
        ({"usage": Usage(steps=4705, flops=4.2e12, images=301_056, batches=4704)}, "steps"),
        ({"fid": 2.0001}, "fid"),
        ({"metrics": {"bits_per_dim": Measurement(value=None, reason="diverged")}}, "bits_per_dim"),
        ({"status": "diverged", "reason": "nan"}, "status"),
    ],
)
def test_whatever_else_differs_is_named(changes, name):
    found = outcome(row(), row(**changes))
    assert [check.name for check in found.values() if check.agrees is False] == [name]


def test_what_never_was_a_number_agrees_with_itself():
    nan = {"odd": Measurement(value=math.nan)}
    assert outcome(row(metrics=nan), row(metrics=nan))["odd"].agrees


@pytest.mark.parametrize("name", ["cpu", "instructions", "extensions", "threads", "torch"])
def test_another_kind_of_machine_is_asked_for_no_bits(name):
    reason = why_not_bits(row(), row(machine={name: "another"}))
    assert reason == f"another kind of machine: {name}"


def test_cores_matter_only_where_there_are_fewer_than_threads():
    assert computes_alike(MACHINE, MACHINE | {"cores": 64}) == []
    assert computes_alike(MACHINE, MACHINE | {"cores": 1}) == ["cores"]


def test_a_gpu_is_compared_where_it_computes():
    other = {"gpu": "B", "cudnn": 9}
    assert computes_alike(MACHINE, MACHINE | other) == []
    cuda = MACHINE | {"device": "cuda", "gpu": "A"}
    assert computes_alike(cuda, cuda | {"gpu": "B"}) == ["gpu"]


def test_a_clock_is_asked_for_no_bits():
    then, now = row(budget="5 device-seconds"), row(budget="5 device-seconds")
    assert "by the clock" in why_not_bits(then, now)
    assert why_not_bits(row(budget=""), row(budget="")) == ""


def test_elsewhere_the_verdict_rests_on_the_headline_within_the_spread_of_seeds():
    machine = {"cpu": "another"}
    seeds = [row(fid=2.0), row(fid=2.2, seed=1), row(fid=1.9, seed=2)]
    alike = outcome(seeds[0], row(fid=2.4, machine=machine), seeds)
    assert alike["fid"].agrees and alike["fid"].decides
    assert "3 seeds" in alike["fid"].words
    assert not outcome(seeds[0], row(fid=9.0, machine=machine), seeds)["fid"].agrees
    assert not alike["nfe"].decides


def test_the_interval_holds_two_trainings_as_often_as_it_says():
    """Of normal seeds, |row - again| <= t s sqrt(2) with the probability of the level."""
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(4000, 4))
    figure = Measurement(value=0.0)
    held = [
        abs(values[0] - again) <= (half_width(figure, figure, values, LEVEL)[0] or 0.0)
        for *values, again in draws.tolist()
    ]
    # The row is one of the seeds, which makes it a little surer than it says.
    assert LEVEL - 0.01 < np.mean(held) < LEVEL + 0.02


def test_with_one_seed_the_sets_show_what_they_can():
    rng = np.random.default_rng(1)
    held = []
    for then, now in rng.normal(size=(4000, 2, 3)):
        one, two = (Measurement(value=float(np.mean(s)), sets=tuple(s)) for s in (then, now))
        width, how = half_width(one, two, [1.0], LEVEL)
        held.append(abs(one.value - two.value) <= width)
    assert "one seed" in how
    assert np.mean(held) == pytest.approx(LEVEL, abs=0.015)


def test_without_any_error_nothing_is_asked():
    assert half_width(Measurement(value=1.0), Measurement(value=2.0), [1.0], LEVEL)[0] is None
