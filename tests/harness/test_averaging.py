"""The average of weights: half-life in images, ramp, and no trace in the live weights."""

import pytest
import torch
from torch import nn

from harness.averaging import WeightAverage


def jump(half_life, batch, warm_images, after_images):
    """The average of a weight that is 0 for ``warm_images``, then 1 for ``after_images``."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = WeightAverage(model, half_life)
    seen = 0
    while seen < warm_images + after_images:
        seen += batch
        if seen > warm_images:
            nn.init.ones_(model.weight)
        average.update(batch, seen)
    return float(average.state_dict()["weight"])


@pytest.mark.parametrize("batch", [10, 50, 250])
def test_after_one_half_life_the_average_is_half_way_whatever_the_batch(batch):
    # The ramp does not bind: 5% of 20,000 images is above the half-life.
    assert jump(500, batch, 20_000, 500) == pytest.approx(0.5, abs=1e-5)


def test_early_on_the_half_life_is_five_percent_of_the_images_seen():
    """With H = infinity, d ln(1 - w) / dn = -ln 2 / (0.05 n): 1 - w = (n0 / n)^(ln 2 / 0.05)."""
    n0, n, batch = 10_000, 10_500, 1
    expected = 1 - (n0 / n) ** (0.6931471805599453 / 0.05)
    assert jump(float("inf"), batch, n0, n - n0) == pytest.approx(expected, abs=1e-3)


def test_the_first_steps_forget_the_initial_weights():
    assert jump(500_000, 64, 0, 128) == pytest.approx(1.0, abs=1e-5)


def test_applying_swaps_and_restores_bitwise():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    average = WeightAverage(model, 100)
    averaged = {name: value.clone() for name, value in average.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    live = {name: value.clone() for name, value in model.state_dict().items()}
    with average.applied():
        for name, value in averaged.items():
            assert torch.equal(model.state_dict()[name], value)
    for name, value in model.state_dict().items():
        assert torch.equal(value, live[name])


def test_an_exception_inside_still_restores_the_live_weights():
    model = nn.Linear(2, 2)
    average = WeightAverage(model, 100)
    with torch.no_grad():
        model.weight.add_(1.0)
    live = model.weight.detach().clone()
    with pytest.raises(RuntimeError), average.applied():
        raise RuntimeError
    assert torch.equal(model.weight, live)


def test_floating_buffers_are_averaged_and_counters_are_not():
    model = nn.BatchNorm1d(2)
    average = WeightAverage(model, 100)
    model(torch.randn(8, 2) + 5)
    average.update(8, 1000)
    with average.applied():
        assert int(model.num_batches_tracked) == 1
        beta = 0.5 ** (8 / 50)
        live = average.state_dict()["running_mean"]  # swapped: the live one is in here
        assert torch.allclose(model.running_mean, (1 - beta) * live)


def test_state_round_trip():
    model = nn.Linear(2, 2)
    average = WeightAverage(model, 100)
    with torch.no_grad():
        model.weight.add_(1.0)
    other = WeightAverage(nn.Linear(2, 2), 100)
    other.load_state_dict(average.state_dict())
    for name, value in average.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
