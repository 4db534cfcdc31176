"""Discretised logistics, Gaussians and importance bounds against independent arithmetic."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from harness_nets.bounds import importance_bound
from harness_nets.discretised import DiscretisedLogistic
from harness_nets.gaussian import DiagonalGaussian, standard_normal_log_prob


def table(location, log_scale, levels):
    """Probabilities of every level of each sub-pixel, (levels, N)."""
    images = torch.arange(levels, dtype=torch.uint8)[:, None].expand(levels, len(location))
    return DiscretisedLogistic(location, log_scale, levels).log_prob(images).double().exp()


@pytest.mark.parametrize("levels", [2, 4, 17, 256])
def test_levels_sum_to_one_even_far_outside_the_range(levels):
    location = torch.linspace(-3, 3, 41).repeat(8)
    log_scale = torch.linspace(-9, 2, 8).repeat_interleave(41)
    total = table(location, log_scale, levels).sum(0)
    torch.testing.assert_close(total, torch.ones_like(total), atol=2e-5, rtol=0)


@pytest.mark.parametrize("levels", [2, 4, 17, 256])
def test_levels_are_differences_of_the_logistic_distribution_function(levels):
    location, log_scale = (
        torch.tensor([-1.4, -0.2, 0.0, 0.7]),
        torch.tensor([-1.0, -2.5, 0.5, -3.0]),
    )
    edges = (2 * torch.arange(1, levels, dtype=torch.float64) - 1) / (levels - 1) - 1
    cumulative = ((edges[:, None] - location.double()) / log_scale.double().exp()).sigmoid()
    cumulative = torch.cat((torch.zeros(1, 4), cumulative, torch.ones(1, 4)))
    torch.testing.assert_close(
        table(location, log_scale, levels), cumulative.diff(dim=0), rtol=1e-3, atol=1e-7
    )


def test_log_probability_and_its_gradient_are_finite_in_the_tails():
    location = torch.tensor([-50.0, 50.0, 0.0], requires_grad=True)
    log_scale = torch.tensor([-20.0, -7.0, 30.0], requires_grad=True)
    images = torch.tensor([0, 100, 255], dtype=torch.uint8)
    log_prob = DiscretisedLogistic(location, log_scale, 256).log_prob(images)
    log_prob.sum().backward()
    for value in (log_prob, location.grad, log_scale.grad):
        assert value.isfinite().all()


def test_samples_have_the_probabilities_that_log_prob_says():
    torch.manual_seed(0)
    location, log_scale = torch.tensor([-1.1, 0.1, 0.5]), torch.tensor([-1.0, -2.0, 0.0])
    many = DiscretisedLogistic(location.expand(50_000, 3), log_scale.expand(50_000, 3), 5)
    drawn = many.sample()
    frequency = torch.stack([(drawn == level).double().mean(0) for level in range(5)])
    torch.testing.assert_close(frequency, table(location, log_scale, 5), atol=0.01, rtol=0)


def test_the_median_has_half_of_the_mass_on_either_side():
    location = torch.linspace(-1.5, 1.5, 31)
    log_scale = torch.full_like(location, -0.5)
    median = DiscretisedLogistic(location, log_scale, 9).median().long()[None]
    cumulative = table(location, log_scale, 9).cumsum(0)
    up_to = cumulative.gather(0, median)
    below = torch.where(median > 0, cumulative.gather(0, (median - 1).clamp(min=0)), 0)
    assert (up_to >= 0.5 - 1e-6).all() and (below <= 0.5 + 1e-6).all()


def test_gaussian_density_and_divergence_are_the_known_ones():
    torch.manual_seed(0)
    mean, log_std, z = torch.randn(3, 5, 4)
    ours, theirs = DiagonalGaussian(mean, log_std), Normal(mean, log_std.exp())
    prior = Normal(torch.zeros(4), torch.ones(4))
    torch.testing.assert_close(ours.log_prob(z), theirs.log_prob(z).sum(1))
    torch.testing.assert_close(standard_normal_log_prob(z), prior.log_prob(z).sum(1))
    torch.testing.assert_close(ours.kl_from_standard_normal(), kl_divergence(theirs, prior).sum(1))


def test_gaussian_samples_have_its_moments_and_carry_gradients():
    torch.manual_seed(0)
    mean = torch.tensor([[1.0, -2.0]], requires_grad=True)
    log_std = torch.tensor([[0.5, -1.0]], requires_grad=True)
    z = DiagonalGaussian(mean.expand(40_000, 2), log_std.expand(40_000, 2)).sample()
    torch.testing.assert_close(z.mean(0), mean[0], atol=0.03, rtol=0)
    torch.testing.assert_close(z.std(0), log_std[0].exp(), atol=0.03, rtol=0)
    z.square().mean().backward()
    assert (mean.grad != 0).all() and (log_std.grad != 0).all()


def test_importance_bound_of_lognormal_weights_rises_to_the_known_mean():
    """log E[exp(s e)] = s^2 / 2, while E[log w] = 0."""
    torch.manual_seed(0)

    def log_weight():
        return 1.0 * torch.randn(2000)

    bounds = [float(importance_bound(log_weight, draws).mean()) for draws in (1, 10, 1000)]
    assert bounds[0] == pytest.approx(0, abs=0.1)
    assert bounds[0] + 0.1 < bounds[1] < bounds[2]
    assert bounds[2] == pytest.approx(0.5, abs=0.01)
    assert math.isfinite(float(importance_bound(lambda: torch.full((1,), -1e4), 3)))


@pytest.mark.parametrize("extreme", [-1e3, 60.0, 100.0, 1e3])
def test_whatever_a_network_predicts_values_and_gradients_stay_finite(extreme):
    """Scales in the far tails once gave NaN gradients, and a VAE that diverged at 28x28."""
    location = torch.linspace(-2, 2, 9, requires_grad=True)
    log_scale = torch.full((9,), extreme, requires_grad=True)
    images = torch.arange(9, dtype=torch.uint8) * 31
    nats = DiscretisedLogistic(location, log_scale, 256).log_prob(images)
    torch.manual_seed(0)
    mean = torch.zeros(1, 9, requires_grad=True)
    posterior = DiagonalGaussian(mean, log_scale[None])
    divergence = posterior.kl_from_standard_normal()
    total = nats.sum() + divergence.sum() + posterior.sample().sum()
    total.backward()
    for value in (total, location.grad, log_scale.grad, mean.grad):
        assert value.isfinite().all()
