"""SNGAN: Miyato, Kataoka, Koyama and Yoshida, 2018, arXiv:1802.05957.

Every layer of the discriminator is divided by its largest singular value, W / sigma(W), which one
power iteration a step keeps track of, so that D is Lipschitz. Residual networks, hinge losses:

    L_D = E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))],    L_G = -E[D(G(z))],    z ~ N(0, I).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim import Adam

from harness.contract import Batch, DataSpec, setting, to_symmetric
from harness_gan.adversarial import AdversarialModel, halvings
from harness_gan.losses import hinge_discriminator_loss, hinge_generator_loss


@dataclass(frozen=True)
class SNGANConfig:
    """Hyper-parameters: the paper's ResNet, narrowed and hurried for budgets of seconds."""

    batch_size: int = setting(64, "images a step")
    latent: int = setting(128, "dimensions of the latent variable")
    generator_width: int = setting(32, "channels of every block of G (the paper: 256)")
    discriminator_width: int = setting(32, "channels of every block of D (the paper: 128)")
    n_critic: int = setting(1, "updates of D for one of G (the paper: 5)")
    learning_rate: float = setting(4e-3, "Adam's first step size (the paper: 2e-4); falls to zero")
    beta1: float = setting(0.0, "Adam's decay of the mean gradient")
    beta2: float = setting(0.9, "Adam's decay of the mean squared gradient")


class GeneratorBlock(nn.Module):
    """(B, K, h, w) -> (B, K, 2h, 2w): two convolutions, batch normalisation before each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(width, width, 3, 1, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, 1, 1),
        )
        self.shortcut = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Add the residual to the enlarged shortcut; a 1x1 convolution commutes with enlarging."""
        return F.interpolate(self.shortcut(x), scale_factor=2) + self.residual(x)


class Generator(nn.Sequential):
    """z (B, d) -> a seed grid, doubled up to the image in [-1, 1], (B, C, H, W)."""

    def __init__(self, shape: tuple[int, ...], latent: int, width: int) -> None:
        doublings = halvings(shape)
        height, side = (size // 2**doublings for size in shape[1:])
        super().__init__(
            nn.Linear(latent, width * height * side),
            nn.Unflatten(1, (width, height, side)),
            *(GeneratorBlock(width) for _ in range(doublings)),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, shape[0], 3, 1, 1),
            nn.Tanh(),
        )
        self.apply(initialise)


class DiscriminatorBlock(nn.Module):
    """(B, K', h, w) -> (B, K, h, w), or half the sides: two convolutions and a shortcut."""

    def __init__(self, channels: int, width: int, halve: bool, first: bool = False) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Identity() if first else nn.ReLU(),
            nn.Conv2d(channels, width, 3, 1, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, 1, 1),
        )
        self.shortcut = nn.Conv2d(channels, width, 1) if halve or first else nn.Identity()
        self.resize: nn.Module = nn.AvgPool2d(2) if halve else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Add residual and shortcut, then average 2x2 pixels."""
        return self.resize(self.residual(x) + self.shortcut(x))


class Discriminator(nn.Module):
    """An image (B, C, H, W) -> a logit (B,), with the spectral norm of every layer at one.

    As in the paper: four blocks, of which the first two halve the sides.
    """

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        halved = min(halvings(shape), 2)
        self.blocks = nn.Sequential(
            *(
                DiscriminatorBlock(shape[0] if i == 0 else width, width, i < halved, first=i == 0)
                for i in range(4)
            )
        )
        self.logit = nn.Linear(width, 1)
        self.apply(initialise)
        self.normalised = [m for m in self.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
        for layer in self.normalised:
            spectral_norm(layer)

    def forward(self, x: Tensor) -> Tensor:
        """Sum features over pixels, then weigh them."""
        with parametrize.cached():
            # Autocast would take the singular values in half precision.
            with torch.autocast(x.device.type, enabled=False):
                for layer in self.normalised:
                    _ = layer.weight
            return self.logit(F.relu(self.blocks(x)).sum((2, 3))).squeeze(1)


def initialise(module: nn.Module) -> None:
    """Draw weights by Glorot and Bengio's uniform rule (2010), and set biases to zero."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


class SNGAN(AdversarialModel):
    """Spectrally normalised GAN: every step updates D, every ``n_critic``-th updates G as well."""

    Config = SNGANConfig

    def __init__(self, spec: DataSpec, config: SNGANConfig) -> None:
        super().__init__(spec, config)
        self.network = Generator(spec.shape, config.latent, config.generator_width)
        self.discriminator = Discriminator(spec.shape, config.discriminator_width)
        betas = (config.beta1, config.beta2)
        self.optimizers = {
            name: Adam(player.parameters(), config.learning_rate, betas, fused=True)
            for name, player in (("generator", self.network), ("discriminator", self.discriminator))
        }
        self.period = config.n_critic
        self.steps = 0

    def get_extra_state(self) -> int:
        """Return the number of steps taken, which says when the generator's turn is."""
        return self.steps

    def set_extra_state(self, state: int) -> None:
        """Restore the number of steps taken."""
        self.steps = state

    def latent(self, n: int) -> Tensor:
        """Draw z ~ N(0, I), (n, d)."""
        return torch.randn(n, self.config.latent, device=self.device)

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Update D on one batch, and G if it is its turn."""
        for optimizer in self.optimizers.values():
            optimizer.param_groups[0]["lr"] = self.config.learning_rate * (1 - progress)
        self.steps += 1
        real = to_symmetric(batch.images, self.spec.levels)
        with torch.no_grad():
            fake = self.network(self.latent(len(real)))
        losses = {"discriminator": self._update_discriminator(real, fake)}
        if self.steps % self.config.n_critic == 0:
            fake = self.network(self.latent(len(real)))
            losses["generator"] = self._update_generator(fake)
        return losses

    def _update_discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        # One call, hence one power iteration, for both.
        logits = self.discriminator(torch.cat([real, fake]))
        loss = hinge_discriminator_loss(*logits.chunk(2))
        self.optimizers["discriminator"].zero_grad()
        loss.backward()
        self.optimizers["discriminator"].step()
        return loss.detach()

    def _update_generator(self, fake: Tensor) -> Tensor:
        loss = hinge_generator_loss(self.discriminator(fake))
        self.optimizers["generator"].zero_grad()
        loss.backward(inputs=list(self.network.parameters()))
        self.optimizers["generator"].step()
        return loss.detach()
