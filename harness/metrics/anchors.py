"""Trivial models of images: baselines for bits/dim without learning.

Two are probabilities, counted on the train split and honest on every image::

    P(x) = prod over d of P(x_d | c_d),    P(i | c) = (n(c, i) + 1) / (n(c) + levels)

where n counts sub-pixels of the train split with value i in context c, and the added ones are
Laplace's, so that nothing is impossible. The context c_d is the position d, or the two pixels that
precede d in raster order. Two are lossless compressors: by Kraft's inequality sum_x 2^-l(x) <= 1,
so a code of l(x) bits stands for a probability of at least 2^-l(x): its length is an upper bound.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]

BINS = 16
CHUNK = 1000


class Contexts(NamedTuple):
    """The context of every sub-pixel, integers in [0, size) in the images' shape (N, C, H, W)."""

    number: NDArray[np.int64]
    size: int


def position(images: Images, levels: int) -> Contexts:
    """Return the position d of each sub-pixel: the model is a histogram per pixel."""
    d = images[0].size
    where = np.arange(d).reshape(images.shape[1:])
    return Contexts(np.broadcast_to(where, images.shape), d)


def neighbours(images: Images, levels: int) -> Contexts:
    """Return the channel, and the left and the upper neighbour within it, each in 16 equal bins.

    A neighbour i is in bin floor(16 i / levels); outside the image, i = 0. With all 256 levels for
    themselves most contexts would be too rare to have been counted.
    """
    bins = min(BINS, levels)
    z = images.astype(np.int64) * bins // levels
    left, upper = np.zeros_like(z), np.zeros_like(z)
    left[..., 1:] = z[..., :-1]
    upper[..., 1:, :] = z[..., :-1, :]
    channels = images.shape[1]
    channel = np.arange(channels).reshape(-1, 1, 1)
    return Contexts((channel * bins + left) * bins + upper, channels * bins**2)


class ContextCounts:
    """P(x_d | c_d) from counts with Laplace's rule of succession.

    Args:
        train: uint8 (N, C, H, W), what is counted.
        levels: images are integers in [0, levels).
        context: of every sub-pixel; may depend on those before it in raster order alone.
    """

    def __init__(
        self, train: Images, levels: int, context: Callable[[Images, int], Contexts]
    ) -> None:
        self.levels = levels
        self.context = context
        size = context(train[:1], levels).size
        counts = np.ones(size * levels)
        for cells in map(self._cells, _chunks(train)):
            counts += np.bincount(cells.ravel(), minlength=size * levels)
        table = counts.reshape(size, levels)
        self.log_p = np.log(table / table.sum(axis=1, keepdims=True)).ravel()

    def log_likelihood(self, images: Images) -> NDArray[np.float64]:
        """Return log P(x) of each of the images (N, C, H, W), in nats, (N,)."""
        parts = [
            self.log_p[self._cells(chunk)].reshape(len(chunk), -1).sum(axis=1)
            for chunk in _chunks(images)
        ]
        return np.concatenate(parts)

    def _cells(self, images: Images) -> NDArray[np.int64]:
        """Return where in the flat table each sub-pixel's context and value are."""
        return self.context(images, self.levels).number * self.levels + images


def _chunks(images: Images) -> Iterator[Images]:
    return (images[start : start + CHUNK] for start in range(0, len(images), CHUNK))


COUNTED: Mapping[str, Callable[[Images, int], Contexts]] = MappingProxyType(
    {"histogram": position, "neighbours": neighbours}
)
"""Contexts of the counted models, by name."""

COMPRESSORS: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType(
    {"zlib": partial(zlib.compress, level=9), "lzma": lzma.compress}
)
"""Lossless compressors by name, each at its strongest practical setting."""


def code_length(images: Images, compressor: str) -> float:
    """Return the bits per sub-pixel of all ``images`` compressed as one stream of bytes.

    The stream is (N, C, H, W) in C order, one byte per sub-pixel. The compressor learns nothing
    from the train split, but adapts to the images before the one that it is at.
    """
    return 8 * len(COMPRESSORS[compressor](images.tobytes())) / images.size
