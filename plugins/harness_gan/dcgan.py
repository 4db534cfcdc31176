"""DCGAN: Radford, Metz and Chintala, 2016, arXiv:1511.06434.

G maps z ~ U[-1, 1]^d to an image by transposed convolutions, D an image to a logit by strided ones;
batch normalisation everywhere but at the images' ends. The players minimise

    L_D = E[-log s(D(x))] + E[-log(1 - s(D(G(z))))],    L_G = E[-log s(D(G(z)))].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Adam

from harness.contract import Batch, DataSpec, setting, to_symmetric
from harness_gan.adversarial import AdversarialModel, halvings
from harness_gan.losses import logistic_discriminator_loss, non_saturating_generator_loss


@dataclass(frozen=True)
class DCGANConfig:
    """Hyper-parameters: the paper's, but for a narrower net that learns faster."""

    batch_size: int = setting(128, "images a step")
    latent: int = setting(100, "dimensions of the latent variable")
    width: int = setting(32, "channels at the largest hidden resolution; doubled at every halving")
    learning_rate: float = setting(1e-3, "Adam's step size, of both players (the paper: 2e-4)")
    beta1: float = setting(0.5, "Adam's decay of the mean gradient")
    beta2: float = setting(0.999, "Adam's decay of the mean squared gradient")


class Generator(nn.Sequential):
    """z (B, d) -> a seed grid, doubled up to the image in [-1, 1], (B, C, H, W)."""

    def __init__(self, shape: tuple[int, ...], latent: int, width: int) -> None:
        doublings = halvings(shape)
        height, side = (size // 2**doublings for size in shape[1:])
        hidden = [width * 2**i for i in reversed(range(max(doublings, 1)))]
        layers: list[nn.Module] = [
            nn.Linear(latent, hidden[0] * height * side, bias=False),
            nn.Unflatten(1, (hidden[0], height, side)),
        ]
        for i in range(doublings - 1):
            layers += [
                nn.BatchNorm2d(hidden[i]),
                nn.ReLU(inplace=True),
                nn.ConvTranspose2d(hidden[i], hidden[i + 1], 4, 2, 1, bias=False),
            ]
        layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        last = nn.ConvTranspose2d(width, shape[0], 4, 2, 1)
        layers += [last if doublings else nn.Conv2d(width, shape[0], 3, 1, 1), nn.Tanh()]
        super().__init__(*layers)


class Discriminator(nn.Sequential):
    """An image (B, C, H, W) -> a logit (B,): the generator's mirror image.

    Batch normalisation keeps no running statistics: D only ever sees whole training batches.
    """

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        count = halvings(shape)
        area = shape[1] * shape[2] // 4**count
        hidden = [width * 2**i for i in range(max(count, 1))]
        first = nn.Conv2d(shape[0], width, 4, 2, 1)
        layers: list[nn.Module] = [first if count else nn.Conv2d(shape[0], width, 3, 1, 1)]
        layers += [nn.LeakyReLU(0.2, inplace=True)]
        for i in range(count - 1):
            layers += [
                nn.Conv2d(hidden[i], hidden[i + 1], 4, 2, 1, bias=False),
                nn.BatchNorm2d(hidden[i + 1], track_running_stats=False),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        layers += [nn.Flatten(), nn.Linear(hidden[-1] * area, 1), nn.Flatten(0)]
        super().__init__(*layers)


def initialise(module: nn.Module) -> None:
    """Draw weights from N(0, 0.02^2), and batch normalisation's scales from N(1, 0.02^2)."""
    if isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class DCGAN(AdversarialModel):
    """Deep convolutional GAN; every step updates D, then G on the same fakes."""

    Config = DCGANConfig

    def __init__(self, spec: DataSpec, config: DCGANConfig) -> None:
        super().__init__(spec, config)
        self.network = Generator(spec.shape, config.latent, config.width)
        self.discriminator = Discriminator(spec.shape, config.width)
        self.apply(initialise)
        betas = (config.beta1, config.beta2)
        self.optimizers = {
            name: Adam(player.parameters(), config.learning_rate, betas, fused=True)
            for name, player in (("generator", self.network), ("discriminator", self.discriminator))
        }

    def latent(self, n: int) -> Tensor:
        """Draw z ~ U[-1, 1]^d, (n, d)."""
        return torch.rand(n, self.config.latent, device=self.device) * 2 - 1

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Update D on real and fake images, then G against the new D."""
        real = to_symmetric(batch.images, self.spec.levels)
        fake = self.network(self.latent(len(real)))
        discriminator = self._update_discriminator(real, fake.detach())
        return {"discriminator": discriminator, "generator": self._update_generator(fake)}

    def _update_discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        loss = logistic_discriminator_loss(self.discriminator(real), self.discriminator(fake))
        self.optimizers["discriminator"].zero_grad()
        loss.backward()
        self.optimizers["discriminator"].step()
        return loss.detach()

    def _update_generator(self, fake: Tensor) -> Tensor:
        loss = non_saturating_generator_loss(self.discriminator(fake))
        self.optimizers["generator"].zero_grad()
        loss.backward(inputs=list(self.network.parameters()))
        self.optimizers["generator"].step()
        return loss.detach()
