"""The exponential moving average of weights that every model is measured with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

RAMP = 0.05
"""The half-life never exceeds this fraction of the images seen."""

STATISTICS = frozenset({"running_mean", "running_var"})
"""Buffers that are averaged: the statistics of activations, as torch's layers name them."""


class WeightAverage:
    """Averages the parameters of a model with a half-life in images.

    w_avg <- beta w_avg + (1 - beta) w with beta = 2^(-B / h) and h = min(H, 0.05 images seen)
    (Karras et al., 2022, arXiv:2206.00364), so that one rule serves every batch size and budget.

    All floating-point and complex parameters are averaged, in float32 or better whatever their own
    type, and so are the running statistics of normalisation, which belong to the weights that they
    were taken under. Every other buffer is taken as it is: masks, schedules, counters, ranges of
    observers, vectors of spectral normalisation and queues do not mean anything on average.
    Entries that are not finite when a tensor is first seen stay as they are for as long.

    Tensors are looked up anew at every step, so that parameters and buffers which a model replaces
    or adds are followed from that step on.
    """

    def __init__(self, model: nn.Module, half_life: float) -> None:
        self.half_life = half_life
        self._model = model
        self._registered: list[Tensor | None] = []
        self._live: dict[str, Tensor] = {}
        self._averaged: dict[str, Tensor] = {}
        self._constants: dict[str, Tensor] = {}
        self._others: dict[str, Tensor] = {}
        self._loaded: dict[str, Tensor] = {}
        self._groups: list[tuple[list[Tensor], list[Tensor]]] = []
        self._look()

    @property
    def live(self) -> Mapping[str, Tensor]:
        """The tensors of the model that are averaged, by name."""
        return self._live

    @property
    def others(self) -> Mapping[str, Tensor]:
        """The floating-point and complex buffers that are taken as they are, by name."""
        return self._others

    @property
    def constants(self) -> Mapping[str, Tensor]:
        """Of tensors that were not finite when first seen: the mask of those entries, by name."""
        return self._constants

    @torch.no_grad()
    def update(self, batch: int, images_seen: int) -> None:
        """Update after a step on ``batch`` images; ``images_seen`` includes them."""
        self._look()
        half_life = min(self.half_life, RAMP * images_seen)
        weight = 1 - 0.5 ** (batch / half_life)
        for averaged, live in self._groups:
            wide = averaged[0].dtype
            ends = live if live[0].dtype == wide else [tensor.to(wide) for tensor in live]
            torch._foreach_lerp_(averaged, ends, weight)
        for name, mask in self._constants.items():
            average = self._averaged[name]
            end = self._live[name].to(average.dtype)
            as_it_is = mask & ~average.isfinite()
            average.copy_(torch.where(as_it_is, end, average.lerp(end, weight)))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averaged weights into the model, and the live ones back at the end.

        Meanwhile the state holds the live weights. Values are exchanged in place, so that whatever
        shares the memory of a parameter has the average too.
        """
        self._look()
        averaged = {name: tensor.clone() for name, tensor in self._averaged.items()}
        live = dict(self._live)
        for name, tensor in live.items():
            self._averaged[name].copy_(tensor.detach())
        for name, tensor in live.items():
            tensor.data.copy_(averaged[name])
        try:
            yield
        finally:
            for name, tensor in live.items():
                tensor.data.copy_(self._averaged[name])
                self._averaged[name].copy_(averaged[name])

    def state_dict(self) -> dict[str, Tensor]:
        """Return the averaged tensors by name."""
        return dict(self._averaged)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Load averaged tensors; those of tensors that do not exist yet are kept for them."""
        self._look()
        self._loaded = {name: tensor for name, tensor in state.items() if name not in self._live}
        for name, averaged in self._averaged.items():
            averaged.copy_(state[name])

    def _look(self) -> None:
        """Look up which tensors the model has now."""
        registered = _registered(self._model)
        if len(registered) == len(self._registered) and all(
            map(_same, registered, self._registered)
        ):
            return
        self._registered = registered
        self._live, self._others = _by_rule(self._model)
        self._averaged = {name: self._start(name, tensor) for name, tensor in self._live.items()}
        self._constants = {n: mask for n, mask in self._constants.items() if n in self._live}
        groups: dict[object, tuple[list[Tensor], list[Tensor]]] = {}
        for name, tensor in self._live.items():
            if name not in self._constants:
                pair = groups.setdefault((tensor.dtype, tensor.device), ([], []))
                pair[0].append(self._averaged[name])
                pair[1].append(tensor)
        self._groups = list(groups.values())

    def _start(self, name: str, tensor: Tensor) -> Tensor:
        """Return the average under a name; a new one starts at the tensor's value."""
        known = self._averaged.get(name)
        if known is not None and known.shape == tensor.shape and known.dtype == _wide(tensor):
            return known
        begun = tensor.detach().to(_wide(tensor), copy=True)
        self._constants.pop(name, None)
        odd = ~begun.isfinite()
        if odd.any():
            self._constants[name] = odd
        loaded = self._loaded.pop(name, None)
        return begun if loaded is None else begun.copy_(loaded)


def _registered(model: nn.Module) -> list[Tensor | None]:
    """Return all parameters and buffers, some perhaps twice: quicker than torch's own iterators."""
    found: list[Tensor | None] = []
    modules, seen = [model], {model}
    for module in modules:
        found += module._parameters.values()
        found += module._buffers.values()
        for child in module._modules.values():
            if child is not None and child not in seen:
                seen.add(child)
                modules.append(child)
    return found


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is other


def _by_rule(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the tensors that are averaged, and the other ones of real or complex numbers."""
    averaged: dict[str, Tensor] = {}
    others: dict[str, Tensor] = {}
    averaged |= {name: p for name, p in model.named_parameters() if _is_continuous(p)}
    for name, buffer in model.named_buffers():
        if _is_continuous(buffer):
            chosen = averaged if name.rpartition(".")[2] in STATISTICS else others
            chosen[name] = buffer
    return averaged, others


def _is_continuous(tensor: Tensor) -> bool:
    of_numbers = tensor.is_floating_point() or tensor.is_complex()
    return of_numbers and tensor.layout == torch.strided


def _wide(tensor: Tensor) -> torch.dtype:
    """Return the type to average in: float32 or better, in which small steps do not vanish."""
    if tensor.is_complex():
        return torch.promote_types(tensor.dtype, torch.complex64)
    return torch.float32 if tensor.itemsize < 4 else tensor.dtype
