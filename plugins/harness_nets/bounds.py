"""Lower bounds on log-likelihoods by importance sampling."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def importance_bound(log_weight: Callable[[], Tensor], draws: int) -> Tensor:
    """Return log 1/K sum_k w_k, (B,), for K = ``draws`` independent unbiased estimates w_k >= 0.

    Its expectation is at most log E[w] and grows with K (Burda et al., 2016, arXiv:1509.00519).

    Args:
        log_weight: draws log w, (B,), anew at every call.
        draws: K.
    """
    weights = torch.stack([log_weight() for _ in range(draws)])
    return weights.logsumexp(0) - math.log(draws)
