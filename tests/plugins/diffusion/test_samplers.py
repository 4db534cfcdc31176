"""With an ideal denoiser for Gaussian data, every sampler draws that Gaussian."""

import math

import pytest
import torch
from support.oracles import GaussianOracle

from harness_diffusion.ode import noise_levels
from harness_diffusion.paths import (
    DiscretePath,
    LinearVP,
    Rectified,
    VarianceExploding,
    cosine_betas,
    linear_betas,
)
from harness_diffusion.samplers import (
    DDIM,
    SAMPLERS,
    Ancestral,
    Euler,
    EulerMaruyama,
    Heun,
    Langevin,
    ProbabilityFlow,
    run,
)

N = 20_000
MEAN, STD = 0.3, 0.5
VP = LinearVP()
PATHS = {"vp": VP, "rectified": Rectified(), "ve": VarianceExploding(0.01, 20.0)}
END = 1e-3


def noise(n=N, seed=0):
    torch.manual_seed(seed)
    return torch.randn(n, 1, 1, 1, dtype=torch.float64)


def even(steps, end=END):
    return torch.linspace(1, end, steps + 1, dtype=torch.float64)


def geometric(steps, end=END):
    ends = torch.tensor([1.0, end], dtype=torch.float64)
    return VP.time(noise_levels(VP, *ends, steps).exp())


def assert_moments(x, mean, std, bias):
    """Mean and standard deviation, within four standard errors and the solver's own ``bias``."""
    error = std / math.sqrt(x.numel())
    assert float(x.mean()) == pytest.approx(mean, abs=4 * error)
    assert float(x.std()) == pytest.approx(std, abs=4 * error / math.sqrt(2) + bias)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sampler", [Ancestral, DDIM, EulerMaruyama, Euler, Heun])
def test_the_state_at_the_end_has_the_moments_of_its_marginal(sampler, path):
    if (sampler, path) == (EulerMaruyama, "rectified"):
        pytest.skip("its SDE has no drift at t = 1, where no data is left")
    chosen = PATHS[path]
    oracle = GaussianOracle(chosen, MEAN, STD)
    mean, std = oracle.marginal(1.0)
    x = run(sampler(oracle, chosen), mean + std * noise(), even(500))
    assert_moments(x, *oracle.marginal(END), bias=0.01)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("sampler", "order"), [(Euler, 1), (Heun, 2)])
