"""The most memory that a device or this process has had."""

from __future__ import annotations

import sys
from pathlib import Path

import torch


def peak_memory(device: torch.device) -> int:
    """Return the most bytes allocated on a CUDA device since the last reset.

    On a CPU: the peak resident size of this process, which cannot be reset.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    # A spawned process inherits ru_maxrss from its parent, so it is the second choice.
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(fields["VmHWM"].split()[0]) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def reset_peak_memory(device: torch.device) -> None:
    """Forget the peak of a CUDA device so far."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
