"""DCGAN: Radford, Metz and Chintala, 2016, arXiv:1511.06434.

G maps z ~ U[-1, 1]^d to an image by transposed convolutions, D an image to a logit by strided ones;
batch normalisation everywhere but at the images' ends. The players minimise

    L_D = E[-log s(D(x))] + E[-log(1 - s(D(G(z))))],    L_G = E[-log s(D(G(z)))].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.contract import DataSpec, setting
from harness_gan.adversarial import AdversarialModel
from harness_gan.losses import logistic_discriminator_loss, non_saturating_generator_loss
from harness_gan.networks.dcgan import Discriminator, Generator, initialise


class DCGAN(AdversarialModel):
    """Deep convolutional GAN with logistic losses, the generator's non-saturating."""

    @dataclass(frozen=True)
    class Config(AdversarialModel.Config):
        """Hyper-parameters: the paper's, but for a narrower net that learns faster."""

        batch_size: int = setting(128, "images per step")
        latent: int = setting(100, "dimensions of the latent variable")
        width: int = setting(
            32, "channels at the largest hidden resolution; doubled at every halving"
        )
        learning_rate: float = setting(
            1e-3, "learning rate (Adam) of both players (the paper: 2e-4)"
        )

    config: Config

    def __init__(self, spec: DataSpec, config: Config) -> None:
        generator = Generator(spec.shape, config.latent, config.width)
        super().__init__(spec, config, generator, Discriminator(spec.shape, config.width))
        self.apply(initialise)

    def sample_prior(self, n: int) -> Tensor:
        """Draw z ~ U[-1, 1]^d, (n, d)."""
        return torch.rand(n, self.config.latent, device=self.device) * 2 - 1

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return E[-log s(D(x))] + E[-log(1 - s(D(G(z))))]."""
        return logistic_discriminator_loss(real, fake)

    def generator_loss(self, fake: Tensor) -> Tensor:
        """Return E[-log s(D(G(z)))]."""
        return non_saturating_generator_loss(fake)
