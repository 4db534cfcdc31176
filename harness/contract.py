"""The contract between the harness and a generative model.

Integers in, integers out: an image, a video, a sound and a line of text are arrays of uint8 of one
shape, with values in [0, levels), and a label is an int64. A model trains on such arrays x, perhaps
with conditions y, and samples the same. Scaling, dequantisation and rounding happen inside the
model, with the helpers below.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Kind = Literal["image", "video", "audio", "text", "label"]
LikelihoodKind = Literal["exact", "lower_bound", "estimate"]


AXES: dict[str, str] = {
    "image": "(C, H, W)",
    "video": "(T, C, H, W)",
    "audio": "(C, L)",
    "text": "(L,)",
    "label": "()",
}
"""The axes of one example of each kind of array: channels, height, width; frames; length."""


@dataclass(frozen=True)
class ArraySpec:
    """One array of a data set: integers of one kind, shape and range.

    Attributes:
        kind: what the array is of; ``AXES`` names its axes.
        shape: of one example.
        levels: values lie in [0, levels): gray values, mu-law steps, characters, classes; at most
            256, but for labels.
        alphabet: of a text, the character that each value stands for; Latin-1 where it is empty.
        rate: of sound, samples per second; of a video, frames per second; 0 where unknown.
    """

    kind: Kind
    shape: tuple[int, ...]
    levels: int = 256
    alphabet: str = ""
    rate: float = 0.0

    @property
    def dimensions(self) -> int:
        """D, the number of integers in one example."""
        return math.prod(self.shape)

    @property
    def planes(self) -> tuple[int, int, int]:
        """One example as (C, H, W): frames count as channels, and a length has one row."""
        height, width = self.shape[-2:] if len(self.shape) > 2 else (1, self.shape[-1])
        return self.dimensions // (height * width), height, width


@dataclass(frozen=True)
class DataSpec:
    """All that a model may know about the data.

    Attributes:
        x: what is generated.
        y: what it is generated from: a label, a caption, an image; None without a condition.
        paired: whether x and y of an example belong together; otherwise they are independent
            draws, as in unpaired translation.
    """

    x: ArraySpec
    y: ArraySpec | None = None
    paired: bool = True

    @classmethod
    def images(cls, shape: tuple[int, ...], levels: int = 256, classes: int = 0) -> Self:
        """Return the spec of images (C, H, W), labelled where there are ``classes``."""
        label = ArraySpec("label", (), classes) if classes else None
        return cls(ArraySpec("image", shape, levels), label)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of x."""
        return self.x.shape

    @property
    def levels(self) -> int:
        """Levels of x."""
        return self.x.levels

    @property
    def dimensions(self) -> int:
        """D, the number of integers in x."""
        return self.x.dimensions

    @property
    def classes(self) -> int:
        """Number of classes where y is a label, else 0."""
        return self.y.levels if self.y is not None and self.y.kind == "label" else 0


class Batch(NamedTuple):
    """One minibatch, on the device.

    Attributes:
        x: uint8 (B, *x.shape).
        y: uint8 (B, *y.shape), int64 (B,) of labels, or None without a condition.
    """

    x: Tensor
    y: Tensor | None = None


