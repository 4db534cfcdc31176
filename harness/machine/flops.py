"""Floating-point operations, counted as operators are dispatched.

The convention of the field: matrix products, convolutions, attention and recurrent layers count,
a multiply-add is two operations, and work that is linear in the number of elements (element-wise
functions, reductions, normalisation, pooling, random numbers, the optimizer) is free. What is
executed counts: recomputation too, and the products that a double backward makes.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.backends import mha
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten


class FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the FLOPs of everything that runs inside, forward, backward and double backward.

    An operator with a formula is counted by it; one without is decomposed into operators that may
    have one. What is left is free if its work is linear in its elements, and otherwise
    ``uncounted``: products, convolutions, attention, recurrences, Fourier transforms,
    factorisations, pairwise distances, scans and interpolating samplers without a formula, and
    every operator from outside torch.

    Without gradients, torch fuses a transformer's layer into one operator (its fast path). Inside
    that is switched off, so that the layer's products count one by one.

    Attributes:
        total: FLOPs so far.
        uncounted: calls of operators that do arithmetic and have no formula, by name.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0.0
        self.uncounted: Counter[str] = Counter()
        self._fast_paths: list[bool] = []

    def __enter__(self) -> Self:
        """Begin counting; a counter is reentrant."""
        self._fast_paths.append(mha.get_fastpath_enabled())
        mha.set_fastpath_enabled(False)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        """Pause counting, and put the fast path back as it was."""
        mha.set_fastpath_enabled(self._fast_paths.pop())
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Count one operator and run it."""
        kwargs = kwargs or {}
        formula = _formula(func)
        if formula is None and isinstance(func, torch._ops.OpOverload):
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=result)
        elif _does_arithmetic(func):
            self.uncounted[str(getattr(func, "overloadpacket", func))] += 1
        return result


def _formula(func: Any) -> Callable[..., float] | None:
    """Return the formula of an operator; ``addmm_`` has that of ``addmm``."""
    if not isinstance(func, torch._ops.OpOverload):
        return _FORMULAS.get(func)
    packet = func.overloadpacket
    if packet in _FORMULAS or func.namespace != "aten":
        return _FORMULAS.get(packet)
    functional = packet.__name__.removesuffix("_")
    return _FORMULAS.get(getattr(aten, functional, None))


_ARITHMETIC = re.compile(
    r"mm(_|$)|linear(_backward)?$|conv|attention|transformer|rnn|(^|_)(lstm|gru)(_|$)"
    r"|fft|linalg|cholesky|geqrf|ormqr|triangular_solve|_compute_linear_combination|spsolve"
    r"|dist_(forward|backward)|euclidean_dist|cumsum|cumprod|logcumsumexp"
    r"|grid_sampler|embedding_bag|ctc_loss"
)
_LINEAR = re.compile(
    r"linalg_(vector_norm|cross|diagonal|check_errors)|_fused_(lstm|gru)_cell|conver|flatten_weight"
)


def _does_arithmetic(func: Any) -> bool:
    """Return whether an operator without a formula does more than linear work."""
    if not isinstance(func, torch._ops.OpOverload):
        return True
    if func.namespace != "aten":
        return func.namespace not in ("prim", "prims", "profiler")
    name = func.overloadpacket.__name__
    return bool(_ARITHMETIC.search(name)) and not _LINEAR.search(name)


def _convolution_backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    bias_sizes: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    output_mask: Sequence[bool],
    **_: Any,
) -> float:
    """Each of the two gradients costs what the forward convolution did, with any groups."""
    forward = 2.0 * len(x) * weight.numel() * math.prod((x if transposed else gradient).shape[2:])
    return forward * sum(output_mask[:2])


def _matrix_vector(matrix: Tensor, vector: Tensor, **_: Any) -> float:
    return 2.0 * matrix.numel()


def _add_matrix_vector(bias: Tensor, matrix: Tensor, vector: Tensor, **_: Any) -> float:
    return 2.0 * matrix.numel()


def _inner_product(a: Tensor, b: Tensor, **_: Any) -> float:
    return 2.0 * a.numel()


def _add_matrix_products(bias: Tensor, a: Tensor, b: Tensor, *_args: Any, **_: Any) -> float:
    return 2.0 * a.numel() * b.shape[-1]


def _recurrent(x: Tensor, weights: Sequence[Tensor]) -> float:
    """Every weight matrix meets every token once; packed sequences are (tokens, features)."""
    tokens = math.prod(x.shape[:-1])
    return 2.0 * tokens * sum(weight.numel() for weight in weights if weight.ndim == 2)


def _mkldnn_rnn(x: Tensor, from_input: Tensor, from_hidden: Tensor, *_args: Any, **_: Any) -> float:
    return _recurrent(x, (from_input, from_hidden))


def _mkldnn_rnn_backward(
    x: Tensor, from_input: Tensor, from_hidden: Tensor, *_args: Any, **_: Any
) -> float:
    return 2.0 * _recurrent(x, (from_input, from_hidden))


def _cudnn_rnn(x: Tensor, weights: Sequence[Tensor], *_args: Any, **_: Any) -> float:
    return _recurrent(x, weights)


def _cudnn_rnn_backward(x: Tensor, weights: Sequence[Tensor], *args: Any, **_: Any) -> float:
    """Gradients of inputs and states, which are always propagated, and of weights if asked."""
    output_mask: Sequence[bool] = args[-1]
    return (1 + output_mask[3]) * _recurrent(x, weights)


_FORMULAS: dict[Any, Callable[..., float]] = {
    # Older releases of torch have formulas for the attention kernels of CUDA alone.
    aten._scaled_dot_product_flash_attention_for_cpu: flop_registry[
        aten._scaled_dot_product_flash_attention
    ],
    aten._scaled_dot_product_flash_attention_for_cpu_backward: flop_registry[
        aten._scaled_dot_product_flash_attention_backward
    ],
    **flop_registry,
    # torch's own formula counts the gradient of a grouped weight `groups` times over.
    aten.convolution_backward: _convolution_backward,
    aten.mv: _matrix_vector,
    aten.addmv: _add_matrix_vector,
    aten.dot: _inner_product,
    aten.vdot: _inner_product,
    aten.addbmm: _add_matrix_products,
    aten._addmm_activation: _add_matrix_products,
    aten.mkldnn_rnn_layer: _mkldnn_rnn,
    aten.mkldnn_rnn_layer_backward: _mkldnn_rnn_backward,
    aten._cudnn_rnn: _cudnn_rnn,
    aten._cudnn_rnn_backward: _cudnn_rnn_backward,
}
