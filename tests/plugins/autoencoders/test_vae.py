"""The VAE: a proper conditional, honest bounds on its marginal."""

import copy
import math

import pytest
import torch

from harness.checks.subject import all_images, train
from harness.contract import Batch, DataSpec
from harness_autoencoders.vae import VAE
from harness_nets.gaussian import standard_normal_log_prob

TINY = DataSpec.images((1, 2, 2), levels=4)


def tiny(**settings):
    return VAE.Config(
        **{"batch_size": 32, "latent": 1, "width": 16, "importance_samples": 16, **settings}
    )


@pytest.fixture(scope="module")
def trained():
    """A VAE with one latent dimension that it uses: two kinds of image, with noise."""
    torch.manual_seed(0)
    model = VAE(TINY, tiny(learning_rate=5e-3))
    images = torch.tensor([[0, 3, 0, 3], [3, 0, 3, 0], [1, 3, 0, 2]], dtype=torch.uint8)
    train(model, Batch(images.view(-1, 1, 2, 2).repeat(10, 1, 1, 1), None), range(80), 80)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def broad(trained):
    """The same decoder with q(z | x) wider than the prior, so that few draws tell the marginal."""
    model = copy.deepcopy(trained)
    last = model.encoder.layers[-1]
    last.weight.zero_()
    last.bias.copy_(torch.tensor([0.2, 0.3]))
    return model


def quadrature(model):
    """log p(z) dz on a fine grid of the one latent dimension, and log p(x | z), (images, z)."""
    z = torch.linspace(-9, 9, 3001)[:, None]
    images = all_images(TINY)
    given_z = torch.stack(
        [model.likelihood(z).log_prob(x.expand(len(z), 1, 2, 2)).flatten(1).sum(1) for x in images]
    )
    return standard_normal_log_prob(z) + math.log(18 / 3000), given_z


def test_given_z_all_images_sum_to_one(trained):
    images = all_images(TINY)
    for z in torch.linspace(-3, 3, 7):
        given = trained.likelihood(z.expand(len(images), 1)).log_prob(images)
        assert given.flatten(1).sum(1).exp().sum() == pytest.approx(1, abs=1e-5)


def test_the_marginal_sums_to_one_and_the_latent_is_used(trained):
    prior, given_z = quadrature(trained)
    marginal = (prior + given_z).logsumexp(1)
    assert marginal.exp().sum() == pytest.approx(1, abs=1e-4)
    assert trained.posterior(all_images(TINY)).kl_from_standard_normal().max() > 0.5


def test_iwae_with_many_samples_is_the_marginal_by_quadrature(broad):
    torch.manual_seed(0)
    prior, given_z = quadrature(broad)
    bounds = torch.stack([broad.log_likelihood(all_images(TINY)).nats for _ in range(300)])
    many = bounds.logsumexp(0) - math.log(300)  # IWAE with 300 times as many samples
    torch.testing.assert_close(many, (prior + given_z).logsumexp(1), atol=0.15, rtol=0)


def test_the_elbo_is_its_definition_by_quadrature(trained):
    torch.manual_seed(0)
    z = torch.linspace(-9, 9, 3001)[:, None]
    _, given_z = quadrature(trained)
    images = all_images(TINY)[:20]
    q = trained.posterior(images)
    for i in range(20):
        density = torch.distributions.Normal(q.mean[i], q.log_std[i].exp()).log_prob(z)[:, 0]
        weight = density.exp() * 18 / 3000
        reconstruction = (weight * given_z[i]).sum()
        # A posterior may be narrower than the grid's step, so its own scale measures it.
        u = torch.linspace(-8, 8, 2001)[:, None]
        local = q.mean[i] + q.log_std[i].exp() * u
        density = torch.distributions.Normal(q.mean[i], q.log_std[i].exp()).log_prob(local)[:, 0]
        mass = standard_normal_log_prob(u).exp() * 16 / 2000
        kl = (mass * (density - standard_normal_log_prob(local))).sum()
        draws = trained.elbo(images[i].expand(4000, 1, 2, 2))
        error = 4 * float(draws[0].std()) / math.sqrt(4000) + 1e-3
        assert draws[0].mean() == pytest.approx(float(reconstruction), abs=error)
        assert draws[1][0] == pytest.approx(float(kl), abs=2e-3)


def test_elbo_is_below_iwae_is_below_the_marginal(trained):
    torch.manual_seed(0)
    prior, given_z = quadrature(trained)
    marginal = (prior + given_z).logsumexp(1)
    images = all_images(TINY)
    elbo = torch.stack([torch.sub(*trained.elbo(images)) for _ in range(100)])
    iwae = torch.stack([trained.log_likelihood(images).nats for _ in range(100)])
    error = 4 * iwae.std(0) / 10 + 1e-3
    assert (elbo.mean(0) <= iwae.mean(0) + 4 * elbo.std(0) / 10 + 1e-3).all()
    assert (iwae.mean(0) <= marginal + error).all()
    assert elbo.mean() < iwae.mean() - 0.01


def test_iwae_of_all_images_has_a_total_of_at_most_one(broad):
    """In expectation it is the sum of the marginal, which is one."""
    torch.manual_seed(0)
    images = all_images(TINY)
    totals = torch.stack([broad.log_likelihood(images).nats.exp().sum() for _ in range(50)])
    error = 4 * float(totals.std()) / math.sqrt(50)
    assert error < 0.05
    assert float(totals.mean()) == pytest.approx(1, abs=error + 1e-3)
    likelihood = broad.log_likelihood(images)
    assert (likelihood.kind, likelihood.detail) == ("lower_bound", "IWAE, k=16")


def test_samples_are_decoded_draws_of_the_prior(trained):
    torch.manual_seed(0)
    sampled = trained.sample(8)
    torch.manual_seed(0)
    z = torch.randn(8, 1)
    assert torch.equal(sampled, trained.likelihood(z).median())
