"""Small models and data for tests of the core."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from harness.contract import Batch, DataSpec, GenerativeModel, setting
from harness.dataset import Dataset, Split

SPEC = DataSpec.images((1, 2, 2), levels=4, classes=3)


def split(n: int, seed: int = 0, spec: DataSpec = SPEC) -> Split:
    """Random images with labels."""
    random = np.random.default_rng(seed)
    images = random.integers(0, spec.levels, (n, *spec.shape)).astype(np.uint8)
    return Split(images, random.integers(0, spec.classes, n).astype(np.int64))


def dataset(n: int = 60) -> Dataset:
    """Three splits of random images."""
    return Dataset("toy", SPEC, split(n, 0), split(n // 3, 1), split(n // 2, 2))


@dataclass(frozen=True)
class Config:
    batch_size: int = setting(8, "images per step")
    n_critic: int = setting(1, "steps of the first optimizer for one of the second")


class Regressor(GenerativeModel):
    """Regresses pixels on noise: one loss, one optimizer, randomness in every step."""

    Config = Config

    def __init__(self, spec: DataSpec = SPEC, config: Config | None = None) -> None:
        super().__init__(spec, config or Config())
        d = spec.dimensions
        self.network = nn.Sequential(nn.Linear(d, 16), nn.Tanh(), nn.Linear(16, d))
        self.optimizers = {"adam": torch.optim.Adam(self.parameters(), lr=0.01)}

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        x = batch.x.float().flatten(1)
        loss = (self.network(torch.randn_like(x)) - x).square().mean()
        self.optimizers["adam"].zero_grad()
        loss.backward()
        self.optimizers["adam"].step()
        return {"loss": loss}

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        z = torch.randn(n, self.spec.dimensions, device=next(self.parameters()).device)
        x = self.network(z).round().clamp(0, self.spec.levels - 1)
        return x.reshape(n, *self.spec.shape).to(torch.uint8)


class Alternating(Regressor):
    """Two optimizers, the second of which steps every ``n_critic``-th time."""

    def __init__(self, spec: DataSpec = SPEC, config: Config | None = None) -> None:
        super().__init__(spec, config)
        self.critic = nn.Linear(spec.dimensions, 1)
        self.optimizers["critic"] = torch.optim.Adam(self.critic.parameters(), lr=0.01)
        self.period = self.config.n_critic
        self.calls = 0

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        self.calls += 1
        loss = self.critic(batch.x.float().flatten(1)).square().mean()
        self.optimizers["critic"].zero_grad()
        loss.backward()
        self.optimizers["critic"].step()
        losses = {"critic": loss}
        if self.calls % self.config.n_critic == 0:
            losses |= super().training_step(batch, progress)
        return losses

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": self.calls}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.calls = state["calls"]


class LabelPainter(Regressor):
    """Paints its label into every pixel."""

    takes = frozenset({"label"})

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        assert y is not None
        super().sample(n)
        return y.to(torch.uint8).view(n, 1, 1, 1).expand(n, *self.spec.shape).contiguous()