class LogLikelihood(NamedTuple):
    """Log-likelihood of *discrete* arrays, of p(x | y) where a model honours y.

    Attributes:
        nats: log P(x) or log P(x | y) of each example, natural logarithm, (B,).
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
        """Examples that a ``training_step`` consumes."""


class GenerativeModel(nn.Module, ABC):
    """A model that trains on integer arrays and samples integer arrays.

    State lives in modules, buffers and optimizers; anything odd goes through ``get_extra_state``.
    The harness owns the loop, the device, precision, averaging of weights, and the data's order;
    it reseeds torch from (seed, step) before every ``training_step``.

    Attributes:
        Config: frozen dataclass of hyper-parameters, ``batch_size`` among them; its defaults are
            the recipe.
        makes: kinds of x that it generates.
        takes: kinds of y that it honours; a model that takes none ignores y.
        needs_condition: whether it cannot do without a y of those kinds.
        stages: names and fractions of the budget, in order; ``progress`` drives them.
        network: the module whose calls are the function evaluations of sampling; counted, and
            compiled if the benchmark asks.
        optimizers: by name; the harness saves and loads their state.
        period: training steps after which the kind of work repeats (``n_critic`` of a GAN), so that
            FLOPs can be counted over one whole period.
    """

    Config: ClassVar[type]
    makes: ClassVar[frozenset[str]] = frozenset({"image"})
    takes: ClassVar[frozenset[str]] = frozenset()
    needs_condition: ClassVar[bool] = False
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
        """Return why this model cannot run on ``spec``, or None if it can.

        A subclass speaks of its sizes alone: kinds are compared with ``makes`` and ``takes`` before
        it is asked.
        """
        return None

    @classmethod
    def refuses(cls, spec: DataSpec) -> str | None:
        """Return why this model is not run on ``spec``, by kind, condition or ``supports``."""
        if spec.x.kind not in cls.makes:
            return f"it makes {listed(cls.makes)}, and the data is {spec.x.kind}"
        if cls.needs_condition and not cls.is_conditional(spec):
            given = "none" if spec.y is None else spec.y.kind
            return f"it is conditioned on {listed(cls.takes)}, and the data's condition is {given}"
        return cls.supports(spec)

    @classmethod
    def is_conditional(cls, spec: DataSpec) -> bool:
        """Return whether it models p(x | y) on ``spec``: there is a y of a kind that it takes."""
        return spec.y is not None and spec.y.kind in cls.takes

    def condition(self, y: Tensor | None) -> Tensor | None:
        """Return y where this model is conditional on its data's, else None."""
        return y if self.is_conditional(self.spec) else None

    @abstractmethod
    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Learn from one batch, with all of its own zero_grad, backward and step.

        Args:
            batch: x, and y where the data has it, on the model's device; not to be changed.
            progress: fraction of the binding budget used, in [0, 1].

        Returns:
            Named scalar losses, detached or not; any that is not finite ends the trial.
        """

    @abstractmethod
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draw ``n`` examples, uint8 (n, *x.shape), with values in [0, levels).

        Args:
            n: how many.
            y: the conditions (n, ...) to draw them from, where ``is_conditional``; else None.
        """


class LatentVariableModel(GenerativeModel):
    """A model whose samples are decoded draws from a prior: x = decode(z), z ~ p(z)."""

    @abstractmethod
    def sample_prior(self, n: int) -> Tensor:
        """Draw ``n`` latent variables z from the prior, (n, ...), on the model's device."""

    @abstractmethod
    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Map latent variables, given y where ``is_conditional``, to uint8 (n, *x.shape)."""

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draw ``n`` latent variables from the prior and decode them, uint8 (n, *x.shape)."""
        z = self.sample_prior(n)
        return self.decode(z) if y is None else self.decode(z, y)


@runtime_checkable
class HasLikelihood(Protocol):
    """The model can score examples."""

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        """Return nats of the discrete uint8 x (B, *x.shape), given y where ``is_conditional``."""


@runtime_checkable
class HasLatent(Protocol):
    """The model maps a latent variable to images."""

    def sample_prior(self, n: int) -> Tensor:
        """Draw ``n`` latent variables from the prior, (n, ...)."""

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Map latent variables, given y where ``is_conditional``, to uint8 (n, *x.shape)."""


@runtime_checkable
class HasEncoder(Protocol):
    """The model maps images to latent variables."""

    def encode(self, images: Tensor) -> Tensor:
        """Map uint8 images (B, C, H, W) to latent variables (B, ...)."""


@runtime_checkable
class HasSteps(Protocol):
    """Quality of samples can be traded against function evaluations."""

    sampling_steps: int


def listed(kinds: Collection[str]) -> str:
    """Return kinds in words, for a reason."""
    return " or ".join(sorted(kinds))


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
