"""DDPM: Ho, Jain and Abbeel, 2020, arXiv:2006.11239, with what diffusers has of it.

A U-Net predicts the noise e in x_t = a_t x + s_t e, at one of T times; the scheduler knows a_t and
s_t, and takes the steps of p(x_r | x_t) from noise to an image.
"""

from dataclasses import dataclass

import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor

from harness.contract import Batch, DataSpec, GenerativeModel, from_symmetric, setting, to_symmetric

GROUPS = 8


def build_unet(shape: tuple[int, ...], width: int) -> UNet2DModel:
    """Return a U-Net for images (C, H, W): two halvings where they are even, attention below."""
    channels, height, columns = shape
    halvings = max(k for k in range(3) if height % 2**k == columns % 2**k == 0)
    return UNet2DModel(
        in_channels=channels,
        out_channels=channels,
        layers_per_block=1,
        block_out_channels=tuple(width * min(2**k, 2) for k in range(halvings + 1)),
        down_block_types=("DownBlock2D",) * halvings + ("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * halvings,
        norm_num_groups=GROUPS,
    )


class DiffusersDDPM(GenerativeModel):
    """``UNet2DModel`` trained with ``DDPMScheduler.add_noise``, sampled with its ``step``."""

    @dataclass(frozen=True)
    class Config:
        """Hyper-parameters of ``DiffusersDDPM``."""

        batch_size: int = setting(64, "images per step")
        learning_rate: float = setting(1e-3, "learning rate (Adam)")
        width: int = setting(16, "channels at full resolution, a multiple of 8; doubled below")
        steps: int = setting(1000, "T, steps of the forward process")
        sampling_steps: int = setting(50, "network calls per sample, at most T")

    def __init__(self, spec: DataSpec, config: Config) -> None:
        super().__init__(spec, config)
        self.network = build_unet(spec.shape, config.width)
        self.scheduler = DDPMScheduler(config.steps, timestep_spacing="trailing")
        self.sampling_steps = config.sampling_steps
        self.optimizers = {"adam": torch.optim.Adam(self.parameters(), config.learning_rate)}

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Descend |e - e(x_t, t)|^2 at uniform t."""
        x = to_symmetric(batch.x, self.spec.levels)
        e, t = torch.randn_like(x), torch.randint(len(self.scheduler), x.shape[:1], device=x.device)
        predicted = self.network(self.scheduler.add_noise(x, e, t), t).sample
        loss = (predicted.float() - e).square().mean()
        adam = self.optimizers["adam"]
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        adam.step()
        return {"loss": loss.detach()}

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draw ``n`` images, uint8, in ``sampling_steps`` steps of the scheduler."""
        x = torch.randn(n, *self.spec.shape, device=self.device)
        self.scheduler.set_timesteps(self.sampling_steps)
        for t in self.scheduler.timesteps:
            e = self.network(x, t).sample.float()
            x = self.scheduler.step(e, t, x).prev_sample
        return from_symmetric(x, self.spec.levels)
