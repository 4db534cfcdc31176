import copy
import math

import numpy as np
import pytest
import torch
from support.gaussians import features
from support.real import real, updated
from support.two_processes import expect
from torch.testing import assert_close

from harness.metrics import tiles as tiling
from harness.metrics.base import NonFiniteFeatures, Reference
from harness.metrics.kernel import (
    GaussianDistance,
    KernelDistance,
    squared_mmd,
    sums_between,
    sums_within,
)
from harness.metrics.moments import moments


def kid(x, y, metric=KernelDistance, **settings):
    return updated(metric(real(y, **settings)), x).compute()


def dense(kernel, x, y):
    """The estimate from whole matrices, in numpy."""
    kxx, kyy, kxy = kernel(x, x), kernel(y, y), kernel(x, y)
    n, m = kxy.shape
    within = (kxx.sum() - np.trace(kxx)) / (n * (n - 1)) + (kyy.sum() - np.trace(kyy)) / (
        m * (m - 1)
    )
    return within - 2 * kxy.mean()


def cubic(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


@pytest.mark.parametrize(("n", "m"), [(2, 2), (7, 200), (200, 7), (150, 151)])
def test_equals_the_formula_on_whole_matrices(monkeypatch, n, m):
    monkeypatch.setattr(tiling, "ROWS", 32)
    monkeypatch.setattr(tiling, "COLUMNS", 48)
    x, y = features(n, 8, seed=1, shift=0.3), features(m, 8, seed=2)
    found = kid(x, y)
    assert float(found.value) == pytest.approx(dense(cubic, x.numpy(), y.numpy()), rel=1e-9)


def test_gaussian_kernel_equals_the_formula_on_whole_matrices():
    x, y = features(90, 8, seed=1, shift=0.3), features(130, 8, seed=2)
    variance = np.cov(y.T.numpy()).trace()

    def kernel(a, b):
        return np.exp(-((a[:, None] - b) ** 2).sum(-1) / (2 * variance))

    found = kid(x, y, GaussianDistance)
    assert float(found.value) == pytest.approx(dense(kernel, x.numpy(), y.numpy()), rel=1e-9)


def gaussian_mmd(shift, d, bandwidth):
    """MMD^2 of N(0, I) and N(shift, I), in closed form."""
    wide = bandwidth**2 + 2
    distance = d * shift**2
    return 2 * (bandwidth**2 / wide) ** (d / 2) * (1 - math.exp(-distance / (2 * wide)))


def repeated(shift, n=60, m=90, d=4, repetitions=400):
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(repetitions):
        x = torch.randn(n, d, dtype=torch.float64, generator=generator) + shift
        y = torch.randn(m, d, dtype=torch.float64, generator=generator)
        kernel = GaussianDistance(real(y, bandwidth=2.0)).kernel
        found.append(
            squared_mmd(sums_within(kernel, x), sums_within(kernel, y), sums_between(kernel, x, y))
        )
    values = torch.stack([figure.value for figure in found])
    return values, torch.stack([figure.error for figure in found])


@pytest.mark.parametrize(
    ("shift", "excess"),
    [(0.0, (0.9, 1.6)), (0.1, (0.85, 1.4)), (0.3, (0.8, 1.25)), (1.0, (0.8, 1.25))],
)
def test_is_unbiased_and_its_error_is_that_of_repetition(shift, excess):
    """Where the distributions meet, and the first order vanishes, it is stated too large."""
    values, errors = repeated(shift)
    truth = gaussian_mmd(shift, 4, 2.0)
    assert abs(values.mean() - truth) < 4 * values.std() / len(values) ** 0.5
    assert excess[0] < float(errors.square().mean() / values.var()) < excess[1]


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3, 1.0])
def test_intervals_contain_the_true_distance_as_often_as_they_say(shift):
    values, errors = repeated(shift)
    inside = ((values - gaussian_mmd(shift, 4, 2.0)).abs() <= 1.96 * errors).double().mean()
    assert 0.92 <= float(inside) <= (0.98 if shift >= 0.3 else 1)


def cubic_mmd(shift, d):
    """MMD^2 in the kernel (x.y / d + 1)^3 of features whose means differ by a shift, from 0.

    It is E k(x, x') + E k(y, y') - 2 E k(x, y), of features of unit covariance without third
    central moments: in it, E u^2 and E u^3 of u = x.y have only such terms.
    """
    a = d * shift**2
    xx = 1 + 3 * a / d + 3 * (a**2 + 2 * a + d) / d**2 + (a**3 + 6 * a**2 + 3 * a * (d + 2)) / d**3
    yy, xy = 1 + 3 / d, 1 + 3 * (d + a) / d**2
    return xx + yy - 2 * xy


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("freedom", [None, 5])
def test_intervals_of_kid_contain_the_true_distance_as_often_as_they_say(shift, freedom):
    """Of Gaussian features, and of Student's with 5 degrees of freedom, whose tails are heavy."""
    random = np.random.default_rng(0)

    def draw(n):
        if freedom is None:
            return torch.from_numpy(random.standard_normal((n, 6)))
        scale = math.sqrt((freedom - 2) / freedom)
        return scale * torch.from_numpy(random.standard_t(freedom, (n, 6)))

    found = [kid(draw(100) + shift, draw(150)) for _ in range(200)]
    values, errors = (torch.stack(part) for part in list(zip(*found, strict=True))[:2])
    truth = cubic_mmd(shift, 6)
    inside = ((values - truth).abs() <= 1.96 * errors).double().mean()
    assert abs(values.mean() - truth) < 4 * values.std() / len(values) ** 0.5
    assert 0.89 <= float(inside) <= (0.98 if shift >= 0.3 else 1)


