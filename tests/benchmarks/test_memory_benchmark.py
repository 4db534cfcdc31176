"""What a metric holds does not grow with the number of samples: peak memory of a process each.

pytest -o addopts=--import-mode=importlib tests/benchmarks/test_memory_benchmark.py -s
"""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow
MB = 2**20

PROGRAM = """
import resource, sys
import torch
from harness.features.base import Features
from harness.metrics.base import Moments, Reference
from harness.metrics.frechet import FrechetDistance
from harness.metrics.kernel import KernelDistance
from harness.metrics.neighbours import Neighbours

metric, n, d = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
draw = torch.Generator().manual_seed(0)
real = torch.randn(1000, d, generator=draw)
moments = Moments(1000, real.mean(0).double(), torch.cov(real.T.double()))
measured = globals()[metric](Reference("train", moments, Features(real, None)))
for _ in range(n // 1000):
    measured.update(Features(torch.randn(1000, d, generator=draw), None))
measured.compute()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def peak(metric: str, n: int, d: int) -> int:
    command = [sys.executable, "-c", PROGRAM, metric, str(n), str(d)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def growth(benchmark, metric: str, n: int, d: int) -> int:
    found = benchmark.pedantic(lambda: peak(metric, 4 * n, d) - peak(metric, n, d), rounds=1)
    benchmark.extra_info["growth"] = found
    print(f"\n{metric}, {n} to {4 * n} samples of {d} features: {found / MB:.1f} MB")
    return found


def test_the_frechet_distance_holds_no_samples(benchmark):
    """Those of 20,000 to 80,000 would be 59 MB in float32; equal processes differ by some 6 MB."""
    assert growth(benchmark, "FrechetDistance", 20_000, 256) < 16 * MB


@pytest.mark.parametrize("metric", ["KernelDistance", "Neighbours"])
def test_metrics_of_pairs_hold_the_vectors_and_no_matrix_of_pairs(benchmark, metric):
    """Vectors and their joined copy are 6 MB; the pairs of 16,000 would be 2 GB in float64."""
    assert growth(benchmark, metric, 4_000, 64) < 32 * MB
