"""RealNVP: Dinh, Sohl-Dickstein and Bengio, ICLR 2017, arXiv:1605.08803.

A flow of affine couplings, the real-valued non-volume-preserving transformations of its name:

    log p(y) = log N(z(y); 0, I) + log |det dz/dy|

for dequantised images y in [0, 1]^D. Each scale is: checkerboard couplings, squeeze, channel
couplings, half of the channels leave; the last one is checkerboard couplings alone (section 3.6).
Batch normalisation is replaced by activation normalisation, so that no density depends on a batch.
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
    dequantise,
    quantise,
    setting,
)
from harness_flow.bijection import ActNorm, Bijection, Chain, Logit, Squeeze
from harness_flow.coupling import (
    AffineCoupling,
    CouplingNetwork,
    channel_mask,
    checkerboard_mask,
)
from harness_flow.multiscale import MultiScale
from harness_nets.bounds import importance_bound
from harness_nets.gaussian import standard_normal_log_prob
from harness_nets.optimisation import descend, set_learning_rate, warm_up_cosine
from harness_nets.sizes import even_halvings


def build_flow(shape: tuple[int, ...], width: int, blocks: int, alpha: float) -> Chain:
    """Return the flow between images in [0, 1]^D, (B, C, H, W), and noise, (B, C H W).

    Args:
        shape: (C, H, W).
        width: hidden channels of coupling networks at full resolution; doubled at each halving.
        blocks: residual blocks of each.
        alpha: margin of the logit.
    """

    def couplings(masks: list[Tensor], width: int) -> list[Bijection]:
        parts: list[Bijection] = []
        for mask in masks:
            network = CouplingNetwork(len(mask), width, blocks)
            parts += [ActNorm(len(mask)), AffineCoupling(mask, network)]
        return parts

    channels, height, columns = shape
    parts: list[Bijection] = []
    shapes: list[tuple[int, ...]] = []
    for _ in range(even_halvings(height, columns)):
        fine = (channels, height, columns)
        coarse = (4 * channels, height // 2, columns // 2)
        above = couplings([checkerboard_mask(fine, i) for i in range(3)], width)
        width *= 2
        below = couplings([channel_mask(coarse, i) for i in range(3)], width)
        parts.append(Chain(*above, Squeeze(), *below))
        shapes.append(coarse)
        channels, height, columns = 2 * channels, height // 2, columns // 2
    last = (channels, height, columns)
    parts.append(Chain(*couplings([checkerboard_mask(last, i) for i in range(4)], width)))
    shapes.append(last)
    return Chain(Logit(alpha), MultiScale(parts, shapes))


class RealNVP(LatentVariableModel):
    """Multi-scale affine couplings on dequantised pixels."""

    @dataclass(frozen=True)
    class Config:
        """Hyper-parameters of ``RealNVP``."""

        batch_size: int = setting(64, "images per step")
        learning_rate: float = setting(5e-3, "peak learning rate (Adam); warm-up, then cosine to 0")
        width: int = setting(16, "hidden channels of a coupling at full resolution; doubled below")
        blocks: int = setting(1, "residual blocks of a coupling's network")
        alpha: float = setting(0.05, "margin of the logit: p = alpha + (1 - 2 alpha) y")
        clip: float = setting(1.0, "gradient-norm clip")
        dequantisations: int = setting(16, "draws of the uniform noise in the likelihood bound")

    config: Config
    network: Chain

    def __init__(self, spec: DataSpec, config: Config) -> None:
        super().__init__(spec, config)
        self.network = build_flow(spec.shape, config.width, config.blocks, config.alpha)
        self.optimizers = {
            "flow": torch.optim.Adam(self.parameters(), config.learning_rate, fused=True)
        }

    @classmethod
    def supports(cls, spec: DataSpec) -> str | None:
        """Refuse a single pixel, which a checkerboard cannot split."""
        if spec.shape[1] * spec.shape[2] < 2:
            return f"a checkerboard needs two pixels or more; images are {spec.shape}"
        return None

    def log_density(self, y: Tensor) -> Tensor:
        """Return log p(y), (B,), in nats, for y in [0, 1]^D, (B, C, H, W)."""
        z, log_det = self.network.inverse(y)
        return standard_normal_log_prob(z) + log_det

    def dequantised_log_density(self, images: Tensor) -> Tensor:
        """Return log p((x + u) / levels) - D log(levels) at one u ~ U[0, 1)^D, (B,), in nats."""
        y, volume = dequantise(images, self.spec.levels)
        return self.log_density(y) + volume

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Descend the negative log-density, in nats per sub-pixel."""
        optimizer = self.optimizers["flow"]
        set_learning_rate(optimizer, self.config.learning_rate * warm_up_cosine(progress))
        loss = -self.dequantised_log_density(batch.x).mean() / self.spec.dimensions
        return {"loss": descend(optimizer, loss, self.config.clip)}

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        """Bound log P from below by K draws of the dequantisation noise.

        P(x) = E_u[p((x + u) / levels)] / levels^D, whose logarithm is at least the expectation of
        log 1/K sum_k p((x + u_k) / levels) / levels^D.
        """
        draws = self.config.dequantisations
        nats = importance_bound(lambda: self.dequantised_log_density(x), draws)
        return LogLikelihood(nats, "lower_bound", f"uniform dequantisation, k={draws}", k=draws)

    def sample_prior(self, n: int) -> Tensor:
        """Draw z ~ N(0, I), (n, D)."""
        return torch.randn(n, self.spec.dimensions, device=self.device)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return the image whose cell holds y(z), uint8 (n, C, H, W)."""
        return quantise(self.network(z), self.spec.levels)

    def encode(self, images: Tensor) -> Tensor:
        """Return z of the middle of the image's cell, u = 1/2, (B, D)."""
        z, _ = self.network.inverse((images.float() + 0.5) / self.spec.levels)
        return z
