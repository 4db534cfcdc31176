"""Batch normalisation with the moments of the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def synchronise(
    model: nn.Module, count: int, average: Callable[[Tensor], None], sharing: Callable[[], bool]
) -> None:
    """Make every batch normalisation of a model use the moments over all devices.

    ``torch.nn.SyncBatchNorm`` refuses tensors on a CPU and cannot be differentiated twice, as
    gradient penalties ask for.

    Args:
        model: its layers keep their parameters, buffers and names.
        count: of devices, each with as many images.
        average: replaces a tensor by its mean over the devices.
        sharing: whether each device currently has a part of the batch.
    """
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            alone = partial(type(module).forward, module)
            together = partial(_normalise, module, count, average)
            module.forward = partial(_either, module, alone, together, sharing)  # type: ignore[method-assign]


def _either(
    layer: nn.Module,
    alone: Callable[[Tensor], Tensor],
    together: Callable[[Tensor], Tensor],
    sharing: Callable[[], bool],
    x: Tensor,
) -> Tensor:
    return together(x) if layer.training and sharing() else alone(x)


def _normalise(
    layer: _BatchNorm, count: int, average: Callable[[Tensor], None], x: Tensor
) -> Tensor:
    """Return (x - m) / sqrt(v + eps) weight + bias, with m and v over the batch of all devices."""
    others = [dim for dim in range(x.ndim) if dim != 1]
    shape = (1, -1) + (1,) * (x.ndim - 2)
    wide = x.float()
    mean = _mean_over_devices(wide.mean(others), average)
    centred = wide - mean.view(shape)
    # A second pass: E[x^2] - E[x]^2 would cancel.
    variance = _mean_over_devices(centred.square().mean(others), average)
    _track(layer, mean.detach(), variance.detach(), count * x.numel() // x.shape[1])
    scale = (variance + layer.eps).rsqrt().view(shape)
    y = centred * scale
    if layer.affine:
        y = y * layer.weight.view(shape) + layer.bias.view(shape)
    return y.to(x.dtype)


class _MeanOverDevices(torch.autograd.Function):
    """The mean of a tensor over the devices: linear and its own adjoint, so its own gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, average: Callable[[Tensor], None]) -> Tensor:
        ctx.average = average
        mean = x.clone()
        average(mean)
        return mean

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _mean_over_devices(gradient, ctx.average), None


def _mean_over_devices(x: Tensor, average: Callable[[Tensor], None]) -> Tensor:
    mean: Tensor = _MeanOverDevices.apply(x, average)
    return mean


@torch.no_grad()
def _track(layer: _BatchNorm, mean: Tensor, variance: Tensor, n: int) -> None:
    """Update the running statistics with the moments of ``n`` values, the variance unbiased."""
    if layer.running_mean is None or layer.running_var is None:
        return
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked += 1
    weight = 1 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    layer.running_mean.lerp_(mean, weight)
    layer.running_var.lerp_(variance * (n / (n - 1)), weight)
