"""A diffusion model with labels, as small as it comes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Adam

from harness.contract import (
    Batch,
    DataSpec,
    GenerativeModel,
    from_symmetric,
    setting,
    to_symmetric,
)


@dataclass(frozen=True)
class DiffusionConfig:
    batch_size: int = setting(8, "images per step")
    learning_rate: float = setting(5e-3, "Adam's step size; falls to 0 on a line")
    sampling_steps: int = setting(20, "network calls per sample")


class Predictor(nn.Module):
    """The data x (B, D) in a noisy state (B, D) at a time t (B, 1), of a class y (B,)."""

    def __init__(self, dimensions: int, classes: int) -> None:
        super().__init__()
        self.enter = nn.Linear(dimensions + 1, 64)
        self.classes = nn.Embedding(classes, 64)
        self.leave = nn.Sequential(nn.SiLU(), nn.Linear(64, 64), nn.SiLU())
        self.data = nn.Linear(64, dimensions)

    def forward(self, state: Tensor, t: Tensor, y: Tensor) -> Tensor:
        hidden = self.enter(torch.cat([state, t], 1)) + self.classes(y)
        return self.data(self.leave(hidden))


class Diffusion(GenerativeModel):
    """x_t = cos(pi t / 2) x + sin(pi t / 2) e; the network predicts x, and DDIM samples."""

    Config = DiffusionConfig
    takes = frozenset({"label"})

    def __init__(self, spec: DataSpec, config: DiffusionConfig) -> None:
        super().__init__(spec, config)
        self.classes = max(spec.classes, 1)
        self.network = Predictor(spec.dimensions, self.classes)
        self.sampling_steps = config.sampling_steps
        self.optimizers = {"adam": Adam(self.parameters(), config.learning_rate)}

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        x = to_symmetric(batch.x, self.spec.levels).flatten(1)
        t, e = self.times(len(x)), self.noise(x)
        a, s = self.schedule(t)
        y = self.labels(batch.y, len(x))
        loss = self.weight(progress) * (self.network(a * x + s * e, t, y) - x).square().mean()
        adam = self.optimizers["adam"]
        adam.param_groups[0]["lr"] = self.config.learning_rate * self.decay(progress)
        adam.zero_grad()
        loss.backward()
        adam.step()
        return {"loss": loss.detach()}

    def times(self, n: int) -> Tensor:
        return torch.rand(n, 1)

    def noise(self, x: Tensor) -> Tensor:
        return torch.randn_like(x)

    def weight(self, progress: float) -> float:
        return 1.0

    def decay(self, progress: float) -> float:
        return 1 - 0.9 * progress

    def schedule(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.cos(t * math.pi / 2), torch.sin(t * math.pi / 2)

    def labels(self, labels: Tensor | None, n: int) -> Tensor:
        return torch.randint(self.classes, (n,)) if labels is None else labels

    def steps(self) -> list[tuple[float, float]]:
        """Return pairs of times, from noise (1) to data (0)."""
        n = self.sampling_steps
        return [(i / n, (i - 1) / n) for i in range(n, 0, -1)]

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        y = self.labels(y, n)
        state = torch.randn(n, self.spec.dimensions)
        for now, then in self.steps():
            t = torch.full((n, 1), now)
            (a, s), (a_then, s_then) = self.schedule(t), self.schedule(torch.full((n, 1), then))
            x = self.network(state, t, y)
            state = a_then * x + s_then * (state - a * x) / s.clamp(min=1e-3)
        return from_symmetric(state.view(n, *self.spec.shape), self.spec.levels)
