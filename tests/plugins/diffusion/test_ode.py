"""The ODE's likelihood is the analytic one where that is known, and its trace is a trace."""

import math

import pytest
import torch
from support.oracles import GaussianOracle

from harness.checks.subject import perturb
from harness_diffusion.denoisers import NetworkDenoiser
from harness_diffusion.ode import hutchinson, log_density, noise_levels, rademacher, rk4
from harness_diffusion.paths import LinearVP, broadcast_like
from harness_nets.unet import UNet

VP = LinearVP()
# Orthogonal signs: the mean of v v^T over the four is the identity, so the trace is exact.
HADAMARD = torch.tensor(
    [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], dtype=torch.float64
)


def every_probe(n):
    return HADAMARD.view(4, 1, 1, 2, 2).expand(4, n, 1, 2, 2)


def test_rk4_is_of_fourth_order():
    errors = []
    for steps in (8, 16):
        grid = torch.linspace(0, 2, steps + 1, dtype=torch.float64)
        x = rk4(lambda x, u: x * torch.cos(u), torch.ones(1, dtype=torch.float64), grid)
        errors.append(abs(float(x) - math.exp(math.sin(2))))
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.3)


def test_rk4_takes_four_evaluations_a_step():
    calls = []
    rk4(lambda x, u: calls.append(u) or x, torch.ones(1), torch.linspace(0, 1, 8))
    assert len(calls) == 4 * 7


def test_noise_levels_are_even_in_their_logarithm_and_meet_the_times():
    start, end = torch.tensor([1e-3, 1.0], dtype=torch.float64)
    grid = noise_levels(VP, start, end, 10)
    assert grid.diff().std() < 1e-12
    torch.testing.assert_close(VP.time(grid[[0, -1]].exp()), torch.stack([start, end]))


def test_orthogonal_probes_give_the_trace_of_the_jacobian():
    torch.manual_seed(0)
    net = perturb(UNet((1, 2, 2), 8, 1), 0.3).double().eval()
    x = torch.randn(3, 1, 2, 2, dtype=torch.float64)
    t = torch.full((3,), 0.4, dtype=torch.float64)
    value, trace = hutchinson(lambda x: net(x, t), x, every_probe(3))
    torch.testing.assert_close(value, net(x, t).detach())
    for i in range(3):
        jacobian = torch.autograd.functional.jacobian(
            lambda y, i=i: net(y, t[i : i + 1]).flatten(), x[i : i + 1]
        ).view(4, 4)
        assert float(trace[i]) == pytest.approx(float(jacobian.trace()), rel=1e-6)


def test_random_probes_give_the_trace_on_average_with_the_variance_of_signs():
    """The variance of v^T J v over signs is the sum over i < j of (J_ij + J_ji)^2."""
    torch.manual_seed(0)
    matrix = torch.randn(4, 4, dtype=torch.float64)
    x = torch.randn(20_000, 1, 2, 2, dtype=torch.float64)

    def field(x):
        return (x.flatten(1) @ matrix.T).view_as(x)

    _, trace = hutchinson(field, x, rademacher(1, x))
    variance = (matrix + matrix.T).triu(1).square().sum()
    error = float(variance.sqrt()) / math.sqrt(len(x))
    assert float(trace.mean()) == pytest.approx(float(matrix.trace()), abs=4 * error)
    assert float(trace.var()) == pytest.approx(float(variance), rel=0.05)


def test_several_probes_are_averaged():
    x = torch.randn(2, 1, 2, 2, dtype=torch.float64)
    _, trace = hutchinson(lambda x: x**3, x, rademacher(5, x))
    torch.testing.assert_close(trace, 3 * x.square().flatten(1).sum(1))


def gaussian_bits(oracle, x, steps, start):
    """Return estimated and analytic log-density, the latter as bits/dim apart from the former."""
    mean, std = oracle.marginal(start)
    exact = torch.distributions.Normal(mean, std).log_prob(x).flatten(1).sum(1)
    estimate = log_density(oracle, VP, x, every_probe(len(x)), steps, start)
    return (estimate - exact) / (x[0].numel() * math.log(2))


@pytest.mark.parametrize("start", [1e-5, 1e-3])
def test_likelihood_of_a_gaussian_is_analytic(start):
    oracle = GaussianOracle(VP, 0.3, 0.5)
    torch.manual_seed(0)
    x = 0.3 + 0.5 * torch.randn(200, 1, 2, 2, dtype=torch.float64)
    error = gaussian_bits(oracle, x, 16, start)
    assert abs(float(error.mean())) < 3e-4
    assert float(error.abs().max()) < 0.01


def test_likelihood_of_a_narrow_gaussian_is_analytic():
    oracle = GaussianOracle(VP, -0.6, 0.02)
    torch.manual_seed(0)
    x = -0.6 + 0.02 * torch.randn(200, 1, 2, 2, dtype=torch.float64)
    error = gaussian_bits(oracle, x, 25, 1e-5)
    assert abs(float(error.mean())) < 3e-3


def test_a_coarse_solver_is_worse():
    oracle = GaussianOracle(VP, 0.3, 0.5)
    torch.manual_seed(0)
    x = 0.3 + 0.5 * torch.randn(200, 1, 2, 2, dtype=torch.float64)
    assert abs(float(gaussian_bits(oracle, x, 4, 1e-5).mean())) > 3e-3


def test_density_of_a_network_without_a_closed_form_integrates_to_one():
    """By importance sampling from a wide Gaussian; the network need not be a score's."""
    torch.manual_seed(0)
    weight, bias = torch.randn(4, 4, dtype=torch.float64), torch.randn(4, dtype=torch.float64)

    def network(x_t, t):
        ripple = torch.tanh(x_t.flatten(1) @ weight.T + bias).view_as(x_t)
        a, s = (broadcast_like(c, x_t) for c in VP(t))
        return s * x_t + 0.5 * a * ripple

    proposal = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.5)
    x = proposal.sample((4000, 1, 2, 2))
    log_p = log_density(NetworkDenoiser(network, VP, "noise"), VP, x, every_probe(len(x)), 8, 1e-2)
    weights = (log_p - proposal.log_prob(x).flatten(1).sum(1)).exp()
    error = float(weights.std()) / math.sqrt(len(x))
    assert error < 0.04
    assert float(weights.mean()) == pytest.approx(1, abs=4 * error)


def test_one_image_does_not_move_anothers_likelihood():
    oracle = GaussianOracle(VP, 0.3, 0.5)
    x = torch.randn(3, 1, 2, 2, dtype=torch.float64)
    moved = x.clone()
    moved[0] *= 40
    a, b = (log_density(oracle, VP, y, every_probe(3), 4, 1e-3) for y in (x, moved))
    assert torch.equal(a[1:], b[1:])
