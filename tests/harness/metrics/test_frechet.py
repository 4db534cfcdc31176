import copy

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.gaussians import features, moments_of
from support.two_processes import expect
from torch.testing import assert_close

from harness.features.base import Features
from harness.metrics.base import Moments, NonFiniteFeatures, Reference
from harness.metrics.frechet import (
    FrechetDistance,
    frechet_distance,
    frechet_terms,
    frechet_terms_of_vectors,
)

float64 = torch.float64


def by_nuclear_norm(x, y):
    """The distance from the features alone: tr (S_x S_y)^(1/2) is the nuclear norm of X Y^T."""
    a, b = x - x.mean(0), y - y.mean(0)
    n, m = len(a) - 1, len(b) - 1
    cross = torch.linalg.svdvals(a @ b.T).sum() / (n * m) ** 0.5
    spread = a.square().sum() / n + b.square().sum() / m - 2 * cross
    return (x.mean(0) - y.mean(0)).square().sum() + spread


def fid(x, y, batch_size=100):
    metric = FrechetDistance(Reference("train", moments_of(y)))
    for batch in x.split(batch_size):
        metric.update(Features(batch, None))
    return value_of(metric)


def value_of(metric):
    return metric.compute()["fid"].value


@pytest.mark.parametrize("n", [2, 10, 63, 64, 65, 300])
@pytest.mark.parametrize("m", [10, 64, 300])
def test_is_exact_where_a_covariance_has_no_full_rank(n, m):
    x, y = features(n, 64, seed=1, shift=0.1), features(m, 64, seed=2)
    assert_close(fid(x, y), by_nuclear_norm(x, y), rtol=1e-9, atol=0)


@pytest.mark.parametrize("n", [2, 30, 64, 65, 200])
def test_is_the_same_from_vectors_as_from_moments(n):
    x, b = features(n, 64, seed=1, shift=0.1), moments_of(features(300, 64, seed=2))
    assert_close(frechet_terms_of_vectors(x, b), frechet_terms(moments_of(x), b), rtol=1e-9, atol=0)


def test_its_summands_are_columns():
    x, y = features(100, 8, seed=1, shift=0.1), features(200, 8, seed=2)
    metric = FrechetDistance(Reference("train", moments_of(y)))
    metric.update(Features(x, None))
    found = {name: figure.value for name, figure in metric.compute().items()}
    assert_close(found["fid_mean_term"], (x.mean(0) - y.mean(0)).square().sum())
    summands = found["fid_mean_term"] + found["fid_covariance_term"]
    assert_close(found["fid"], summands, rtol=1e-14, atol=0)


@pytest.mark.parametrize("dead", [0, 1])
def test_a_feature_that_never_fires_changes_nothing(dead):
    """Cholesky's factor has a pivot of 0 there."""
    x, y = features(300, 16, seed=1, shift=0.1), features(300, 16, seed=2)
    wide = [torch.nn.functional.pad(z, (dead, 1 - dead)) for z in (x, y)]
    assert_close(fid(*wide), by_nuclear_norm(x, y), rtol=1e-9, atol=0)


def test_features_that_almost_repeat_each_other_keep_the_digits():
    """Variances down to 1e-15 of the largest, in directions that are no axes."""
    x, y = features(300, 16, seed=1, shift=0.1), features(300, 16, seed=2)
    twins = [torch.cat([z, z @ torch.ones(16, 4).double()], 1) + 1e-8 * z[:, :1] for z in (x, y)]
    assert_close(fid(*twins), by_nuclear_norm(*twins), rtol=1e-6, atol=0)


def test_is_right_for_a_generator_that_collapsed_to_a_few_images():
    x, y = features(5, 64, seed=1).repeat(200, 1), features(1000, 64, seed=2)
    assert_close(fid(x, y), by_nuclear_norm(x, y), rtol=1e-6, atol=0)


@pytest.mark.parametrize("rank", [16, 64])
@pytest.mark.parametrize(("n", "apart"), [(100, 1), (300, 1), (1000, 1), (1000, 0.01)])
def test_features_that_span_few_dimensions_keep_the_digits(n, rank, apart):
    """A rotation of few coordinates into 512 features changes no distance."""
    rotation = torch.linalg.qr(features(512, rank, seed=3)).Q
    y = features(1000, rank, seed=2)
    x = (1 - apart) * y[:n] + apart * features(n, rank, seed=1)
    value = fid(x @ rotation.T, y @ rotation.T)
    assert_close(value, by_nuclear_norm(x, y), rtol=1e-7, atol=0)


def test_small_eigenvalues_count():
    """d^2 = sum of (s_a - s_b)^2, where the variances span sixteen decades."""
    s = torch.logspace(0, -8, 200, dtype=float64)
    zero = torch.zeros(200, dtype=float64)
    value = frechet_distance(
        Moments(10**6, zero, s.square().diag()), Moments(10**6, zero, (1.1 * s).square().diag())
    )
    assert_close(value, (0.1 * s).square().sum(), rtol=1e-6, atol=0)


def test_of_commuting_gaussians_is_known():
    """d^2 = sum over axes of (m_a - m_b)^2 + (s_a - s_b)^2."""
    s_a, s_b = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([3.0, 0.5, 0.0])
    a = Moments(9, torch.tensor([1.0, 2.0, 3.0], dtype=float64), s_a.square().diag().double())
    b = Moments(9, torch.tensor([1.0, 0.0, 0.0], dtype=float64), s_b.square().diag().double())
    mean, covariance = frechet_terms(a, b)
    assert_close(mean, torch.tensor(13.0, dtype=float64))
    assert_close(covariance, torch.tensor(4 + 2.25 + 25, dtype=float64))
    assert_close(frechet_distance(a, b), mean + covariance)


