"""The players' losses against values worked out by hand, and their gradients."""

import math

import pytest
import torch

from harness_gan.losses import (
    hinge_discriminator_loss,
    hinge_generator_loss,
    logistic_discriminator_loss,
    non_saturating_generator_loss,
)


def test_logistic_loss_is_the_cross_entropy_of_real_and_fake():
    real, fake = torch.tensor([0.0, math.log(3)]), torch.tensor([0.0, -math.log(7)])
    # s(0) = 1/2, s(log 3) = 3/4, 1 - s(-log 7) = 7/8.
    expected = -(math.log(1 / 2) + math.log(3 / 4)) / 2 - (math.log(1 / 2) + math.log(7 / 8)) / 2
    assert logistic_discriminator_loss(real, fake).item() == pytest.approx(expected, rel=1e-6)


def test_generator_loss_does_not_saturate_where_the_discriminator_is_sure():
    logits = torch.tensor([-20.0, 0.0, 20.0], requires_grad=True)
    loss = non_saturating_generator_loss(logits)
    assert loss.item() == pytest.approx((20 + math.log(2)) / 3, rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, logits)
    # d/dl -log s(l) = s(l) - 1; the saturating log(1 - s(l)) would have gradient -s(l) instead.
    assert gradient.tolist() == pytest.approx([-1 / 3, -1 / 6, 0], abs=1e-6)


def test_hinge_has_a_dead_zone_beyond_each_margin():
    real = torch.tensor([2.0, 0.5, -3.0], requires_grad=True)
    fake = torch.tensor([-2.0, -0.5, 3.0], requires_grad=True)
    loss = hinge_discriminator_loss(real, fake)
    assert loss.item() == pytest.approx(2 * (0 + 0.5 + 4) / 3)
    of_real, of_fake = torch.autograd.grad(loss, (real, fake))
    assert of_real.tolist() == pytest.approx([0, -1 / 3, -1 / 3])
    assert of_fake.tolist() == pytest.approx([0, 1 / 3, 1 / 3])


def test_hinge_generator_always_climbs_the_logits():
    logits = torch.tensor([-5.0, 1.0], requires_grad=True)
    loss = hinge_generator_loss(logits)
    assert loss.item() == pytest.approx(2.0)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.tolist() == [-0.5, -0.5]


@pytest.mark.parametrize(
    "loss", [logistic_discriminator_loss, hinge_discriminator_loss], ids=lambda f: f.__name__
)
def test_losses_are_computed_in_float32(loss):
    logits = torch.full((300,), 0.01, dtype=torch.bfloat16)
    assert loss(logits, logits).dtype == torch.float32
