"""The variational bound is honest, and tight where theory says so."""

import math

import pytest
import torch
from support.oracles import DiscreteOracle, GaussianOracle

from harness.checks.subject import all_images
from harness.contract import DataSpec, to_symmetric
from harness_diffusion.bound import (
    decoder_term,
    prior_term,
    transition_terms,
    variational_bound,
)
from harness_diffusion.denoisers import Clipped, Prediction
from harness_diffusion.paths import DiscretePath, linear_betas

TINY = DataSpec.images((1, 2, 2), levels=4)


def process(steps):
    return DiscretePath(linear_betas(steps))


def table(seed=0):
    """Return all images of TINY with a random distribution over them, far from uniform."""
    torch.manual_seed(seed)
    images = all_images(TINY)
    return images, torch.softmax(2 * torch.randn(len(images), dtype=torch.float64), 0)


def test_prior_term_is_the_divergence_from_the_standard_normal():
    path = process(50)
    x = torch.rand(3, 1, 2, 2) * 2 - 1
    a, s = path.a[-1], path.s[-1]
    q = torch.distributions.Normal(a * x.double(), s)
    p = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.0)
    expected = torch.distributions.kl_divergence(q, p).flatten(1).sum(1)
    torch.testing.assert_close(prior_term(path, x), expected)


@pytest.mark.parametrize("levels", [2, 4, 17])
def test_decoder_is_a_distribution_over_levels(levels):
    path = process(50)
    images = torch.arange(levels, dtype=torch.uint8).view(-1, 1, 1, 1)
    total = 0.0
    for image in images:
        # The same x_1 whatever the image: a denoiser that does not look at it.
        fixed = torch.full((1, 1, 1, 1), 0.1)
        term = decoder_term(lambda x, t, f=fixed: Prediction(f, f), path, image[None], levels)
        total += float(torch.exp(-term).sum())
    assert total == pytest.approx(1, abs=1e-5)


def test_decoder_without_knowledge_is_the_posterior_of_uniform_levels():
    path = process(20)
    a, s = float(path.a[1]), float(path.s[1])
    images = torch.tensor([0, 1, 3], dtype=torch.uint8).view(3, 1, 1, 1)
    seen = []

    def no_noise(x_t, t):
        seen.append(x_t)
        return Prediction(x_t / a, torch.zeros_like(x_t))

    term = decoder_term(no_noise, path, images, 4)
    values = torch.tensor([-1, -1 / 3, 1 / 3, 1])
    joint = torch.distributions.Normal(a * values, s).log_prob(seen[0].view(3, 1))
    expected = -torch.log_softmax(joint, 1)[torch.arange(3), images.flatten().long()]
    torch.testing.assert_close(term, expected.double(), rtol=1e-4, atol=1e-5)


def mutual_information(path, std):
    """Return I(x; x_1) - I(x; x_T) in nats, for x ~ N(mean, std^2)."""
    snr = (path.a / path.s)[[1, -1]] ** 2
    first, last = torch.log1p(std**2 * snr) / 2
    return float(first - last)


def test_transition_terms_of_a_gaussian_tend_to_the_mutual_information():
    """As T grows, sum L_t -> 1/2 int mmse dSNR = I(x; x_1) - I(x; x_T) (Guo et al., 2005)."""
    std, excess = 0.5, []
    for steps in (50, 200, 800):
        # Even in log SNR between fixed ends, so that every step shrinks with T.
        alpha_bar = torch.sigmoid(torch.linspace(5, -8, steps, dtype=torch.float64))
        path = DiscretePath(1 - alpha_bar / torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]]))
        torch.manual_seed(0)
        x = 0.3 + std * torch.randn(500, 1, 8, 8, dtype=torch.float64)
        terms = transition_terms(GaussianOracle(path, 0.3, std), path, x, 49) / 64
        error = float(terms.std()) / math.sqrt(len(x))
        assert error < 0.01
        excess.append(float(terms.mean()) - mutual_information(path, std))
    assert excess[0] > excess[1] > 0.01
    assert excess[2] == pytest.approx(0, abs=0.02 + 4 * error)


