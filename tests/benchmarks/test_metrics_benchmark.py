"""The Frechet distance beside the reference libraries, on the same moments.

    pytest tests/benchmarks/test_metrics_benchmark.py --benchmark-only -m slow

Compare within one run: the ratio is the figure, seconds belong to the machine.
"""

from __future__ import annotations

import cleanfid.fid
import pytest
import torch
from support.gaussians import features, moments_of
from torchmetrics.image.fid import _compute_fid

from harness.features.base import Features
from harness.metrics.base import Moments, Reference
from harness.metrics.frechet import FrechetDistance, frechet_distance

D, N = 2048, 10_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning"),
]


def ours(a: Moments, b: Moments) -> float:
    return float(frechet_distance(a, b))


def torchmetrics(a: Moments, b: Moments) -> float:
    return float(_compute_fid(a.mean, a.covariance, b.mean, b.covariance))


def cleanfids(a: Moments, b: Moments) -> float:
    arrays = (a.mean.numpy(), a.covariance.numpy(), b.mean.numpy(), b.covariance.numpy())
    return float(cleanfid.fid.frechet_distance(*arrays))


@pytest.fixture(scope="module")
def pair():
    x, y = features(N, D, seed=1, shift=0.1), 1.1 * features(N, D, seed=2)
    return moments_of(x), moments_of(y)


@pytest.mark.benchmark(group=f"Frechet distance of moments, d={D}, N={N}")
@pytest.mark.parametrize("distance", [ours, torchmetrics, cleanfids])
def test_frechet_distance(benchmark, pair, distance):
    # One round: a call takes seconds to minutes, nothing in it needs warming.
    value = benchmark.pedantic(distance, args=pair, rounds=1)
    assert value == pytest.approx(ours(*pair), rel=1e-6)


@pytest.mark.benchmark(group=f"metric from features, d=64, N={N}, in batches of 500")
def test_metric_from_features(benchmark):
    x, y = features(N, 64, seed=1), features(N, 64, seed=2)
    metric = FrechetDistance(Reference("train", moments_of(y)))

    def measure() -> torch.Tensor:
        metric.reset()
        for batch in x.split(500):
            metric.update(Features(batch, None))
        return metric.compute()

    assert benchmark(measure) > 0
