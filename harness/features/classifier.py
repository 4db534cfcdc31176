"""Frozen classifiers of small images: the features of digits, MNIST, Fashion-MNIST and CIFAR-10.

Each is one small CNN, trained once on the train split by ``scripts/train_classifiers.py``; its
weights ship with the package, so that a value means the same on every machine. Those with a number
differ from the first only in their seed: they show how much a figure depends on it.
"""

from __future__ import annotations

import hashlib
from typing import ClassVar, Self

from safetensors.torch import load
from torch import Tensor, nn

from harness.contract import DataSpec, to_symmetric
from harness.features.base import FeatureExtractor, Features
from harness.features.cards import WEIGHTS, cards
from harness.machine.precision import full_precision

CLASSES = 10
FEATURES = 64
WIDTHS = (32, 64, 64, 64)
_PREPROCESSING = "x = 2 i / (levels - 1) - 1, float32"


class ClassifierNetwork(nn.Module):
    """Four convolutions, then an embedding of d = 64 in which the classes are separated linearly.

    Images of 16 pixels and more are halved by the first convolution.

    Args:
        shape: (C, S, S), of the square images.
        widths: channels of the convolutions.
    """

    def __init__(self, shape: tuple[int, ...], widths: tuple[int, int, int, int] = WIDTHS) -> None:
        super().__init__()
        channels, _, size = shape
        stride = 2 if size >= 16 else 1
        grid = size // stride // 4
        self.trunk = nn.Sequential(
            *_convolution(channels, widths[0], kernel=5, stride=stride),
            *_convolution(widths[0], widths[1]),
            nn.MaxPool2d(2),
            *_convolution(widths[1], widths[2]),
            *_convolution(widths[2], widths[3]),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        # SiLU, not ReLU: no unit is constant, so the covariance of features keeps its rank.
        self.embedding = nn.Sequential(
            nn.Dropout(0.3), nn.Linear(widths[3] * grid * grid, FEATURES), nn.SiLU()
        )
        self.head = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> Features:
        """Map images in [-1, 1], (B, C, S, S), to features (B, 64) and logits (B, 10)."""
        vectors = self.embedding(self.trunk(x))
        return Features(vectors, self.head(vectors))


def _convolution(
    channels: int, out: int, *, kernel: int = 3, stride: int = 1
) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(out), nn.ReLU()


class Classifier(FeatureExtractor):
    """Features and logits of a frozen classifier, always in eval mode and full float32.

    Attributes:
        data: name of the data set it was trained on.
        weights: name of its weights: that of the data set, with a number for a further seed.
        trained_on: the only spec it measures.

    Raises:
        ValueError: on images of another kind.
        DamagedWeights: if the weights are not those that were committed.
    """

    data: ClassVar[str]
    weights: ClassVar[str]
    trained_on: ClassVar[DataSpec]
    dimensions = FEATURES
    classes = CLASSES

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        if reason := self.supports(spec):
            raise ValueError(reason)
        card = cards()[self.weights]
        self.network = ClassifierNetwork(spec.shape, tuple(card["recipe"]["widths"]))
        self.network.load_state_dict(read_weights(self.weights))
        self.eval().requires_grad_(False)
        identity = f"{_PREPROCESSING}; levels {spec.levels}; weights {card['sha256']}"
        self.digest = hashlib.sha256(identity.encode()).hexdigest()

    @classmethod
    def supports(cls, spec: DataSpec) -> str | None:
        """Return why images of ``spec`` cannot be measured, or None if they can."""
        expected = cls.trained_on
        if (spec.shape, spec.levels) == (expected.shape, expected.levels):
            return None
        return (
            f"the {cls.data} classifier measures images {_describe(expected)}, "
            f"not {_describe(spec)}; the features 'pixels' measure any"
        )

    @classmethod
    def unusable(cls) -> str | None:
        """Return what is wrong with the weights, or None."""
        try:
            read_weights(cls.weights)
        except DamagedWeights as error:
            return str(error)
        return None

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode: the network is frozen."""
        return super().train(False)

    def forward(self, images: Tensor) -> Features:
        """Extract features (B, 64) and logits (B, 10) of uint8 images (B, C, H, W)."""
        with full_precision(images.device):
            features: Features = self.network(to_symmetric(images, self.spec.levels))
        return features


class DigitsClassifier(Classifier):
    """The classifier of scikit-learn's digits."""

    data = weights = "digits"
    trained_on = DataSpec.images((1, 8, 8), levels=17, classes=10)


class DigitsClassifier2(DigitsClassifier):
    """The same with a second seed."""

    weights = "digits-2"


class DigitsClassifier3(DigitsClassifier):
    """The same with a third seed."""

    weights = "digits-3"


class MNISTClassifier(Classifier):
    """The classifier of MNIST."""

    data = weights = "mnist"
    trained_on = DataSpec.images((1, 28, 28), levels=256, classes=10)


class MNISTClassifier2(MNISTClassifier):
    """The same with a second seed."""

    weights = "mnist-2"


class MNISTClassifier3(MNISTClassifier):
    """The same with a third seed."""

    weights = "mnist-3"


class FashionMNISTClassifier(Classifier):
    """The classifier of Fashion-MNIST."""

    data = weights = "fashion-mnist"
    trained_on = DataSpec.images((1, 28, 28), levels=256, classes=10)


class FashionMNISTClassifier2(FashionMNISTClassifier):
    """The same with a second seed."""

    weights = "fashion-mnist-2"


class FashionMNISTClassifier3(FashionMNISTClassifier):
    """The same with a third seed."""

    weights = "fashion-mnist-3"


class CIFAR10JPEGClassifier(Classifier):
    """The classifier of CIFAR-10 (JPEG q75)."""

    data = weights = "cifar10-jpeg"
    trained_on = DataSpec.images((3, 32, 32), levels=256, classes=10)


class CIFAR10JPEGClassifier2(CIFAR10JPEGClassifier):
    """The same with a second seed."""

    weights = "cifar10-jpeg-2"


class CIFAR10JPEGClassifier3(CIFAR10JPEGClassifier):
    """The same with a third seed."""

    weights = "cifar10-jpeg-3"


class DamagedWeights(ValueError):
    """A weights file differs from the committed one."""


def read_weights(name: str) -> dict[str, Tensor]:
    """Read the weights of one classifier and check their hash.

    Raises:
        DamagedWeights: naming the file, if it is missing or not the one that was committed.
    """
    path = WEIGHTS / f"{name}.safetensors"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedWeights(f"cannot read the weights {path}: {error}") from error
    expected, found = cards()[name]["sha256"], hashlib.sha256(content).hexdigest()
    if found != expected:
        raise DamagedWeights(
            f"the weights {path} are damaged: SHA-256 {found}, expected {expected}; "
            "install genharness again"
        )
    return load(content)


def _describe(spec: DataSpec) -> str:
    return f"{'x'.join(map(str, spec.shape))} with {spec.levels} levels"
