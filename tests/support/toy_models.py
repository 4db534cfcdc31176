"""The three shapes of plugin, as small as they come: one loss, two players, two stages."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from harness.contract import (
    Batch,
    DataSpec,
    GenerativeModel,
    LatentVariableModel,
    LogLikelihood,
    from_symmetric,
    setting,
    to_symmetric,
)


@dataclass(frozen=True)
class ToyConfig:
    batch_size: int = setting(8, "images per step")
    learning_rate: float = setting(0.05, "Adam's step size")
    n_critic: int = setting(3, "updates of the discriminator for one of the generator")


class Histogram(GenerativeModel):
    """One loss: independent pixels, P(x | y) = prod_d softmax(w_dy)_{x_d}; exact."""

    Config = ToyConfig
    takes = frozenset({"label"})

    def __init__(self, spec: DataSpec, config: ToyConfig) -> None:
        super().__init__(spec, config)
        self.network = nn.Embedding(max(spec.classes, 1), spec.dimensions * spec.levels)
        self.optimizers = {"all": Adam(self.parameters(), config.learning_rate)}

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        logits = self._logits(batch.y, len(batch.x))
        loss = F.cross_entropy(logits.flatten(0, 1), batch.x.long().flatten())
        self.optimizers["all"].zero_grad()
        loss.backward()
        self.optimizers["all"].step()
        return {"nats": loss.detach()}

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        probabilities = self._logits(y, n).softmax(2)
        # Inversion: the level is the number of cumulative probabilities below u ~ U[0, 1).
        u = torch.rand(n, self.spec.dimensions, 1)
        levels = (probabilities.cumsum(2)[..., :-1] < u).sum(2)
        return levels.view(n, *self.spec.shape).to(torch.uint8)

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        values = x.long().flatten(1).unsqueeze(2)
        nats = self._logits(y, len(x)).log_softmax(2).gather(2, values).sum((1, 2))
        return LogLikelihood(nats, "exact")

    def _logits(self, labels: Tensor | None, n: int) -> Tensor:
        """Return (n, D, levels); class 0 stands in where there are no labels."""
        labels = torch.zeros(n, dtype=torch.int64) if labels is None else labels
        return self.network(labels).view(n, self.spec.dimensions, self.spec.levels)


class Mixture(Histogram):
    """The same without a condition: P(x) = sum_y P(x | y) / K, whatever labels the data has."""

    takes = frozenset()

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        return super().sample(n, torch.randint(max(self.spec.classes, 1), (n,)))

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        nats = self.nats_of_classes(x)
        return LogLikelihood(nats.logsumexp(0) - math.log(len(nats)), "exact")

    def nats_of_classes(self, x: Tensor) -> Tensor:
        """Return log P(x | y) of each class, (K, B)."""
        labels = torch.arange(max(self.spec.classes, 1))
        return torch.stack(
            [super(Mixture, self).log_likelihood(x, y.expand(len(x))).nats for y in labels]
        )


class TwoPlayers(LatentVariableModel):
    """Two optimizers: a discriminator every step, a generator every ``n_critic``-th."""

    Config = ToyConfig

    def __init__(self, spec: DataSpec, config: ToyConfig) -> None:
        super().__init__(spec, config)
        self.network = nn.Sequential(nn.Linear(4, spec.dimensions), nn.Tanh())
        self.discriminator = nn.Sequential(
            nn.Linear(spec.dimensions, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1)
        )
        self.optimizers = {
            "generator": Adam(self.network.parameters(), config.learning_rate / 5, (0.5, 0.9)),
            "discriminator": Adam(self.discriminator.parameters(), config.learning_rate / 5),
        }
        self.period = config.n_critic
        self.steps = 0

    def get_extra_state(self) -> int:
        return self.steps

    def set_extra_state(self, state: int) -> None:
        self.steps = state

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        self.steps += 1
        real = to_symmetric(batch.x, self.spec.levels).flatten(1)
        fake = self.network(self.sample_prior(len(real)))
        of_real, of_fake = self.discriminator(real), self.discriminator(fake.detach())
        losses = {"discriminator": F.softplus(-of_real).mean() + F.softplus(of_fake).mean()}
        self._descend("discriminator", losses["discriminator"])
        if self.steps % self.config.n_critic == 0:
            losses["generator"] = F.softplus(-self.discriminator(fake)).mean()
            self._descend("generator", losses["generator"])
        return losses

    def _descend(self, player: str, loss: Tensor) -> None:
        self.optimizers[player].zero_grad()
        loss.backward()
        self.optimizers[player].step()

    def sample_prior(self, n: int) -> Tensor:
        return torch.randn(n, 4)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return from_symmetric(self.network(z), self.spec.levels).view(-1, *self.spec.shape)


class TwoStages(LatentVariableModel):
    """Two stages: a linear autoencoder, then a Gaussian prior of its codes, by ``progress``."""

    Config = ToyConfig
    stages = (("autoencoder", 0.4), ("prior", 0.6))

    def __init__(self, spec: DataSpec, config: ToyConfig) -> None:
        super().__init__(spec, config)
        self.encoder = nn.Linear(spec.dimensions, 4)
        self.network = nn.Linear(4, spec.dimensions)
        self.mean = nn.Parameter(torch.zeros(4))
        self.log_scale = nn.Parameter(torch.zeros(4))
        autoencoder = [*self.encoder.parameters(), *self.network.parameters()]
        self.optimizers = {
            "autoencoder": Adam(autoencoder, config.learning_rate),
            "prior": Adam([self.mean, self.log_scale], config.learning_rate),
        }

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        stage = "autoencoder" if progress < self.stages[0][1] else "prior"
        x = to_symmetric(batch.x, self.spec.levels).flatten(1)
        if stage == "autoencoder":
            loss = (self.network(self.encoder(x)) - x).square().mean()
        else:
            z = self.encode(batch.x)
            residual = (z - self.mean) / self.log_scale.exp()
            loss = (residual.square() / 2 + self.log_scale).sum(1).mean()
        self.optimizers[stage].zero_grad()
        loss.backward()
        self.optimizers[stage].step()
        return {stage: loss.detach()}

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        return self.encoder(to_symmetric(images, self.spec.levels).flatten(1))

    def sample_prior(self, n: int) -> Tensor:
        return self.mean + self.log_scale.exp() * torch.randn(n, 4)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return from_symmetric(self.network(z), self.spec.levels).view(-1, *self.spec.shape)
