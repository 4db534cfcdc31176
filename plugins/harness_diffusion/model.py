"""What the diffusion models share: a U-Net that learns to undo noise, and its recipe."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from harness.contract import Batch, DataSpec, GenerativeModel, setting
from harness_diffusion.denoisers import NetworkDenoiser, combine
from harness_diffusion.schedules import Schedule
from harness_nets.unet import UNet

WARM_UP = 0.05
SMALL_IMAGE = 32 * 32


@dataclass(frozen=True)
class DiffusionConfig:
    """Hyper-parameters of the network and of its training."""

    batch_size: int = setting(32, "images a step")
    channels: int = setting(0, "width of the U-Net; 0: 32 up to 1x32x32, 64 above")
    blocks: int = setting(1, "residual blocks on each level of the U-Net")
    dropout: float = setting(0.0, "dropout in the residual blocks")
    prediction: Literal["noise", "data", "v"] = setting("noise", "what the network predicts")
    learning_rate: float = setting(1e-3, "of Adam, at its peak")
    clip: float = setting(1.0, "largest norm of the gradient")


def learning_rate(peak: float, progress: float) -> float:
    """Rise from a tenth of ``peak`` for 5% of the budget, times a half cosine that falls to 0."""
    warm = min(1.0, 0.1 + 0.9 * progress / WARM_UP)
    return peak * warm * (1 + math.cos(math.pi * progress)) / 2


class DiffusionModel(GenerativeModel):
    """A denoising network, trained on states of a forward process at random times.

    The loss is |u - u^(x_t, t)|^2, the mean over pixels of the error of the prediction: for
    noise the L_simple of Ho et al., 2020, and the score matching of Song et al., 2021, weighted
    by s(t)^2.

    Attributes:
        schedule: the forward process.
        sampling_steps: of the sampler; settable.
    """

    sampling_steps: int

    def __init__(
        self, spec: DataSpec, config: Any, schedule: Schedule, sampling_steps: int
    ) -> None:
        super().__init__(spec, config)
        small = spec.dimensions <= SMALL_IMAGE
        width = config.channels or (32 if small else 64)
        self.network = UNet(spec.shape, width, config.blocks, config.dropout)
        self.schedule = schedule
        self.sampling_steps = sampling_steps
        adam = torch.optim.Adam(self.network.parameters(), config.learning_rate, fused=True)
        self.optimizers = {"adam": adam}

    @classmethod
    def supports(cls, spec: DataSpec) -> str | None:
        """Support every image (C, H, W)."""
        return None if len(spec.shape) == 3 else f"needs images (C, H, W), not {spec.shape}"

    @property
    def denoiser(self) -> NetworkDenoiser:
        """The network as it is now, as a denoiser."""
        return NetworkDenoiser(self.network, self.schedule, self.config.prediction)

    @abstractmethod
    def encode_data(self, images: Tensor) -> Tensor:
        """Map integer images to data x in [-1, 1], float32."""

    @abstractmethod
    def draw_times(self, n: int, device: torch.device) -> Tensor:
        """Draw the times of a training batch, (n,)."""

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Take one step of Adam on the error of the prediction at random times."""
        x = self.encode_data(batch.images)
        t = self.draw_times(len(x), x.device)
        e = torch.randn_like(x)
        target = combine(self.config.prediction, x, e, *self.schedule(t))
        u = self.network(self.schedule.diffuse(x, e, t), t.float())
        loss = F.mse_loss(u.float(), target)

        adam = self.optimizers["adam"]
        for group in adam.param_groups:
            group["lr"] = learning_rate(self.config.learning_rate, progress)
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        adam.step()
        return {"loss": loss.detach()}

    def prior(self, n: int) -> Tensor:
        """Draw ``n`` states at t = 1 from N(0, I), on the model's device."""
        return torch.randn(n, *self.spec.shape, device=self.device)
