"""A metric in two processes, each with a part of the samples; spawned ones must import it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.testing import assert_close

from harness.features.base import Features
from harness.metrics.base import Moments, Reference
from harness.metrics.frechet import FrechetDistance


def expect_fid(
    rank: int, parts: tuple[Tensor, Tensor], real: Moments, expected: Tensor, meeting: Path
) -> None:
    """Assert, as one of two processes, that both arrive at the FID of both parts."""
    torch.distributed.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=2)
    metric = FrechetDistance(Reference("train", real))
    metric.update(Features(parts[rank], None))
    assert_close(metric.compute()["fid"].value, expected, rtol=1e-10, atol=0)
    torch.distributed.destroy_process_group()
