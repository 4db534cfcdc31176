"""The game of a generator against a discriminator, which every adversarial model plays."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Adam

from harness.contract import (
    Batch,
    DataSpec,
    LatentVariableModel,
    from_symmetric,
    setting,
    to_symmetric,
)
from harness_nets.optimisation import descend, set_learning_rate
from harness_nets.sizes import generator_halvings

LARGEST_SEED_GRID = 16


class AdversarialModel(LatentVariableModel):
    """A generator G from latent variables to images in [-1, 1], against a discriminator D.

    Each step updates D on real images and as many fakes; each ``n_critic``-th updates G as well,
    on the same fakes, against the new D:

        L_D = discriminator_loss(D(x), D(G(z))) + penalty(x, G(z)),   L_G = generator_loss(D(G(z)))

    Args:
        spec: of the data.
        config: a ``Config``.
        generator: G, z (B, latent) -> (B, C, H, W); the ``network``.
        discriminator: D, (B, C, H, W) -> logits (B,).

    A model that takes a condition has players of two arguments, G(z, y) and D(x, y); fakes are made
    with the conditions of the real images beside them.
    """

    @dataclass(frozen=True)
    class Config:
        """Hyper-parameters of the game."""

        batch_size: int = setting(64, "images per step")
        latent: int = setting(128, "dimensions of the latent variable")
        n_critic: int = setting(1, "updates of D for each of G")
        learning_rate: float = setting(1e-3, "peak learning rate (Adam), of both players")
        beta1: float = setting(0.5, "Adam's decay of the mean gradient")
        beta2: float = setting(0.999, "Adam's decay of the mean squared gradient")

    config: Config

    @staticmethod
    def rate(progress: float) -> float:
        """Return the share of the peak learning rate, of both players: all of it."""
        return 1.0

    def __init__(
        self,
        spec: DataSpec,
        config: Config,
        generator: nn.Module,
        discriminator: nn.Module,
    ) -> None:
        super().__init__(spec, config)
        self.network = generator
        self.discriminator = discriminator
        self.period = config.n_critic
        self.steps = 0
        betas = (config.beta1, config.beta2)
        self.optimizers = {
            name: Adam(player.parameters(), config.learning_rate, betas, fused=True)
            for name, player in (("generator", generator), ("discriminator", discriminator))
        }

    @classmethod
    def supports(cls, spec: DataSpec) -> str | None:
        """Refuse sides whose smallest even half is too large to start a generator from."""
        factor = 2 ** generator_halvings(spec.shape)
        height, width = (side // factor for side in spec.shape[1:])
        if max(height, width) > LARGEST_SEED_GRID:
            return (
                f"images of {spec.shape[1]}x{spec.shape[2]} halve evenly down to {height}x{width} "
                f"only; the generator starts from at most {LARGEST_SEED_GRID} pixels a side"
            )
        return None

    def get_extra_state(self) -> int:
        """Return the number of steps taken, which says when the generator's turn is."""
        return self.steps

    def set_extra_state(self, state: int) -> None:
        """Restore the number of steps taken."""
        self.steps = state

    @abstractmethod
    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return L_D, less its penalty, of logits (B,) of real images and of fakes."""

    @abstractmethod
    def generator_loss(self, fake: Tensor) -> Tensor:
        """Return L_G of logits (B,) of fakes."""

    def penalty(self, real: Tensor, fake: Tensor, y: Tensor | None) -> Tensor:
        """Return what D pays besides, of real images and of fakes in [-1, 1]: nothing."""
        return real.new_zeros(())

    def generate(self, z: Tensor, y: Tensor | None) -> Tensor:
        """Return G(z), or G(z, y) where there is a condition."""
        return self.network(z) if y is None else self.network(z, y)

    def judge(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Return the logits D(x), or D(x, y) where there is a condition."""
        return self.discriminator(x) if y is None else self.discriminator(x, y)

    def logits(self, real: Tensor, fake: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return D(x) and D(G(z)), in calls of their own: a batch is all real or all fake."""
        return self.judge(real, y), self.judge(fake, y)

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Update D, and G if it is its turn."""
        for optimizer in self.optimizers.values():
            set_learning_rate(optimizer, self.config.learning_rate * self.rate(progress))
        self.steps += 1
        turn = self.steps % self.config.n_critic == 0
        real = to_symmetric(batch.x, self.spec.levels)
        y = self.condition(batch.y)
        with torch.set_grad_enabled(turn):
            fake = self.generate(self.sample_prior(len(real)), y)
        losses = {"discriminator": self._update_discriminator(real, fake.detach(), y)}
        if turn:
            losses["generator"] = self._update_generator(fake, y)
        return losses

    def _update_discriminator(self, real: Tensor, fake: Tensor, y: Tensor | None) -> Tensor:
        loss = self.discriminator_loss(*self.logits(real, fake, y)) + self.penalty(real, fake, y)
        return descend(self.optimizers["discriminator"], loss)

    def _update_generator(self, fake: Tensor, y: Tensor | None) -> Tensor:
        loss = self.generator_loss(self.judge(fake, y))
        return descend(self.optimizers["generator"], loss)

    def sample_prior(self, n: int) -> Tensor:
        """Draw z ~ N(0, I), (n, latent)."""
        return torch.randn(n, self.config.latent, device=self.device)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Map latent variables (n, latent) to uint8 images (n, C, H, W)."""
        return from_symmetric(self.generate(z, self.condition(y)), self.spec.levels)
