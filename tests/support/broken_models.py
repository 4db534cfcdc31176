"""Models that break the contract by a type, each in one place; and one that keeps it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

from harness.contract import Batch, DataSpec, GenerativeModel, LogLikelihood, setting


class Table(GenerativeModel):
    """Independent pixels, sound in every respect."""

    @dataclass(frozen=True)
    class Config:
        batch_size: int = setting(8, "images per step")

    def __init__(self, spec: DataSpec, config: Config) -> None:
        super().__init__(spec, config)
        self.network = nn.Embedding(1, spec.dimensions * spec.levels)
        self.optimizers = {"adam": torch.optim.Adam(self.parameters(), 0.05)}

    def logits(self) -> Tensor:
        row = self.network(torch.zeros(1, dtype=torch.long))
        return row.view(self.spec.dimensions, self.spec.levels)

    def nats(self, images: Tensor) -> Tensor:
        pixels = images.flatten(1).long()
        return self.logits().log_softmax(1)[torch.arange(pixels.shape[1]), pixels].sum(1)

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        loss = -self.nats(batch.x).mean()
        for optimizer in self.optimizers.values():
            optimizer.zero_grad()
            loss.backward(retain_graph=True)
            optimizer.step()
        return {"nats": loss.detach()}

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        return LogLikelihood(self.nats(x), "exact")

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        drawn = Categorical(logits=self.logits()).sample((n,))
        return drawn.view(n, *self.spec.shape).to(torch.uint8)


def returning(method, change):
    """The sound model, but one method returns what ``change`` makes of its answer."""

    def changed(self, *arguments):
        return change(getattr(Table, method)(self, *arguments))

    return type("Changed", (Table,), {method: changed})


def building(change):
    """The sound model, but ``change`` has the last word in its ``__init__``."""

    def __init__(self, spec, config):
        Table.__init__(self, spec, config)
        change(self)

    return type("Changed", (Table,), {"__init__": __init__})


def having(**attributes):
    """The sound model, with other attributes of the class."""
    return type("Changed", (Table,), attributes)


class WithoutOptimizers(Table):
    def __init__(self, spec, config):
        GenerativeModel.__init__(self, spec, config)
        self.network = nn.Embedding(1, spec.dimensions * spec.levels)
        self.own = {"adam": torch.optim.Adam(self.parameters(), 0.05)}

    def training_step(self, batch, progress):
        return {"nats": -self.nats(batch.x).mean().detach()}


class Lazy(Table):
    def __init__(self, spec, config):
        GenerativeModel.__init__(self, spec, config)
        self.network = nn.LazyLinear(spec.dimensions * spec.levels, bias=False)
        self.optimizers = {"adam": torch.optim.Adam(self.parameters(), 0.05)}


class Counting(Table):
    """Learns by counting: it has buffers alone, and no optimizer."""

    def __init__(self, spec, config):
        GenerativeModel.__init__(self, spec, config)
        self.network = nn.Identity()
        self.register_buffer("counts", torch.ones(spec.dimensions, spec.levels))
        self.optimizers = {}

    def logits(self):
        return self.network(self.counts).log()

    def training_step(self, batch, progress):
        pixels = batch.x.flatten(1).long()
        self.counts += nn.functional.one_hot(pixels, self.spec.levels).float().sum(0)
        return {"nats": -self.nats(batch.x).mean()}


class NumpyRate(Table):
    """A schedule by NumPy, whose scalars do not load with ``weights_only=True``."""

    def training_step(self, batch, progress):
        self.optimizers["adam"].param_groups[0]["lr"] = 0.05 * (1 + np.cos(np.pi * progress))
        return super().training_step(batch, progress)


class NumpyBetas(Table):
    def __init__(self, spec, config):
        super().__init__(spec, config)
        rate, betas = float(np.float32(0.05)), (np.float64(0.9), 0.999)
        self.optimizers = {"adam": torch.optim.Adam(self.parameters(), rate, betas=betas)}


class GrowingBank(Table):
    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.register_buffer("bank", torch.zeros(0, spec.dimensions))

    def training_step(self, batch, progress):
        self.bank = torch.cat([self.bank, batch.x.flatten(1).float()[:1]])[-500:]
        return super().training_step(batch, progress)


class LateBuffer(Table):
    """A buffer that appears after ``steps`` calls of ``training_step``."""

    steps = 0

    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.register_buffer("scale", None)

    def training_step(self, batch, progress):
        self.steps -= 1
        if self.scale is None and self.steps < 0:
            self.scale = batch.x.float().std()
        return super().training_step(batch, progress)


class LateModule(Table):
    def training_step(self, batch, progress):
        if not hasattr(self, "extra"):
            self.extra = nn.Linear(3, 3)
            self.optimizers["adam"].add_param_group({"params": self.extra.parameters()})
        return super().training_step(batch, progress)


class OddState(Table):
    """Extra state of a kind that ``change`` gives."""

    def get_extra_state(self):
        return self.odd

    def set_extra_state(self, state):
        self.odd = state


def keeping(odd):
    return type("Keeping", (OddState,), {"odd": odd})
