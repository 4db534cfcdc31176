"""Affine couplings, their masks and their networks (Dinh et al., 2017, arXiv:1605.08803)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from harness_flow.bijection import Bijection
from harness_nets.residual import ResidualBlock, zero


def checkerboard_mask(shape: tuple[int, ...], parity: int) -> Tensor:
    """Return b, bool (C, H, W): true where row + column + parity is even (figure 3, left)."""
    channels, height, width = shape
    places = torch.arange(height)[:, None] + torch.arange(width)[None, :] + parity
    return (places % 2 == 0).expand(channels, height, width).clone()


def channel_mask(shape: tuple[int, ...], parity: int) -> Tensor:
    """Return b, bool (C, H, W): true on the first half of the channels; the second if odd."""
    first = torch.arange(shape[0]) < shape[0] // 2
    kept = first if parity % 2 == 0 else ~first
    return kept[:, None, None].expand(shape).clone()


class CouplingNetwork(nn.Module):
    """Residual network for the scale and shift of a coupling; starts at zero.

    Args:
        channels: of the images, C.
        width: hidden channels.
        blocks: residual blocks.
    """

    def __init__(self, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        last = zero(nn.Conv2d(width, 2 * channels, 3, padding=1))
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            *(ResidualBlock(width) for _ in range(blocks)),
            nn.SiLU(),
            last,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, 2C, H, W)."""
        return self.layers(x)


class AffineCoupling(Bijection):
    """Scale and shift some sub-pixels by what the others say.

        z = b x + (1 - b) (x exp(s(b x)) + t(b x)),   log |det dz/dx| = sum (1 - b) s(b x)

    with s = g tanh(raw) and a learned g for each channel (equations 7 to 9 and section 4.1).

    Args:
        mask: b, bool (C, H, W); true keeps a sub-pixel.
        network: maps b x, (B, C, H, W), and the condition if there is one, to raw and t,
            (B, 2C, H, W).
    """

    keep: Tensor

    def __init__(self, mask: Tensor, network: nn.Module) -> None:
        super().__init__()
        self.register_buffer("keep", mask, persistent=False)
        self.network = network
        self.gain = nn.Parameter(torch.ones(len(mask), 1, 1))

    def _scale_and_shift(self, kept: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return s and t, zero where the mask keeps, in the precision of the images."""
        given = () if condition is None else (condition,)
        raw, shift = self.network(kept, *given).to(kept.dtype).chunk(2, 1)
        change = ~self.keep
        return change * self.gain * raw.tanh(), change * shift

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return x = b z + (1 - b) (z - t) exp(-s), (B, C, H, W)."""
        log_scale, shift = self._scale_and_shift(self.keep * z, condition)
        return (z - shift) * (-log_scale).exp()

    def inverse(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z (B, C, H, W) and the sum of s, (B,)."""
        log_scale, shift = self._scale_and_shift(self.keep * x, condition)
        return x * log_scale.exp() + shift, log_scale.flatten(1).sum(1)
