"""SHA-256 of tensors, to compare two runs bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor


def tensors_digest(values: Iterable[object]) -> str:
    """Return the SHA-256 of shapes, types and contents of tensors, in order, in hexadecimal.

    Args:
        values: for example of a ``state_dict``; what is not a tensor is skipped.
    """
    digest = hashlib.sha256()
    for value in values:
        if isinstance(value, Tensor):
            content = value.detach().cpu().to_dense().contiguous().resolve_conj().resolve_neg()
            digest.update(f"{tuple(content.shape)} {content.dtype}".encode())
            # As bytes: numpy has no bfloat16.
            digest.update(content.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
