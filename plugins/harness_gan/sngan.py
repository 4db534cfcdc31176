"""SNGAN: Miyato, Kataoka, Koyama and Yoshida, 2018, arXiv:1802.05957.

Every layer of the discriminator is divided by its largest singular value, W / sigma(W), which one
power iteration per step keeps track of, so that D is Lipschitz. Residual networks, hinge losses:

    L_D = E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))],    L_G = -E[D(G(z))],    z ~ N(0, I).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.contract import DataSpec, setting
from harness_gan.adversarial import AdversarialModel
from harness_gan.losses import hinge_discriminator_loss, hinge_generator_loss
from harness_gan.networks.resnet import Discriminator, Generator


class SNGAN(AdversarialModel):
    """Spectrally normalised GAN with hinge losses."""

    @dataclass(frozen=True)
    class Config(AdversarialModel.Config):
        """Hyper-parameters: the paper's ResNet, narrowed and hurried for budgets of seconds."""

        generator_width: int = setting(32, "channels of every block of G (the paper: 256)")
        discriminator_width: int = setting(32, "channels of every block of D (the paper: 128)")
        n_critic: int = setting(1, "updates of D for each of G (the paper: 5)")
        learning_rate: float = setting(
            4e-3, "peak learning rate (Adam; the paper: 2e-4); linear to 0"
        )
        beta1: float = setting(0.0, "Adam's decay of the mean gradient")
        beta2: float = setting(0.9, "Adam's decay of the mean squared gradient")

    config: Config

    def __init__(self, spec: DataSpec, config: Config) -> None:
        generator = Generator(spec.shape, config.latent, config.generator_width)
        discriminator = Discriminator(spec.shape, config.discriminator_width)
        super().__init__(spec, config, generator, discriminator)

    @staticmethod
    def rate(progress: float) -> float:
        """Fall from the peak learning rate to zero on a line."""
        return 1 - progress

    def logits(self, real: Tensor, fake: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return D(x) and D(G(z)) from one call, hence after one power iteration."""
        twice = None if y is None else torch.cat([y, y])
        of_real, of_fake = self.judge(torch.cat([real, fake]), twice).chunk(2)
        return of_real, of_fake

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]."""
        return hinge_discriminator_loss(real, fake)

    def generator_loss(self, fake: Tensor) -> Tensor:
        """Return -E[D(G(z))]."""
        return hinge_generator_loss(fake)
