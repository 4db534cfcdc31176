"""The contract between the harness and a generative model.

Integers in, integers out: a model trains on uint8 images with ``levels`` grey values and samples
the same. Scaling, dequantisation and rounding happen inside the model, with the helpers below.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

LikelihoodKind = Literal["exact", "lower_bound", "estimate"]


@dataclass(frozen=True)
class DataSpec:
    """All that a model may know about the data.

    Attributes:
        shape: (C, H, W).
        levels: images are integers in [0, levels), at most 256.
        classes: number of labels; 0 means unlabelled.
    """

    shape: tuple[int, ...]
    levels: int = 256
    classes: int = 0

    @property
    def dimensions(self) -> int:
        """D = C H W, the number of sub-pixels."""
        return math.prod(self.shape)


class Batch(NamedTuple):
    """One minibatch, on the device: images uint8 (B, C, H, W), labels int64 (B,) or None."""

    images: Tensor
    labels: Tensor | None


class LogLikelihood(NamedTuple):
    """Log-likelihood of *discrete* images.

    Attributes:
        nats: log P(image) of each image, natural logarithm, (B,).
        kind: "exact", a "lower_bound" (nats <= log P), or an "estimate" that is neither.
        detail: how it was computed, for the table ("IWAE, k=64"; "RK4, 100 evaluations").
        k: draws that a bound averages over, where there are such.
        probes: random vectors that estimate a trace, where there are such.
    """

    nats: Tensor
    kind: LikelihoodKind
    detail: str = ""
    k: int | None = None
    probes: int | None = None


def setting(default: Any, help: str) -> Any:
    """Return a hyper-parameter of a ``Config``: a dataclass field with one line of help."""
    return field(default=default, metadata={"help": help})


class ModelConfig(Protocol):
    """What every frozen ``Config`` dataclass has."""

    @property
    def batch_size(self) -> int:
        """Images a ``training_step`` consumes."""


class GenerativeModel(nn.Module, ABC):
    """A model that trains on integer images and samples integer images.

    State lives in modules, buffers and optimizers; anything odd goes through ``get_extra_state``.
    The harness owns the loop, the device, precision, averaging of weights, and the data's order;
    it reseeds torch from (seed, step) before every ``training_step``.

    Attributes:
        Config: frozen dataclass of hyper-parameters, ``batch_size`` among them; its defaults are
            the recipe.
        stages: names and fractions of the budget, in order; ``progress`` drives them.
        network: the module whose calls are the function evaluations of sampling; counted, and
            compiled if the benchmark asks.
        optimizers: by name; the harness saves and loads their state.
        period: training steps after which the kind of work repeats (``n_critic`` of a GAN), so that
            FLOPs can be counted over one whole period.
    """

    Config: ClassVar[type]
    stages: ClassVar[tuple[tuple[str, float], ...]] = (("train", 1.0),)
    network: nn.Module
    optimizers: dict[str, Optimizer]
    period: int = 1

    def __init__(self, spec: DataSpec, config: Any) -> None:
        super().__init__()
        self.spec = spec
        self.config = config

    @property
    def device(self) -> torch.device:
        """Where parameters and buffers are, and where ``sample`` draws its noise."""
        tensor = next(chain(self.parameters(), self.buffers()), None)
        return torch.device("cpu") if tensor is None else tensor.device

    @classmethod
    def supports(cls, spec: DataSpec) -> str | None:
        """Return why this model cannot run on ``spec``, or None if it can."""
        return None

    @abstractmethod
    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Learn from one batch, with all of its own zero_grad, backward and step.

        Args:
            batch: uint8 images and int64 labels on the model's device; not to be changed.
            progress: fraction of the binding budget used, in [0, 1].

        Returns:
            Named scalar losses, detached or not; any that is not finite ends the trial.
        """

    @abstractmethod
    def sample(self, n: int, labels: Tensor | None = None) -> Tensor:
        """Draw ``n`` images, uint8 (n, C, H, W), with values in [0, levels)."""


@runtime_checkable
class HasLikelihood(Protocol):
    """The model can score images."""

    def log_likelihood(self, images: Tensor) -> LogLikelihood:
        """Return nats of the discrete uint8 images (B, C, H, W)."""


@runtime_checkable
class HasLatent(Protocol):
    """The model maps a latent variable to images."""

    def latent(self, n: int) -> Tensor:
        """Draw ``n`` latent variables from the prior, (n, ...)."""

    def decode(self, z: Tensor) -> Tensor:
        """Map latent variables to uint8 images (n, C, H, W)."""


@runtime_checkable
class HasEncoder(Protocol):
    """The model maps images to latent variables."""

    def encode(self, images: Tensor) -> Tensor:
        """Map uint8 images (B, C, H, W) to latent variables (B, ...)."""


@runtime_checkable
class HasSteps(Protocol):
    """Quality of samples can be traded against function evaluations."""

    sampling_steps: int


class Conditional:
    """Marks a model whose ``sample`` honours labels."""


def to_symmetric(images: Tensor, levels: int) -> Tensor:
    """Map integers {0, ..., levels - 1} to [-1, 1]: x = 2 i / (levels - 1) - 1, float32."""
    return images.float().mul(2 / (levels - 1)).sub(1)


def from_symmetric(x: Tensor, levels: int) -> Tensor:
    """Map [-1, 1] to the nearest integer level, clamped; the inverse of ``to_symmetric``, uint8."""
    scaled = (x.float() + 1) * ((levels - 1) / 2)
    return scaled.round().clamp(0, levels - 1).to(torch.uint8)


def dequantise(images: Tensor, levels: int) -> tuple[Tensor, float]:
    """Add uniform noise: y = (i + u) / levels with u ~ U[0, 1)^D, so y lies in [0, 1).

    By Jensen, log P(i) >= E_u[log p(y)] - D ln(levels), for a density p on [0, 1]^D (Theis et al.,
    2016, arXiv:1511.01844).

    Returns:
        y, float32 with the shape of ``images``, and the volume term -D ln(levels), in nats, that
        turns a log-density of y into a log-probability of the integer image.
    """
    noise = torch.rand(images.shape, device=images.device)
    # Rounding up to 1.0 in float32 would step into the next level.
    y = torch.minimum((images.float() + noise) / levels, (images.float() + 1 - 1e-4) / levels)
    return y, -math.prod(images.shape[1:]) * math.log(levels)


def quantise(y: Tensor, levels: int) -> Tensor:
    """Map [0, 1) to integers by floor(y levels), clamped; the inverse of ``dequantise``, uint8."""
    return (y.float() * levels).floor().clamp(0, levels - 1).to(torch.uint8)
