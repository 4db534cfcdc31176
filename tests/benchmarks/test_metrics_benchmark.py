"""The Frechet distance beside the reference libraries, from the same features.

    pytest tests/benchmarks/test_metrics_benchmark.py --benchmark-only -m slow

Compare within one run: the ratio is the figure, seconds belong to the machine. The moments of the
real images are given to all.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter

import cleanfid.fid
import pytest
import torch
from support.gaussians import features, moments_of
from torch import Tensor
from torchmetrics.image.fid import _compute_fid

from harness.features.base import Features
from harness.metrics.base import Moments, Reference
from harness.metrics.frechet import FrechetDistance

D = 2048

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning"),
]


def ours(x: Tensor, b: Moments) -> float:
    metric = FrechetDistance(Reference("train", b))
    for batch in x.split(500):
        metric.update(Features(batch, None))
    return float(metric.compute()["fid"].value)


def torchmetrics(x: Tensor, b: Moments) -> float:
    a = moments_of(x)
    return float(_compute_fid(a.mean, a.covariance, b.mean, b.covariance))


def cleanfids(x: Tensor, b: Moments) -> float:
    a = moments_of(x)
    arrays = (a.mean.numpy(), a.covariance.numpy(), b.mean.numpy(), b.covariance.numpy())
    return float(cleanfid.fid.frechet_distance(*arrays))


def seconds(distance: Callable[[Tensor, Moments], float], *args: object) -> float:
    start = perf_counter()
    distance(*args)
    return perf_counter() - start


@pytest.fixture(scope="module")
def real():
    return moments_of(1.1 * features(10_000, D, seed=2))


@pytest.mark.parametrize("n", [1_000, 10_000])
@pytest.mark.parametrize("distance", [ours, torchmetrics, cleanfids])
def test_frechet_distance(benchmark, real, distance, n):
    benchmark.group = f"Frechet distance from features, d={D}, N={n}"
    x = features(n, D, seed=1, shift=0.1)
    # One round: a call takes seconds to minutes, nothing in it needs warming.
    value = benchmark.pedantic(distance, args=(x, real), rounds=1)
    assert value == pytest.approx(ours(x, real), rel=1e-6)


@pytest.mark.parametrize(("n", "times"), [(1_000, 20), (10_000, 3)])
def test_is_quicker_than_clean_fid(benchmark, real, n, times):
    """Three calls of each, in turn: medians of a machine that does other things as well."""
    x = features(n, D, seed=1, shift=0.1)

    def ratio() -> float:
        pairs = [(seconds(ours, x, real), seconds(cleanfids, x, real)) for _ in range(3)]
        mine, theirs = map(median, zip(*pairs, strict=True))
        return theirs / mine

    found = benchmark.pedantic(ratio, rounds=1)
    benchmark.extra_info["ratio"] = found
    assert found >= times


@pytest.mark.benchmark(group="metric from features, d=64, N=10000, in batches of 500")
def test_metric_from_features(benchmark):
    x, y = features(10_000, 64, seed=1), features(10_000, 64, seed=2)
    metric = FrechetDistance(Reference("train", moments_of(y)))

    def measure() -> torch.Tensor:
        metric.reset()
        for batch in x.split(500):
            metric.update(Features(batch, None))
        return metric.compute()["fid"].value

    assert benchmark(measure) > 0
