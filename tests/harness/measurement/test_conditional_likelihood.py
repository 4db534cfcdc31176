"""A conditional model is scored as p(x | y), each held-out example given its own y."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.toy_models import Histogram, Mixture, ToyConfig
from support.toys import SPEC, split

from harness.checks.subject import all_images
from harness.measurement.likelihood import measure_likelihood


@pytest.fixture
def model():
    """Each class paints its own level into every pixel, with a probability of 0.7."""
    built = Histogram(SPEC, ToyConfig())
    favourite = torch.full((SPEC.classes, SPEC.dimensions, SPEC.levels), 0.1)
    for label in range(SPEC.classes):
        favourite[label, :, label] = 0.7
    with torch.no_grad():
        built.network.weight.copy_(favourite.log().flatten(1))
    return built


def painted(n):
    """Every image shows its label in all pixels but the last, which shows another."""
    y = np.arange(n) % SPEC.classes
    x = np.broadcast_to(y[:, None, None, None], (n, *SPEC.shape)).astype(np.uint8)
    x[:, 0, 1, 1] = (y + 1) % SPEC.levels
    return replace(split(n), x=x, y=y)


def bits(model, test):
    return measure_likelihood(model, test, images=None, batch_size=7, seed=0)


def test_probabilities_sum_to_one_for_each_condition(model):
    every = all_images(SPEC)
    for label in range(SPEC.classes):
        nats = model.log_likelihood(every, torch.full((len(every),), label)).nats
        assert float(nats.exp().sum()) == pytest.approx(1, abs=1e-5)


def test_each_example_is_given_its_own_condition(model):
    test = painted(30)
    found = bits(model, test)
    assert found.value == pytest.approx(-(3 * math.log2(0.7) + math.log2(0.1)) / 4, rel=1e-6)
    assert "given its label" in found.protocol
    others = bits(model, replace(test, y=(test.y + 1) % SPEC.classes))
    assert others.value > 2 * found.value


def test_a_model_that_takes_no_condition_pays_for_the_class(model):
    marginal = Mixture(SPEC, ToyConfig())
    marginal.load_state_dict(model.state_dict())
    test = painted(30)
    found = bits(marginal, test)
    assert found.value > bits(model, test).value
    assert found.value == bits(marginal, replace(test, y=(test.y + 1) % SPEC.classes)).value
    assert "given" not in found.protocol


def test_unpaired_data_has_no_likelihood_of_x_given_y(model):
    model.spec = replace(SPEC, paired=False)
    found = bits(model, painted(30))
    assert (found.value, found.reason) == (None, "x and y of the data are not paired: no p(x | y)")