def test_transition_terms_equal_the_divergences_of_the_posteriors():
    path = process(12)
    oracle = GaussianOracle(path, 0.3, 0.5)
    std = 0.5
    torch.manual_seed(0)
    x = 0.3 + std * torch.randn(4000, 1, 2, 2, dtype=torch.float64)
    expected = 0.0
    for step in range(2, 13):
        times = torch.tensor([(step - 1) / 12, step / 12], dtype=torch.float64)
        posterior = path.posterior(times[0], times[1])
        a, s = path(times[1])
        mmse = std**2 * s**2 / (a**2 * std**2 + s**2)
        expected += float(posterior.data**2 * mmse / (2 * posterior.variance))
    for terms in (11, 3):
        values = transition_terms(oracle, path, x, terms) / 4
        error = float(values.std()) / math.sqrt(len(x))
        assert error < 0.02 * expected
        assert float(values.mean()) == pytest.approx(expected, abs=4 * error)


def test_few_terms_estimate_what_all_terms_sum_to():
    """Image by image, over repeated draws: the estimate is unbiased for each."""
    path = process(40)
    images, probabilities = table()
    x = to_symmetric(images[[3, 200]], 4)
    oracle = DiscreteOracle(path, to_symmetric(images, 4), probabilities)
    repeated = x.repeat(1500, 1, 1, 1)
    torch.manual_seed(0)
    whole, part = (transition_terms(oracle, path, repeated, terms).view(-1, 2) for terms in (39, 5))
    error = torch.sqrt((whole.var(0) + part.var(0)) / 1500)
    assert (torch.abs(whole.mean(0) - part.mean(0)) < 4 * error).all()
    assert (error < 0.06 * whole.mean(0)).all()


@pytest.mark.parametrize(("steps", "least"), [(10, 0.0), (300, 0.8)])
def test_probabilities_of_all_images_sum_to_at_most_one_and_nearly_so(steps, least):
    """With the ideal denoiser the bound becomes tight as T grows, for every image."""
    path = process(steps)
    images, probabilities = table()
    values = to_symmetric(images, 4)
    oracle = Clipped(DiscreteOracle(path, values, probabilities), path)
    torch.manual_seed(0)
    draws = torch.stack([variational_bound(oracle, path, images, 4, terms=60) for _ in range(12)])
    bound = draws.mean(0)
    total = float(bound.exp().sum())
    # The mean of exp of a mean of draws is above exp of the mean, by half its variance.
    slack = float((bound.exp() * draws.var(0) / len(draws)).sum()) / 2
    assert least < total < 1 + slack + 0.01
    entropy = -float((probabilities * probabilities.log()).sum())
    assert -float((probabilities * bound).sum()) > entropy - 0.03


def test_a_wrong_denoiser_costs_bits():
    path = process(100)
    images, probabilities = table()
    values = to_symmetric(images, 4)
    torch.manual_seed(0)
    figures = []
    for believed in (probabilities, probabilities.flip(0)):
        oracle = DiscreteOracle(path, values, believed)
        bound = variational_bound(oracle, path, images, 4, terms=99)
        figures.append(-float((probabilities * bound).sum()))
    divergence = float((probabilities * (probabilities / probabilities.flip(0)).log()).sum())
    assert figures[1] - figures[0] == pytest.approx(divergence, rel=0.25)


def test_one_step_needs_no_middle_terms():
    path = DiscretePath(torch.tensor([0.9], dtype=torch.float64))
    images = all_images(TINY)

    def blank(x_t, t):
        return Prediction(torch.zeros_like(x_t), x_t)

    assert float(variational_bound(blank, path, images, 4, 8).exp().sum()) <= 1


def test_a_bound_of_no_terms_is_refused():
    images = all_images(TINY)[:2]
    with pytest.raises(ValueError, match="at least one"):
        variational_bound(lambda x, t: Prediction(x, x), process(10), images, 4, 0)
