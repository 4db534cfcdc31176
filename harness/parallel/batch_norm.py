"""Batch normalisation by the moments of the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def synchronise(model: nn.Module, count: int, sharing: Callable[[], bool]) -> None:
    """Make every batch normalisation of a model use the moments over all devices.

    ``torch.nn.SyncBatchNorm`` refuses tensors on a CPU and cannot be differentiated twice, as
    gradient penalties ask for.

    Args:
        model: its layers keep their parameters, buffers and names.
        count: of devices, each with as many images.
        sharing: whether each device has a part of the batch at this moment.
    """
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            together = partial(_forward, module, type(module).forward, count, sharing)
            module.forward = together  # type: ignore[method-assign]


def _forward(
    layer: _BatchNorm,
    alone: Callable[[_BatchNorm, Tensor], Tensor],
    count: int,
    sharing: Callable[[], bool],
    x: Tensor,
) -> Tensor:
    """Return (x - m) / sqrt(v + eps) weight + bias, with m and v over the batch of all devices."""
    if not (layer.training and sharing()):
        return alone(layer, x)
    others = [dim for dim in range(x.ndim) if dim != 1]
    shape = (1, -1) + (1,) * (x.ndim - 2)
    wide = x.float()
    mean = _mean_over_devices(wide.mean(others))
    centred = wide - mean.view(shape)
    # A second pass: E[x^2] - E[x]^2 would cancel.
    variance = _mean_over_devices(centred.square().mean(others))
    _track(layer, mean.detach(), variance.detach(), count * x.numel() // x.shape[1])
    scale = (variance + layer.eps).rsqrt().view(shape)
    y = centred * scale
    if layer.affine:
        y = y * layer.weight.view(shape) + layer.bias.view(shape)
    return y.to(x.dtype)


class _MeanOverDevices(torch.autograd.Function):
    """The mean of a tensor over the devices: linear and its own adjoint, so its own gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total / dist.get_world_size()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _mean_over_devices(gradient)


def _mean_over_devices(x: Tensor) -> Tensor:
    mean: Tensor = _MeanOverDevices.apply(x)
    return mean


@torch.no_grad()
def _track(layer: _BatchNorm, mean: Tensor, variance: Tensor, n: int) -> None:
    """Let the running statistics follow the moments of ``n`` values, the variance unbiased."""
    if layer.running_mean is None or layer.running_var is None:
        return
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked += 1
    weight = 1 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    layer.running_mean.lerp_(mean, weight)
    layer.running_var.lerp_(variance * (n / (n - 1)), weight)
