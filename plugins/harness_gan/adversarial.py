"""What the adversarial models share: a generator's sizes, and sampling by decoding the prior."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from harness.contract import DataSpec, GenerativeModel, from_symmetric

LARGEST_SEED_GRID = 16


def halvings(shape: tuple[int, ...]) -> int:
    """Return how often the generator doubles its seed grid to reach (C, H, W).

    Sides halve evenly down to four pixels, and twice where they can: 32 -> 4, 28 -> 7, 8 -> 2.
    """
    _, height, width = shape
    count = 0
    while height % 2 == width % 2 == 0 and (count < 2 or min(height, width) >= 8):
        height, width, count = height // 2, width // 2, count + 1
    return count


class AdversarialModel(GenerativeModel):
    """A generator ``network`` from latent variables to images in [-1, 1]."""

    @classmethod
    def supports(cls, spec: DataSpec) -> str | None:
        """Refuse sides whose smallest even half is too large to start a generator from."""
        factor = 2 ** halvings(spec.shape)
        height, width = (side // factor for side in spec.shape[1:])
        if max(height, width) > LARGEST_SEED_GRID:
            return (
                f"images of {spec.shape[1]}x{spec.shape[2]} halve evenly down to {height}x{width} "
                f"only; the generator starts from at most {LARGEST_SEED_GRID} pixels a side"
            )
        return None

    @abstractmethod
    def latent(self, n: int) -> Tensor:
        """Draw ``n`` latent variables from the prior, (n, d)."""

    def decode(self, z: Tensor) -> Tensor:
        """Map latent variables (n, d) to uint8 images (n, C, H, W)."""
        return from_symmetric(self.network(z), self.spec.levels)

    def sample(self, n: int, labels: Tensor | None = None) -> Tensor:
        """Draw ``n`` images, uint8 (n, C, H, W), with values in [0, levels)."""
        return self.decode(self.latent(n))
