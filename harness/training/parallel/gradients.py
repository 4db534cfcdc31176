"""Gradients averaged over the devices of a trial, whatever the model does with them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn


class GradientAverage:
    """Averages every gradient that a ``backward`` accumulates, before ``backward`` returns.

    So gradients are those of the whole batch when the model clips them or steps, with any number of
    networks, optimizers, and calls of ``backward``. ``DistributedDataParallel`` uses the same two
    hooks of autograd, but supports one ``backward`` after each call of its ``forward``, and does
    not average gradients of a second one. A model of the contract has several networks, calls other
    methods of theirs (``inverse`` of a flow), and does its own ``backward``, sometimes twice after
    one ``forward``, sometimes for some ``inputs`` alone.

    Averaging is linear, so gradients that accumulate over several calls come out right as well.

    Args:
        model: whose gradients are averaged.
        average: replaces a tensor by its mean over the devices.
    """

    def __init__(self, model: nn.Module, average: Callable[[Tensor], None]) -> None:
        self._mean = average
        self._parameters = list(model.parameters())
        self._ready: list[int] = []
        for index, parameter in enumerate(self._parameters):
            # A parameter that is frozen now may be trained in a later stage.
            learns = parameter.requires_grad
            live: Any = parameter.requires_grad_(True)
            live.register_post_accumulate_grad_hook(self._hook(index))
            parameter.requires_grad_(learns)

    def _hook(self, index: int) -> Any:
        def accumulated(_: Tensor) -> None:
            if not self._ready:
                engine: Any = torch.autograd.Variable._execution_engine
                engine.queue_callback(self._average)
            self._ready.append(index)

        return accumulated

    @torch.no_grad()
    def _average(self) -> None:
        # The order of the model, which is the same in every process.
        gradients = [self._parameters[i].grad for i in sorted(self._ready)]
        self._ready.clear()
        for _, group in groupby(gradients, key=lambda g: g.dtype if g is not None else None):
            self._average_together([gradient for gradient in group if gradient is not None])

    def _average_together(self, tensors: list[Tensor]) -> None:
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self._mean(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))
