"""A metric in two processes, each with a part of the samples; spawned ones must import it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.testing import assert_close

from harness.features.base import Features
from harness.metrics.base import Figure, SampleMetric


def expect(
    rank: int,
    parts: tuple[Tensor, Tensor],
    metric: SampleMetric,
    column: str,
    expected: Tensor,
    meeting: Path,
) -> None:
    """Assert, as one of two processes, that both arrive at the value of both parts.

    Args:
        rank: of this process.
        parts: features of the samples that each process has.
        metric: before its first update.
        column: of the metric, where it has several.
        expected: the value.
        meeting: a file that the processes find each other by.
    """
    torch.distributed.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=2)
    if len(parts[rank]):
        metric.update(Features(parts[rank], None))
    found = metric.compute()
    figure = found[column] if isinstance(found, dict) else found
    assert isinstance(figure, Figure)
    assert_close(figure.value, expected, rtol=1e-10, atol=0)
    torch.distributed.destroy_process_group()
