"""Paths keep their identities, and posteriors are what conditioning Gaussians gives."""

import math

import pytest
import torch

from harness_diffusion.paths import (
    DiscretePath,
    LinearVP,
    Rectified,
    VarianceExploding,
    cosine_betas,
    linear_betas,
)

LINEAR = DiscretePath(linear_betas(1000))
COSINE = DiscretePath(cosine_betas(50))
VP = LinearVP()
SMOOTH = {"vp": VP, "rectified": Rectified(), "ve": VarianceExploding(0.02, 30.0)}
PATHS = {"linear": LINEAR, "cosine": COSINE, **SMOOTH}


def times(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("path", [LINEAR, COSINE, VP], ids=["linear", "cosine", "vp"])
def test_variance_is_preserved_and_the_noise_grows(path):
    t = torch.linspace(0, 1, 51, dtype=torch.float64)
    a, s = path(t)
    torch.testing.assert_close(a**2 + s**2, torch.ones(51).double(), rtol=1e-12, atol=0)
    assert (s.diff() > 0).all()
    assert (a[0], s[0]) == (1, 0)


def test_alpha_bar_is_the_product_of_one_minus_beta():
    betas = [1e-4 + (0.02 - 1e-4) * i / 999 for i in range(1000)]
    for k in (1, 2, 500, 1000):
        expected = math.prod(1 - beta for beta in betas[:k])
        a, s = LINEAR(times(k / 1000))
        assert float(a) ** 2 == pytest.approx(expected, rel=1e-10)
        assert float(s) ** 2 == pytest.approx(1 - expected, rel=1e-10)


def test_linear_schedule_ends_as_noisy_with_fewer_steps():
    ends = [float(DiscretePath(linear_betas(steps)).a[-1].log()) for steps in (200, 1000, 4000)]
    assert ends == pytest.approx([ends[1]] * 3, rel=0.03)


def test_cosine_schedule_follows_the_squared_cosine_until_the_cut():
    def f(t):
        return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

    for k in (1, 10, 25, 49):
        assert float(COSINE(times(k / 50))[0]) ** 2 == pytest.approx(f(k / 50) / f(0), rel=1e-9)
    assert cosine_betas(50)[-1] == 0.999


def test_vp_coefficients_solve_the_moment_equations_of_the_sde():
    t = torch.linspace(0.01, 1, 20, dtype=torch.float64, requires_grad=True)
    a, s = VP(t)
    beta = 0.1 + 19.9 * t.detach()
    (slope_a,) = torch.autograd.grad(a.sum(), t, retain_graph=True)
    (slope_variance,) = torch.autograd.grad((s**2).sum(), t)
    torch.testing.assert_close(slope_a, -beta / 2 * a.detach())
    torch.testing.assert_close(slope_variance, beta * (1 - s.detach() ** 2))
    torch.testing.assert_close(VP.beta(t.detach()), beta)


@pytest.mark.parametrize("path", SMOOTH.values(), ids=SMOOTH)
def test_derivatives_are_those_of_the_coefficients(path):
    t = torch.linspace(0.05, 0.95, 19, dtype=torch.float64, requires_grad=True)
    a, s = path(t)
    expected = [
        torch.autograd.grad(c.sum(), t, retain_graph=True)[0] if c.requires_grad else 0 * t.detach()
        for c in (a, s)
    ]
    found = path.derivatives(t.detach())
    torch.testing.assert_close(list(found), expected)


def test_the_sde_of_each_path_is_the_papers():
    t = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    f, g2 = VP.diffusion(t)
    torch.testing.assert_close(f, -VP.beta(t) / 2)
    torch.testing.assert_close(g2, VP.beta(t))
    f, g2 = SMOOTH["ve"].diffusion(t)
    assert (f == 0).all()
    torch.testing.assert_close(g2, 2 * math.log(1500) * (0.02 * 1500**t) ** 2)
    f, g2 = SMOOTH["rectified"].diffusion(t)
    torch.testing.assert_close(f, -1 / (1 - t))
    torch.testing.assert_close(g2, 2 * t / (1 - t))


def test_sampling_begins_with_the_noise_of_the_end():
    for path in SMOOTH.values():
        assert float(path(times(1.0))[1]) == pytest.approx(path.scale, rel=1e-4)


def test_vp_time_inverts_the_noise_level():
    t = torch.logspace(-6, 0, 30, dtype=torch.float64)
    a, s = VP(t)
    torch.testing.assert_close(VP.time(s / a), t, rtol=1e-10, atol=0)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize(("r", "t"), [(0.02, 0.04), (0.3, 0.98), (0.5, 0.52)])
def test_posterior_is_the_gaussian_conditional(path, r, t):
    (a_r, s_r), (a_t, s_t) = ([float(c) for c in path(times(u)[0])] for u in (r, t))
    a_tr = a_t / a_r
    s_tr = math.sqrt(s_t**2 - a_tr**2 * s_r**2)
    # x_r and x_t as a linear map of independent standard normals (x, e_1, e_2).
    maps = times([a_r, s_r, 0], [a_tr * a_r, a_tr * s_r, s_tr], [1, 0, 0])
    covariance = maps @ maps.T
    seen = covariance[1:, 1:]
    weights = torch.linalg.solve(seen, covariance[0, 1:])
    variance = covariance[0, 0] - weights @ covariance[1:, 0]

    posterior = path.posterior(times(r)[0], times(t)[0])
    assert float(posterior.state) == pytest.approx(float(weights[0]), rel=1e-8)
    assert float(posterior.data) == pytest.approx(float(weights[1]), rel=1e-8)
    assert float(posterior.variance) == pytest.approx(float(variance), rel=1e-8)


def test_posterior_of_one_step_has_the_variance_of_the_paper():
    beta = 1e-4 + (0.02 - 1e-4) * 299 / 999
    before, after = (float(LINEAR(times(k / 1000))[0]) ** 2 for k in (299, 300))
    posterior = LINEAR.posterior(times(0.299)[0], times(0.3)[0])
    assert float(posterior.variance) == pytest.approx((1 - before) / (1 - after) * beta, rel=1e-9)


def test_posterior_at_zero_is_the_data():
    posterior = VP.posterior(times(0.0)[0], times(0.4)[0])
    assert [float(c) for c in posterior] == [1, 0, 0]


def test_diffused_data_have_the_coefficients_of_their_own_time():
    x, e = torch.randn(2, 3, 1, 2, 2, dtype=torch.float64)
    t = times(0.1, 0.5, 1.0)
    x_t = VP.diffuse(x, e, t)
    for i in range(3):
        a, s = VP(t[i])
        torch.testing.assert_close(x_t[i], a * x[i] + s * e[i])


def test_impossible_schedules_are_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        DiscretePath(times(0.1, 1.0))
    with pytest.raises(ValueError, match="beta_min"):
        LinearVP(2.0, 1.0)
    with pytest.raises(ValueError, match="sigma_min"):
        VarianceExploding(1.0, 1.0)
