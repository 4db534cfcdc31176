"""Detection of non-finite losses, weights, averaged weights and buffers in training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from harness.training.averaging import WeightAverage


class Diverged(Exception):
    """Losses, weights, their average or buffers are no longer finite."""


class DivergenceWatch:
    """Detects non-finite values without synchronising with the device at every step.

    The average of weights and running statistics keeps a NaN or an infinity that was there for a
    single step. Of the other buffers, those that a step has changed add their norm to a sum on the
    device, which is NaN as soon as one of their entries was, and never otherwise. All of it is read
    at the end of a window. Infinity is no fault of such a buffer (a mask, the range of an
    observer), nor are entries that were not finite when a tensor was first seen.
    """

    def __init__(self, average: WeightAverage) -> None:
        self._average = average
        self._seen: dict[str, tuple[Tensor, int]] = {}
        self._sums: dict[str, Tensor] = {}
        self._unset: set[str] = set()
        self.look()
        self._unset = _nan(self._sums)
        self._sums.clear()

    @torch.no_grad()
    def look(self) -> None:
        """Accumulate the buffers that changed since the last call."""
        changed = {}
        for name, buffer in self._average.others.items():
            version = -1 if buffer.is_inference() else buffer._version
            known = self._seen.get(name)
            if known is None or known[0] is not buffer or known[1] != version or version < 0:
                self._seen[name] = buffer, version
                if name not in self._unset:
                    changed[name] = buffer
        norms = _norms(changed)
        again = [name for name in norms if name in self._sums]
        if again:
            sums = [self._sums[name] for name in again]
            torch._foreach_add_(sums, [norms.pop(name) for name in again])
        self._sums |= norms

    @torch.no_grad()
    def refuse(self, losses: Mapping[str, float], batches: int) -> None:
        """Raise ``Diverged`` if a loss, or a tensor since the last time, is not finite.

        Args:
            losses: means over the window.
            batches: calls of ``training_step`` so far, for the message.
        """
        when = f"after {batches} batches"
        for name, mean in losses.items():
            if not math.isfinite(mean):
                raise Diverged(f"loss {name!r} is {mean} {when}")
        if names := self._not_finite(self._average.live):
            raise Diverged(f"weights are not finite {when}: {_listed(names)}")
        if names := self._not_finite(self._average.state_dict()):
            raise Diverged(f"weights were not finite for a step, {when}: {_listed(names)}")
        # Once more: a change through ``.data`` leaves no trace in a tensor's version.
        now = _nan(_norms(self._average.others))
        if names := _nan(self._sums) | (now - self._unset):
            raise Diverged(f"buffers are or were NaN, {when}: {_listed(names)}")
        self._unset &= now

    def _not_finite(self, tensors: Mapping[str, Tensor]) -> set[str]:
        constants = self._average.constants
        norms = _norms({name: t for name, t in tensors.items() if name not in constants})
        return {name for name, norm in _read(norms).items() if not math.isfinite(norm)} | {
            name
            for name, mask in constants.items()
            if not bool((tensors[name].isfinite() | mask).all())
        }


def _norms(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the largest magnitude of each tensor: NaN if it holds NaN, infinite if infinity."""
    known = {
        # There is no arithmetic in 8 bits.
        name: tensor.detach() if tensor.itemsize > 1 else tensor.detach().float()
        for name, tensor in tensors.items()
        if tensor.numel()
    }
    norms = torch._foreach_norm(list(known.values()), math.inf) if known else ()
    return dict(zip(known, norms, strict=True))


def _nan(norms: Mapping[str, Tensor]) -> set[str]:
    return {name for name, norm in _read(norms).items() if math.isnan(norm)}


def _read(norms: Mapping[str, Tensor]) -> dict[str, float]:
    """Copy numbers from a device with a single synchronisation."""
    if not norms:
        return {}
    device = next(iter(norms.values())).device
    together = torch.stack([norm.to(device, torch.float64) for norm in norms.values()])
    return dict(zip(norms, together.tolist(), strict=True))


def _listed(names: Iterable[str]) -> str:
    first, *more = sorted(names)
    return repr(first) + (f" and {len(more)} more" if more else "")
