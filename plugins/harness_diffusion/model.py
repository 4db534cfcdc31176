"""What the diffusion models share: a U-Net that learns to undo noise, and its recipe."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from harness.contract import Batch, DataSpec, GenerativeModel, setting
from harness_diffusion.denoisers import Denoiser, NetworkDenoiser
from harness_diffusion.paths import Path
from harness_diffusion.samplers import SAMPLERS, Corrector, Step, run
from harness_nets.optimisation import descend, set_learning_rate, warm_up_cosine
from harness_nets.unet import UNet

SMALL_IMAGE = 32 * 32
FIRST_RATE = 0.1
"""Share of the peak learning rate at which the warm-up starts."""


class DiffusionModel(GenerativeModel):
    """A denoising network, trained on states of a forward process at random times.

    A system says how integers become data and back, which path joins data and noise, which times
    it trains at and with which weights, and which times its sampler visits by which steps; and, if
    it likes, which network predicts.

    Attributes:
        path: the forward process.
        sampling_steps: of the sampler; settable.
    """

    @dataclass(frozen=True)
    class Config:
        """Hyper-parameters of the network and of its training."""

        batch_size: int = setting(32, "images per step")
        channels: int = setting(0, "width of the U-Net; 0: 32 up to 1x32x32, 64 above")
        blocks: int = setting(1, "residual blocks on each level of the U-Net")
        dropout: float = setting(0.0, "dropout in the residual blocks")
        sampler: str = setting("ancestral", "how samples are drawn")
        sampling_steps: int = setting(64, "steps of the sampler")
        prediction: Literal["noise", "data", "v"] = setting("noise", "what the network predicts")
        learning_rate: float = setting(1e-3, "peak learning rate (Adam); warm-up, then cosine to 0")
        clip: float = setting(1.0, "gradient-norm clip")

    config: Config
    sampling_steps: int

    def __init__(self, spec: DataSpec, config: Config, path: Path) -> None:
        super().__init__(spec, config)
        self.network = self.build_network()
        self.path = path
        self.sampling_steps = config.sampling_steps
        adam = torch.optim.Adam(self.network.parameters(), config.learning_rate, fused=True)
        self.optimizers = {"adam": adam}

    @classmethod
    def supports(cls, spec: DataSpec) -> str | None:
        """Support every image (C, H, W)."""
        return None if len(spec.shape) == 3 else f"needs images (C, H, W), not {spec.shape}"

    def build_network(self) -> nn.Module:
        """Return what predicts, from a state (B, C, H, W), times (B,) and a condition if any."""
        small = self.spec.dimensions <= SMALL_IMAGE
        width = self.config.channels or (32 if small else 64)
        return UNet(self.spec.shape, width, self.config.blocks, self.config.dropout)

    def trained(self, condition: Tensor | None = None) -> NetworkDenoiser:
        """Return the network as it is now, as a denoiser, given the condition if there is one."""
        return NetworkDenoiser(self.network, self.path, self.config.prediction, condition)

    def denoiser(self, condition: Tensor | None = None) -> Denoiser:
        """Return the denoiser that samples and likelihoods are of: the trained one."""
        return self.trained(condition)

    @abstractmethod
    def encode_data(self, images: Tensor) -> Tensor:
        """Map integer images to data x in [-1, 1], float32."""

    @abstractmethod
    def draw_times(self, n: int, device: torch.device) -> Tensor:
        """Draw the times of a training batch, (n,)."""

    def weight(self, t: Tensor) -> Tensor:
        """Return the weight of the loss at times (B,), (B,): one."""
        return torch.ones_like(t)

    def sampler(self, denoiser: Denoiser) -> Step:
        """Return the step of the sampler that the configuration names."""
        return SAMPLERS[self.config.sampler](denoiser, self.path)

    def corrector(self, denoiser: Denoiser) -> Corrector | None:
        """Return what corrects the states between steps: nothing."""
        return None

    @abstractmethod
    def sampling_times(self) -> Tensor:
        """Return the falling times that sampling visits, from 1, float64."""

    @abstractmethod
    def decode_data(self, x: Tensor, denoiser: Denoiser) -> Tensor:
        """Map the state at the last of the sampling times to integer images, uint8."""

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Take one step of Adam on the weighted error of the prediction at random times."""
        x = self.encode_data(batch.x)
        t = self.draw_times(len(x), x.device)
        denoiser = self.trained(self.condition(batch.y))
        loss = (self.weight(t) * denoiser.loss(x, torch.randn_like(x), t)).mean()
        adam = self.optimizers["adam"]
        set_learning_rate(adam, self.config.learning_rate * warm_up_cosine(progress, FIRST_RATE))
        return {"loss": descend(adam, loss, self.config.clip)}

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draw ``n`` images, uint8 (n, C, H, W), in ``sampling_steps`` steps."""
        denoiser = self.denoiser(self.condition(y))
        x = self.prior(n)
        times = self.sampling_times().to(x.device)
        x = run(self.sampler(denoiser), x, times, self.corrector(denoiser))
        return self.decode_data(x, denoiser)

    def prior(self, n: int) -> Tensor:
        """Draw ``n`` states at t = 1 from N(0, scale^2 I), on the model's device."""
        return self.path.scale * torch.randn(n, *self.spec.shape, device=self.device)