def test_the_error_of_a_solver_falls_with_its_order(sampler, order, path):
    chosen = PATHS[path]
    oracle = GaussianOracle(chosen, MEAN, STD)
    x = chosen.scale * noise(100)
    expected = quantile_map(oracle, x, 0.1)
    errors = [
        float((run(sampler(oracle, chosen), x, even(steps, 0.1)) - expected).abs().max())
        for steps in (200, 400)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


def test_heuns_last_step_asks_nothing_of_a_state_without_noise():
    asked = []

    def denoiser(x, t):
        asked.append(float(t))
        return GaussianOracle(PATHS["rectified"], MEAN, STD)(x, t)

    run(Heun(denoiser, PATHS["rectified"]), noise(2), torch.tensor([1.0, 0.5, 0.0]))
    assert asked == [1.0, 0.5, 0.5]


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_of_the_list_is_a_step_towards_the_data(name):
    oracle = GaussianOracle(VP, MEAN, STD)
    x = run(SAMPLERS[name](oracle, VP), noise(2000), geometric(100))
    assert float(x.mean()) == pytest.approx(MEAN, abs=0.05)


@pytest.mark.parametrize("betas", [linear_betas(1000), cosine_betas(400)], ids=["linear", "cosine"])
@pytest.mark.parametrize("sampler", [Ancestral, DDIM])
def test_all_steps_of_a_discrete_process_return_the_data(sampler, betas):
    path = DiscretePath(betas)
    oracle = GaussianOracle(path, MEAN, STD)
    times = torch.linspace(1, 0, len(betas) + 1, dtype=torch.float64)
    assert_moments(run(sampler(oracle, path), noise(4000), times), MEAN, STD, bias=0.01)


def test_predictor_and_corrector_together_draw_the_data():
    oracle = GaussianOracle(VP, MEAN, STD)
    torch.manual_seed(0)
    x = torch.randn(N // 16, 1, 4, 4, dtype=torch.float64)
    x = run(Ancestral(oracle, VP), x, even(300), Langevin(oracle, VP, ratio=0.1))
    assert_moments(x, *oracle.marginal(END), bias=0.01)


def test_every_state_but_the_first_is_corrected_once():
    """The first is an exact draw, where the network is asked once, later twice."""
    seen = []

    def denoiser(x, t):
        seen.append(float(t))
        return GaussianOracle(VP, MEAN, STD)(x, t)

    times = torch.tensor([1.0, 0.6, 0.3, 0.1])
    run(Ancestral(denoiser, VP), noise(2), times, Langevin(denoiser, VP, ratio=0.1))
    assert seen == pytest.approx([1.0, 0.6, 0.6, 0.3, 0.3])


def test_the_bias_of_ancestral_sampling_falls_with_the_steps():
    oracle = GaussianOracle(VP, MEAN, STD)
    biases = []
    for steps in (50, 100, 200):
        x = run(Ancestral(oracle, VP), noise(50_000), even(steps))
        biases.append(oracle.marginal(END)[1] - float(x.std()))
    assert biases[0] > 0.04
    assert biases[0] / biases[1] == pytest.approx(2, abs=0.3)
    assert biases[1] / biases[2] == pytest.approx(2, abs=0.4)


def quantile_map(oracle, x, end):
    """Where the probability flow of a Gaussian leads: the same quantile of the last marginal."""
    (mean_1, std_1), (mean, std) = oracle.marginal(1.0), oracle.marginal(end)
    return mean + std * (x - mean_1) / std_1


def test_probability_flow_maps_quantile_to_quantile():
    oracle = GaussianOracle(VP, MEAN, STD)
    x = noise(100)
    expected = quantile_map(oracle, x, END)
    errors = [
        float((run(ProbabilityFlow(oracle, VP), x, geometric(steps)) - expected).abs().max())
        for steps in (16, 32)
    ]
    assert errors[0] < 1e-3
    assert errors[1] < errors[0] / 12  # fourth order: a sixteenth


def test_ddim_is_the_probability_flow_to_first_order():
    oracle = GaussianOracle(VP, MEAN, STD)
    x = noise(100)
    expected = quantile_map(oracle, x, END)
    errors = [
        float((run(DDIM(oracle, VP), x, even(steps)) - expected).abs().max())
        for steps in (200, 400)
    ]
    assert errors[0] < 0.05
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("path", [VP, DiscretePath(linear_betas(100))], ids=["vp", "ddpm"])
def test_ddim_with_eta_one_is_ancestral_sampling(path):
    oracle = GaussianOracle(path, MEAN, STD)
    times = torch.tensor([1.0, 0.8, 0.5, 0.49, 0.1], dtype=torch.float64)
    x = noise(10)
    torch.manual_seed(1)
    a = run(Ancestral(oracle, path), x, times)
    torch.manual_seed(1)
    torch.testing.assert_close(run(DDIM(oracle, path, eta=1.0), x, times), a)


def test_ddim_draws_nothing_with_eta_zero():
    oracle = GaussianOracle(VP, MEAN, STD)
    x = noise(10)
    before = torch.get_rng_state()
    run(DDIM(oracle, VP), x, even(3))
    assert torch.equal(before, torch.get_rng_state())


def test_langevin_steps_leave_the_marginal_alone():
    oracle = GaussianOracle(VP, MEAN, STD)
    t = torch.tensor(0.2, dtype=torch.float64)
    mean, std = oracle.marginal(0.2)
    torch.manual_seed(0)
    x = mean + std * torch.randn(2000, 1, 8, 8, dtype=torch.float64)
    for _ in range(20):
        x = Langevin(oracle, VP, ratio=0.05)(x, t)  # the steps' bias is a fraction ratio^2 / 2
    assert float(x.mean()) == pytest.approx(mean, abs=4 * std / math.sqrt(x.numel()))
    assert float(x.std()) == pytest.approx(std, rel=0.008)


def test_langevin_steps_pull_a_wrong_state_to_the_marginal():
    oracle = GaussianOracle(VP, MEAN, STD)
    t = torch.tensor(0.2, dtype=torch.float64)
    mean, std = oracle.marginal(0.2)
    torch.manual_seed(0)
    x = torch.full((500, 1, 8, 8), mean + 1.0, dtype=torch.float64)
    for _ in range(150):
        x = Langevin(oracle, VP, ratio=0.2)(x, t)
    assert float(x.mean()) == pytest.approx(mean, abs=0.02)
    assert float(x.std()) == pytest.approx(std, rel=0.04)


@pytest.mark.parametrize("sampler", [Ancestral, DDIM, EulerMaruyama, ProbabilityFlow])
def test_images_do_not_influence_each_other(sampler):
    oracle = GaussianOracle(VP, MEAN, STD)
    x = noise(6)
    moved = x.clone()
    moved[0] += 5
    outcomes = []
    for start in (x, moved):
        torch.manual_seed(1)
        outcomes.append(run(sampler(oracle, VP), start, even(5)))
    assert torch.equal(outcomes[0][1:], outcomes[1][1:])
    assert not torch.equal(outcomes[0][0], outcomes[1][0])
