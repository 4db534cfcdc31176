"""Losses of the two players, as functions of the discriminator's logits D(x) and D(G(z)).

All are computed in float32, whatever the precision of the logits, and averaged over the batch.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def logistic_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return E[-log s(D(x))] + E[-log(1 - s(D(G(z))))], s the sigmoid (Goodfellow et al., 2014)."""
    return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()


def non_saturating_generator_loss(fake: Tensor) -> Tensor:
    """Return E[-log s(D(G(z)))], whose gradient is largest where D is sure of a fake.

    Goodfellow et al., 2014, arXiv:1406.2661, section 3.
    """
    return F.softplus(-fake.float()).mean()


def hinge_discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))].

    Beyond the margins the gradient is zero (Miyato et al., 2018, arXiv:1802.05957, equation 16).
    """
    return F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()


def hinge_generator_loss(fake: Tensor) -> Tensor:
    """Return -E[D(G(z))] (Miyato et al., 2018, arXiv:1802.05957, equation 17)."""
    return -fake.float().mean()


def least_squares(logits: Tensor, target: float) -> Tensor:
    """Return 1/2 E[(D - target)^2] (Mao et al., 2017, arXiv:1611.04076, equation 2)."""
    return (logits.float() - target).square().mean() / 2
