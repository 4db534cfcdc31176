"""Predictions convert into data and noise, whatever the network predicts."""

import math

import pytest
import torch
from support.oracles import GaussianOracle

from harness_diffusion.denoisers import Clipped, NetworkDenoiser, combine, split
from harness_diffusion.paths import LinearVP, broadcast_like

VP = LinearVP()
TARGETS = ["noise", "data", "v", "velocity"]


def state(seed=0):
    generator = torch.Generator().manual_seed(seed)
    x, e = torch.randn(2, 4, 2, 3, 3, dtype=torch.float64, generator=generator)
    t = torch.tensor([0.05, 0.3, 0.7, 0.95], dtype=torch.float64)
    return x, e, t


@pytest.mark.parametrize("target", TARGETS)
def test_data_and_noise_come_back_from_every_prediction(target):
    x, e, t = state()
    a, s = VP(t)
    data, noise = split(target, combine(target, x, e, a, s), VP.diffuse(x, e, t), a, s)
    torch.testing.assert_close(data, x)
    torch.testing.assert_close(noise, e)


def test_targets_are_what_the_papers_define():
    x, e, t = state()
    a, s = VP(t)
    expected = {"noise": e, "data": x, "v": broadcast_like(a, x) * e - broadcast_like(s, x) * x}
    expected["velocity"] = e - x
    for target, u in expected.items():
        torch.testing.assert_close(combine(target, x, e, a, s), u)


def test_v_is_the_derivative_along_the_circle():
    x, e, _ = state()
    angle = torch.tensor([0.1, 0.5, 1.0, 1.5], dtype=torch.float64)

    def on_circle(phi):
        return broadcast_like(phi.cos(), x) * x + broadcast_like(phi.sin(), x) * e

    h = 1e-6
    slope = (on_circle(angle + h) - on_circle(angle - h)) / (2 * h)
    torch.testing.assert_close(combine("v", x, e, angle.cos(), angle.sin()), slope)


@pytest.mark.parametrize("target", TARGETS)
def test_a_denoiser_is_the_same_for_one_time_and_for_a_time_each(target):
    x_t, _, _ = state()
    oracle = GaussianOracle(VP, 0.3, 0.5)
    for t in (torch.tensor(0.4), torch.full((4,), 0.4)):

        def network(x_t, t):
            assert t.shape == (4,)
            return combine(target, *oracle(x_t, t), *VP(t))

        data, noise = NetworkDenoiser(network, VP, target)(x_t, t)
        torch.testing.assert_close(data, oracle(x_t, torch.tensor(0.4)).data, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(
            noise, oracle(x_t, torch.tensor(0.4)).noise, rtol=1e-6, atol=1e-6
        )


def test_a_condition_chooses_the_expectation():
    """Data N(m_y, 0.5^2): the network is asked with y, and the denoiser is E[x | x_t, y]."""
    x_t, _, _ = state()
    means, label = torch.tensor([-1.0, 2.0]).double(), torch.tensor([0, 1, 1, 0])

    def network(x_t, t, y):
        return GaussianOracle(VP, broadcast_like(means[y], x_t), 0.5)(x_t, t).noise

    t = torch.tensor(0.4, dtype=torch.float64)
    found = NetworkDenoiser(network, VP, "noise", label)(x_t, t)
    for i, y in enumerate(label):
        alone = GaussianOracle(VP, float(means[y]), 0.5)(x_t[i : i + 1], t)
        torch.testing.assert_close(found.data[i : i + 1], alone.data)
        torch.testing.assert_close(found.noise[i : i + 1], alone.noise)


def test_noise_arithmetic_stays_in_float32_under_a_half_precision_network():
    x, e, t = (value.float() for value in state())
    a, s = VP(t)
    x_t = VP.diffuse(x, e, t)
    prediction = NetworkDenoiser(lambda x_t, t: e.bfloat16(), VP, "noise")(x_t, t)
    assert prediction.data.dtype == torch.float32
    torch.testing.assert_close(VP.diffuse(*prediction, t), x_t, rtol=1e-5, atol=1e-5)


def test_clipping_keeps_the_state_and_bounds_the_data():
    x, e, t = state()
    x_t = VP.diffuse(3 * x, e, t)
    clipped = Clipped(GaussianOracle(VP, 0.0, 3.0), VP)(x_t, t)
    assert clipped.data.abs().max() == 1
    torch.testing.assert_close(VP.diffuse(*clipped, t), x_t)


def test_unknown_predictions_are_named():
    x, e, t = state()
    with pytest.raises(ValueError, match="'score'.*noise, data, v, velocity"):
        combine("score", x, e, *VP(t))


def test_the_oracle_is_the_regression_of_data_on_the_state():
    oracle = GaussianOracle(VP, 0.3, 0.5)
    x = 0.3 + 0.5 * torch.randn(
        100_000, 1, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    e = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    t = torch.tensor(0.3, dtype=torch.float64)
    x_t = VP.diffuse(x, e, t)
    residual = x - oracle(x_t, t).data
    error = 0.5 / math.sqrt(len(x))
    assert abs(float(residual.mean())) < 4 * error
    assert abs(float((residual * x_t).mean())) < 4 * error