def test_of_correlated_gaussians_in_two_dimensions_is_known():
    """tr (AB)^(1/2) = sqrt(tr AB + 2 sqrt(det AB)) for 2x2 matrices."""
    a = torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=float64)
    b = torch.tensor([[1.0, -0.5], [-0.5, 4.0]], dtype=float64)
    product = a @ b
    root = (product.trace() + 2 * product.det().sqrt()).sqrt()
    zero = torch.zeros(2, dtype=float64)
    value = frechet_distance(Moments(9, zero, a), Moments(9, zero, b))
    assert_close(value, a.trace() + b.trace() - 2 * root)


def test_of_estimated_moments_approaches_the_true_distance():
    x = torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0)).double()
    true = Moments(10**9, torch.tensor([1.0, 0.0], dtype=float64), 4 * torch.eye(2, dtype=float64))
    metric = FrechetDistance(Reference("train", true))
    metric.update(Features(x, None))
    assert_close(value_of(metric), torch.tensor(3.0, dtype=float64), rtol=0.01, atol=0)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(1, 12))
@example(6, 2, 6)
def test_is_symmetric_and_vanishes_on_equal_sets(n, m, d):
    x, y = features(n, d, seed=1), features(m, d, seed=2)
    assert_close(fid(x, y), fid(y, x), rtol=1e-9, atol=1e-12)
    assert 0 <= fid(x, x) < 1e-12


@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_large_means_cost_no_digits(offset):
    # Multiples of 2^-20 below 2^21, so that adding the offset rounds nothing.
    x, y = ((features(500, 8, seed=s) * 2**20).round() / 2**20 for s in (1, 2))
    assert_close(fid(x + offset, y + offset), fid(x, y), rtol=1e-8, atol=0)


def test_samples_far_from_the_reference_keep_their_digits():
    x, y = features(500, 8, seed=1), features(500, 8, seed=2)
    assert_close(fid(x + 1e4, y), by_nuclear_norm(x + 1e4, y), rtol=1e-10, atol=0)


def test_constant_features_are_a_point():
    x, y = torch.ones(10, 4, dtype=float64), features(100, 4)
    expected = (1 - y.mean(0)).square().sum() + torch.cov(y.T).trace()
    assert_close(fid(x, y), expected)
    assert_close(fid(x, 3 * x), torch.tensor(16.0, dtype=float64))


def test_single_precision_features_are_summed_in_double():
    x, y = features(1000, 16, seed=1).float(), features(1000, 16, seed=2)
    assert_close(fid(x, y), fid(x.double(), y), rtol=1e-10, atol=0)


@pytest.mark.parametrize("n", [10, 16, 17, 301])
def test_batches_do_not_matter_and_reset_forgets(n):
    x, y = features(n, 16, seed=1), features(200, 16, seed=2)
    metric = FrechetDistance(Reference("train", moments_of(y)))
    metric.update(Features(features(50, 16, seed=3), None))
    metric.reset()
    metric.update(Features(x, None))
    assert_close(value_of(metric), fid(x, y, batch_size=7), rtol=1e-10, atol=0)


# Of the 16 features there are fewer vectors, together or apart, or more; on either side.
@pytest.mark.parametrize("n", [2, 10, 14, 16, 77, 290, 300])
@pytest.mark.parametrize("total", [16, 300])
def test_merged_states_equal_one_stream(n, total):
    x, y = features(total, 16, seed=1), features(200, 16, seed=2)
    here = FrechetDistance(Reference("train", moments_of(y)))
    there = copy.deepcopy(here)
    here.update(Features(x[:n], None))
    there.update(Features(x[n:], None))
    here.merge_state(there)
    assert_close(value_of(here), fid(x, y), rtol=1e-10, atol=0)


def test_states_do_not_grow_with_the_number_of_images():
    metric = FrechetDistance(Reference("train", moments_of(features(200, 16, seed=2))))
    for batch in features(1000, 16, seed=1).split(100):
        metric.update(Features(batch, None))
        assert sum(map(len, metric.vectors)) <= 16


def test_batches_do_not_touch_the_covariance_of_the_real_images():
    """It would travel to the device with each of them."""
    real = Moments(200, torch.zeros(16, dtype=float64), None)
    metric = FrechetDistance(Reference("train", real))
    for batch in features(100, 16, seed=1).split(30):
        metric.update(Features(batch, None))
    assert int(metric.count) == 100


@pytest.mark.slow
@pytest.mark.parametrize("total", [16, 100])
def test_processes_add_up(total, tmp_path):
    """One of them still has its vectors where the other has sums."""
    x, y = features(total, 16, seed=1), features(200, 16, seed=2)
    parts = (x[10:], x[:10])
    metric = FrechetDistance(Reference("train", moments_of(y)))
    arguments = (parts, metric, "fid", fid(x, y), tmp_path / "meeting")
    torch.multiprocessing.spawn(expect, arguments, nprocs=2)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_refuses_features_that_are_not_finite(bad):
    x = features(10, 4)
    x[[3, 7], [1, 2]] = bad
    metric = FrechetDistance(Reference("train", moments_of(features(20, 4))))
    with pytest.raises(NonFiniteFeatures, match="2 of 10"):
        metric.update(Features(x, None))


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_refuses_fewer_than_two_images(n):
    metric = FrechetDistance(Reference("train", moments_of(features(20, 4))))
    if n:
        metric.update(Features(features(n, 4), None))
    with pytest.raises(ValueError, match=f"at least 2 images, there are {n}"):
        metric.compute()
