"""LSGAN: Mao, Li, Xie, Lau, Wang and Smolley, 2017, arXiv:1611.04076.

D is drawn to b on real images and to a on fakes, and G draws D(G(z)) to c:

    L_D = 1/2 E[(D(x) - b)^2] + 1/2 E[(D(G(z)) - a)^2],    L_G = 1/2 E[(D(G(z)) - c)^2].

With b - c = 1 and b - a = 2, G minimises the Pearson divergence of p_x + p_G from 2 p_G.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from harness.contract import setting
from harness_gan.dcgan import DCGAN
from harness_gan.losses import least_squares


class LSGAN(DCGAN):
    """Least-squares losses, with DCGAN's networks and prior."""

    @dataclass(frozen=True)
    class Config(DCGAN.Config):
        """Hyper-parameters: those of ``DCGAN``, and the targets of the paper's equation 8."""

        learning_rate: float = setting(2e-3, "learning rate (Adam) of both players")
        a: float = setting(-1.0, "target of D on fakes")
        b: float = setting(1.0, "target of D on real images")
        c: float = setting(0.0, "target of G for D on fakes")

    config: Config

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return 1/2 E[(D(x) - b)^2] + 1/2 E[(D(G(z)) - a)^2]."""
        return least_squares(real, self.config.b) + least_squares(fake, self.config.a)

    def generator_loss(self, fake: Tensor) -> Tensor:
        """Return 1/2 E[(D(G(z)) - c)^2]."""
        return least_squares(fake, self.config.c)
