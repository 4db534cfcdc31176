"""How often the sides of an image are halved, by the kind of network that halves them."""

from __future__ import annotations

SMALLEST = 4
"""Pixels a side below which nothing is halved without need."""


def even_halvings(height: int, width: int, *, at_least: int = 0) -> int:
    """Return how often both sides halve without a remainder, and stay at least ``SMALLEST``.

    8x8 does so once (4), 28x28 twice (14, 7), 32x32 three times, 2x2 never.

    Args:
        height: in pixels.
        width: in pixels.
        at_least: halvings that are made, where they leave no remainder, whatever the sides become.
    """
    count = 0
    while height % 2 == width % 2 == 0 and (count < at_least or min(height, width) >= 2 * SMALLEST):
        height, width, count = height // 2, width // 2, count + 1
    return count


def generator_halvings(shape: tuple[int, ...]) -> int:
    """Return how often a generator doubles its seed grid to reach (C, H, W).

    Evenly down to four pixels, and twice where that leaves no remainder: 32 -> 4, 28 -> 7, 8 -> 2.
    """
    _, height, width = shape
    return even_halvings(height, width, at_least=2)


def pyramid(height: int, width: int) -> list[tuple[int, int]]:
    """Return the sizes from (height, width) down, halved until no side exceeds ``SMALLEST``.

    Odd sides are rounded up: 28x28 gives 28, 14, 7, 4.
    """
    sizes = [(height, width)]
    while max(sizes[-1]) > SMALLEST:
        sizes.append(_half(*sizes[-1]))
    return sizes


def unet_levels(height: int, width: int) -> list[tuple[int, int]]:
    """Return the sizes of a U-Net's levels, halved while both sides stay at least ``SMALLEST``.

    Odd sides are rounded up: 32 -> 16 -> 8 -> 4, 28 -> 14 -> 7, 8 -> 4; 7 stays as it is.
    """
    sizes = [(height, width)]
    while min(sizes[-1]) >= 2 * SMALLEST:
        sizes.append(_half(*sizes[-1]))
    return sizes


def _half(height: int, width: int) -> tuple[int, int]:
    return (height + 1) // 2, (width + 1) // 2
