"""LSGAN's game between a tabular discriminator and known distributions, in closed form."""

import pytest
import torch

from harness.contract import DataSpec
from harness_gan.lsgan import LSGAN

REAL = torch.tensor([0.5, 0.3, 0.2])
FAKE = torch.tensor([0.1, 0.3, 0.6])


def model(**targets):
    torch.manual_seed(0)
    return LSGAN(DataSpec.images((1, 8, 8), levels=17), LSGAN.Config(width=4, latent=4, **targets))


def discriminator_loss(players, logits):
    real, fake = ((p * 10).round().int() for p in (REAL, FAKE))
    return players.discriminator_loss(
        logits.repeat_interleave(real), logits.repeat_interleave(fake)
    )


@pytest.mark.parametrize("targets", [{}, {"a": 0.0, "b": 1.0, "c": 1.0}, {"a": -2.0, "b": 3.0}])
def test_the_optimal_discriminator_weighs_its_targets_by_the_densities(targets):
    players = model(**targets)
    logits = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=50)

    def closure():
        optimizer.zero_grad()
        loss = discriminator_loss(players, logits)
        loss.backward()
        return loss

    optimizer.step(closure)
    a, b = players.config.a, players.config.b
    expected = (b * REAL + a * FAKE) / (REAL + FAKE)
    torch.testing.assert_close(logits.detach(), expected, atol=1e-4, rtol=0)


def test_against_the_optimal_discriminator_the_game_is_worth_the_pearson_divergence():
    """2 C(G) = E_x[(D* - c)^2] + E_G[(D* - c)^2] = chi^2(p_x + p_G || 2 p_G), section 3.3."""
    players = model()
    optimal = (players.config.b * REAL + players.config.a * FAKE) / (REAL + FAKE)
    both = [p.mul(10).round().int() for p in (REAL, FAKE)]
    value = sum(players.generator_loss(optimal.repeat_interleave(n)) for n in both)
    pearson = ((2 * FAKE - (REAL + FAKE)) ** 2 / (REAL + FAKE)).sum() / 2
    assert value.item() == pytest.approx(pearson.item(), rel=1e-5)


def test_the_generator_still_learns_where_the_discriminator_is_sure():
    """A fake far from the boundary is pulled the harder: the gradient is D - c."""
    logits = torch.tensor([-20.0, -1.0, 0.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(model().generator_loss(logits), logits)
    assert gradient.tolist() == pytest.approx([-20 / 3, -1 / 3, 0])
