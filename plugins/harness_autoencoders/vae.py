"""The variational autoencoder: Kingma and Welling, ICLR 2014, arXiv:1312.6114.

    p(x) = integral p(x | z) N(z; 0, I) dz
    log p(x) >= E_q[log p(x | z)] - KL(q(z | x) || N(0, I))

with q(z | x) a diagonal Gaussian. p(x | z) is a discretised logistic for each sub-pixel: a proper
probability of the integer image, with two numbers to predict for any count of levels, and it knows
that neighbouring grey values are alike, which a categorical would have to learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.contract import (
    Batch,
    DataSpec,
    LatentVariableModel,
    LogLikelihood,
    setting,
    to_symmetric,
)
from harness_nets.bounds import importance_bound
from harness_nets.convolutional import ConvolutionalDecoder, ConvolutionalEncoder
from harness_nets.discretised import DiscretisedLogistic
from harness_nets.gaussian import DiagonalGaussian, standard_normal_log_prob
from harness_nets.optimisation import descend, set_learning_rate, warm_up_cosine


class VAE(LatentVariableModel):
    """Convolutional VAE with a Gaussian posterior and a discretised logistic likelihood.

    ``decode``, and so ``sample``, returns the median of p(x | z), as the paper shows the mean:
    sub-pixels are independent given z, so honest draws add grain.
    """

    @dataclass(frozen=True)
    class Config:
        """Hyper-parameters of ``VAE``."""

        batch_size: int = setting(64, "images per step")
        learning_rate: float = setting(2e-3, "peak learning rate (Adam); warm-up, then cosine to 0")
        latent: int = setting(32, "dimensions of z")
        width: int = setting(24, "channels at full resolution; up to four times as many below")
        blocks: int = setting(1, "residual blocks at each lower resolution")
        clip: float = setting(1.0, "gradient-norm clip")
        importance_samples: int = setting(64, "draws of z in the likelihood bound (IWAE)")

    config: Config

    def __init__(self, spec: DataSpec, config: Config) -> None:
        super().__init__(spec, config)
        channels, height, width = spec.shape
        self.encoder = ConvolutionalEncoder(
            spec.shape, 2 * config.latent, config.width, config.blocks
        )
        self.network = ConvolutionalDecoder(
            (2 * channels, height, width), config.latent, config.width, config.blocks
        )
        self.optimizers = {
            "vae": torch.optim.Adam(self.parameters(), config.learning_rate, fused=True)
        }

    def posterior(self, images: Tensor) -> DiagonalGaussian:
        """Return q(z | x) for uint8 images."""
        mean, log_std = self.encoder(to_symmetric(images, self.spec.levels)).chunk(2, 1)
        return DiagonalGaussian(mean, log_std)

    def likelihood(self, z: Tensor) -> DiscretisedLogistic:
        """Return p(x | z) for z (B, latent)."""
        location, log_scale = self.network(z).chunk(2, 1)
        return DiscretisedLogistic(location, log_scale, self.spec.levels)

    def elbo(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return log p(x | z) at one z ~ q(z | x), and KL(q || N(0, I)), each (B,), in nats.

        The evidence lower bound is their difference.
        """
        posterior = self.posterior(images)
        reconstruction = self.likelihood(posterior.sample()).log_prob(images).flatten(1).sum(1)
        return reconstruction, posterior.kl_from_standard_normal()

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Descend the negative evidence lower bound, in nats per sub-pixel."""
        optimizer = self.optimizers["vae"]
        set_learning_rate(optimizer, self.config.learning_rate * warm_up_cosine(progress))
        reconstruction, kl = (term.mean() for term in self.elbo(batch.x))
        loss = (kl - reconstruction) / self.spec.dimensions
        return {"loss": descend(optimizer, loss, self.config.clip), "kl": kl.detach()}

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        """Bound log P from below by importance sampling from q, which is tighter than the ELBO.

        log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x),   z_k ~ q(z | x).
        """
        posterior = self.posterior(x)

        def log_weight() -> Tensor:
            z = posterior.sample()
            joint = self.likelihood(z).log_prob(x).flatten(1).sum(1)
            return joint + standard_normal_log_prob(z) - posterior.log_prob(z)

        draws = self.config.importance_samples
        nats = importance_bound(log_weight, draws)
        return LogLikelihood(nats, "lower_bound", f"IWAE, k={draws}", k=draws)

    def sample_prior(self, n: int) -> Tensor:
        """Draw z ~ N(0, I), (n, latent)."""
        return torch.randn(n, self.config.latent, device=self.device)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return the median of p(x | z), uint8 (n, C, H, W)."""
        return self.likelihood(z).median()

    def encode(self, images: Tensor) -> Tensor:
        """Return the mean of q(z | x), (B, latent)."""
        return self.posterior(images).mean