def test_the_bandwidth_is_the_spread_of_the_data_or_that_of_the_features():
    y = features(500, 6, seed=2)
    metric = GaussianDistance(real(y))
    pairs = torch.pdist(y).square().mean()
    assert metric.bandwidth**2 == pytest.approx(float(pairs) / 2)
    assert f"s = {metric.bandwidth:.6g}" in metric.protocol
    assert GaussianDistance(real(y, bandwidth=10.0)).bandwidth == 10.0


def test_of_the_same_distribution_it_may_be_negative():
    values, _ = repeated(0.0, repetitions=20)
    assert (values < 0).any()


def test_merged_states_are_those_of_all_samples():
    x, y = features(100, 8, seed=1), features(100, 8, seed=2)
    here, there = (updated(KernelDistance(real(y)), part) for part in x.split(60))
    here.merge_state(copy.deepcopy(there))
    assert_close(here.compute().value, kid(x, y).value, rtol=1e-12, atol=0)
    here.reset()
    with pytest.raises(ValueError, match="at least 2 images, there are 0"):
        here.compute()


def gathered(metric, others):
    """The metric between devices, where the others have these vectors."""
    metric.distributed_available_fn = lambda: True
    metric.dist_sync_fn = lambda vectors, group: [vectors, *others]
    return metric.compute()


def test_samples_of_several_devices_are_counted_as_images():
    """There the vectors are one tensor, whose items are not batches."""
    x, y = features(100, 8, seed=1), features(100, 8, seed=2)
    here = updated(KernelDistance(real(y)), x[:1])
    assert_close(gathered(here, [x[1:]]).value, kid(x, y).value, rtol=1e-12, atol=0)
    here = updated(KernelDistance(real(y)), x[:1])
    with pytest.raises(ValueError, match="at least 2 images, there is 1"):
        gathered(here, [x[:0]])


@pytest.mark.slow
@pytest.mark.parametrize("first", [1, 60])
def test_processes_add_up(first, tmp_path):
    x, y = features(100, 8, seed=1), features(100, 8, seed=2)
    parts, metric = (x[:first], x[first:]), KernelDistance(real(y))
    arguments = (parts, metric, "kid", kid(x, y).value, tmp_path / "meeting")
    torch.multiprocessing.spawn(expect, arguments, nprocs=2)


def test_what_has_no_value_says_why():
    y = features(50, 4)
    with pytest.raises(ValueError, match="at least 2 images, there is 1"):
        kid(y[:1], y)
    with pytest.raises(NonFiniteFeatures, match="1 of 50"):
        kid(torch.where(torch.arange(50)[:, None] == 3, torch.nan, y), y)
    with pytest.raises(ValueError, match="only moments are available"):
        updated(KernelDistance(Reference("train", moments([y]))), y).compute()
    with pytest.raises(ValueError, match="features are equal"):
        kid(y, torch.ones(10, 4), GaussianDistance)


def test_constant_features_have_a_value_without_error():
    found = kid(torch.full((20, 4), 2.0), torch.full((30, 4), 1.0))
    assert_close(float(found.value), 5.0**3 + 2.0**3 - 2 * 3.0**3)
    assert float(found.error) == 0


def test_no_more_than_one_tile_of_pairs_is_held():
    x = torch.zeros(3000, 2)
    shapes = [(tile.x.shape[0], tile.y.shape[0]) for tile in tiling.tiles(x, x)]
    assert max(a * b for a, b in shapes) <= tiling.ROWS * tiling.COLUMNS
    assert sum(a * b for a, b in shapes) == 3000**2


def test_distances_of_near_twins_far_from_the_origin_survive():
    x = 1000 + features(20, 64, seed=1)
    y = x + 1e-3 * features(20, 64, seed=2)
    centre = x.mean(0)
    found = tiling.squared_distances(x - centre, y - centre).diagonal()
    assert_close(found, (x - y).square().sum(1), rtol=1e-7, atol=0)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_error_has_both_orders_of_the_variance(shift):
    """In numpy, from whole matrices: first order by witnesses, second by centred kernels."""
    x, y = features(40, 5, seed=1, shift=shift), features(70, 5, seed=2)
    kxx, kyy, kxy = (cubic(a.numpy(), b.numpy()) for a, b in ((x, x), (y, y), (x, y)))
    off = [~np.eye(n, dtype=bool) for n in (40, 70)]
    rows = [np.where(o, k, 0).sum(1) / (len(k) - 1) for o, k in zip(off, (kxx, kyy), strict=True)]
    across = kxy.mean(1), kxy.mean(0)
    witness = [4 * np.var(r - a, ddof=1) / len(r) for r, a in zip(rows, across, strict=True)]

    def centred(squares, left, right):
        return squares - (left**2).mean() - (right**2).mean() + left.mean() ** 2

    second = (
        2 * centred((kxx[off[0]] ** 2).mean(), rows[0], rows[0]) / (40 * 39)
        + 2 * centred((kyy[off[1]] ** 2).mean(), rows[1], rows[1]) / (70 * 69)
        + 4 * centred((kxy**2).mean(), *across) / (40 * 70)
    )
    expected = max(sum(witness) - second, second) ** 0.5
    assert float(kid(x, y).error) == pytest.approx(expected, rel=1e-9)
