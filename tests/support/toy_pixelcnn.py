"""PixelCNN as first published, with the blind spot of masked convolutions, and one without."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass

import torch
import torch.nn.functional as F
from support.toy_densities import Density
from torch import Tensor, nn
from torch.optim import Adam

from harness.contract import DataSpec, LogLikelihood, setting


@dataclass(frozen=True)
class PixelConfig:
    batch_size: int = setting(8, "images per step")
    learning_rate: float = setting(0.01, "Adam's step size")
    kernel: int = setting(3, "width of every convolution")
    layers: int = setting(3, "masked convolutions")
    width: int = setting(8, "channels")


def wide_kernels(kernel: int, layers: int = 2) -> type:
    """Return a ``Config`` with other kernels."""
    changed = {"kernel": kernel, "layers": layers}
    fields = [(name, int, field(default=value)) for name, value in changed.items()]
    return make_dataclass("Config", fields, bases=(PixelConfig,), frozen=True)


class MaskedConvolution(nn.Conv2d):
    """Sees rows above and what is to the left; the pixel itself too, unless it is ``first``."""

    def __init__(self, inputs: int, outputs: int, kernel: int, first: bool) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        mask = torch.ones(kernel * kernel)
        mask[kernel * kernel // 2 + (not first) :] = 0
        self.register_buffer("mask", mask.view(kernel, kernel))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class PixelCNN(Density):
    """P(x) = prod_d softmax(f(x_<d))[x_d], van den Oord et al., 2016, arXiv:1601.06759; grey."""

    Config = PixelConfig

    def __init__(self, spec: DataSpec, config: PixelConfig) -> None:
        super().__init__(spec, config)
        layers: list[nn.Module] = []
        for i in range(config.layers):
            inputs = config.width if i else 1
            layers += [MaskedConvolution(inputs, config.width, config.kernel, not i), nn.ELU()]
        self.network = nn.Sequential(*layers, nn.Conv2d(config.width, spec.levels, 1))
        self.optimizers = {"adam": Adam(self.parameters(), config.learning_rate)}

    @classmethod
    def supports(cls, spec: DataSpec) -> str | None:
        return None if spec.shape[0] == 1 else "grey images only"

    def logits(self, images: Tensor) -> Tensor:
        return self.network(images.float() / (self.spec.levels - 1))

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        nats = -F.cross_entropy(self.logits(x), x[:, 0].long(), reduction="none")
        return LogLikelihood(nats.sum((1, 2)), "exact")

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        x = torch.zeros(n, *self.spec.shape, dtype=torch.uint8)
        for row in range(self.spec.shape[1]):
            for column in range(self.spec.shape[2]):
                p = self.logits(x)[:, :, row, column].softmax(1)
                x[:, 0, row, column] = torch.multinomial(p, 1)[:, 0].to(torch.uint8)
        return x
