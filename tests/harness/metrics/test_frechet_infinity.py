"""The extrapolated distance is that of infinitely many samples, within the error it states."""

from functools import cache
from statistics import NormalDist

import pytest
import scipy.stats
import torch
from support.gaussians import features, moments_of
from torch.testing import assert_close

from harness.features.base import Features
from harness.metrics.base import Moments, NonFiniteFeatures, Reference
from harness.metrics.frechet import frechet_distance
from harness.metrics.frechet_infinity import ExtrapolatedFrechetDistance
from harness.metrics.kernel import KernelDistance

float64 = torch.float64
REPEATS = 400
AXES = torch.tensor([2.0, 1.0, 1.0, 0.5, 0.5, 0.25], dtype=float64)


def true_moments(stretch, shift):
    return Moments(10**9, torch.full((6,), shift, dtype=float64), (stretch * AXES).square().diag())


def found(x, b, metric=ExtrapolatedFrechetDistance, real=None):
    reference = Reference("train", b, None if real is None else Features(real, None))
    metric = metric(reference)
    for batch in x.split(100):
        metric.update(Features(batch, None))
    return metric.compute()


def draws(n, repeats=REPEATS):
    generator = torch.Generator().manual_seed(0)
    for _ in range(repeats):
        yield AXES * torch.randn(n, 6, dtype=float64, generator=generator)


@cache
def repeated(stretch, shift, n=120):
    """FID, FID-infinity and its error of many sets, and the true distance."""
    b = true_moments(stretch, shift)
    values = []
    for x in draws(n):
        far = found(x, b)
        values.append([float(frechet_distance(moments_of(x), b)), *map(float, far[:2])])
    truth = 6 * shift**2 + ((stretch - 1) * AXES).square().sum()
    return *torch.tensor(values, dtype=float64).T, float(truth)


def first_order_bias(stretch, n):
    """E FID(N) - FID, of covariances with common axes, to the order 1/N.

    E |m - m_a|^2 = tr S_a / n, and by the second derivative of the trace of a root, with r_i the
    root of the product of variances, sum_ij (1 + [i = j]) r_i r_j / (r_i + r_j) / (2 (n - 1)).
    """
    r = stretch * AXES.square()
    pairs = torch.outer(r, r) / (r[:, None] + r[None])
    return float(AXES.square().sum() / n + (pairs.sum() + pairs.trace()) / (2 * (n - 1)))


CASES = pytest.mark.parametrize(("stretch", "shift"), [(1.0, 0.0), (1.5, 0.3), (1.0, 0.5)])


@CASES
def test_fid_is_too_large_by_what_is_known_and_the_extrapolation_is_not(stretch, shift):
    fid, far, _, truth = repeated(stretch, shift)
    bias = first_order_bias(stretch, 120)
    of_fid, of_far = (float(values.std()) / REPEATS**0.5 for values in (fid, far))
    assert bias > 4 * of_fid
    assert float(fid.mean()) - truth == pytest.approx(bias, abs=3 * of_fid + 0.05 * bias)
    assert float(far.mean()) == pytest.approx(truth, abs=3 * of_far)


@CASES
def test_intervals_of_one_set_contain_the_true_distance_as_often_as_they_say(stretch, shift):
    _, far, errors, truth = repeated(stretch, shift)
    for level in (0.68, 0.95):
        z = NormalDist().inv_cdf((1 + level) / 2)
        inside = float(((far - truth).abs() <= z * errors).double().mean())
        # Over: where the distance is next to nothing, the error is up to a third too large.
        assert level - 0.05 < inside < level + (0.15 if shift == 0 else 0.05)


@CASES
@pytest.mark.parametrize("sets", [3, 5])
def test_intervals_of_several_sets_contain_it_as_often_as_they_say(stretch, shift, sets):
    """The mean of sets, more or less t sd / sqrt(sets): of FID-infinity; of FID less often."""
    fid, far, _, truth = repeated(stretch, shift)
    assert 0.89 < covered(far, truth, sets) < 0.99
    assert shift or covered(fid, truth, sets) < 0.6


def covered(values, truth, sets, level=0.95):
    groups = values[: len(values) // sets * sets].reshape(-1, sets)
    t = scipy.stats.t.ppf((1 + level) / 2, sets - 1)
    half = t * groups.std(1) / sets**0.5
    return float(((groups.mean(1) - truth).abs() <= half).double().mean())


@pytest.mark.parametrize("sets", [3, 5])
def test_intervals_of_several_sets_contain_the_kernel_distance(sets):
    """Against the same real images; the truth is the mean over very many samples."""
    real = 1.2 * features(200, 6, seed=99)
    b = moments_of(real)
    kid = [found(x, b, KernelDistance, real).value for x in draws(60)]
    many = AXES * torch.randn(20_000, 6, dtype=float64, generator=torch.Generator().manual_seed(1))
    truth = float(found(many, b, KernelDistance, real).value)
    assert 0.92 < covered(torch.stack(kid), truth, sets) < 0.98


def coverage(d, ratio, axes, repeats, norms=(1.0, 1.0), stretch=1.2, shift=0.1):
    """How often nominal 95% intervals of one set of d * ratio samples contain the distance.

    Half of the samples are longer by each factor of ``norms``, whose squares have the mean 1.
    """
    b = Moments(10**9, shift * axes, (stretch * axes).square().diag())
    truth = axes.square().sum() * (shift**2 + (stretch - 1) ** 2)
    generator = torch.Generator().manual_seed(0)
    inside = 0
    for _ in range(repeats):
        x = axes * torch.randn(d * ratio, d, dtype=float64, generator=generator)
        chosen = torch.randint(0, 2, (len(x), 1), generator=generator)
        value, error, _ = found(torch.tensor(norms, dtype=float64)[chosen] * x, b)
        inside += bool((value - truth).abs() <= 1.96 * error)
    return inside / repeats


def test_intervals_hold_with_many_features_and_as_few_samples_as_have_a_value():
    """The bias of FID bends with d: a line through it misses by 1.5 errors, by 5 with 256."""
    assert coverage(64, 4, torch.ones(64, dtype=float64), repeats=40) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("d", [16, 64, 128])
@pytest.mark.parametrize("ratio", [4, 8, 16, 32])
@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_intervals_hold_whatever_the_number_of_features_and_samples(d, ratio, decay):
    assert coverage(d, ratio, torch.arange(1, d + 1, dtype=float64) ** -decay, 100) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [4, 16])
def test_intervals_hold_where_lengths_vary(ratio):
    """No theory of large d holds there: samples of two lengths, as features of classes have."""
    assert coverage(64, ratio, torch.ones(64, dtype=float64), 100, norms=(1.3, 0.31**0.5)) >= 0.9


def test_too_few_samples_have_no_value_and_say_why():
    b = moments_of(features(100, 8, seed=2))
    assert found(features(32, 8), b).value.isfinite()
    with pytest.raises(ValueError, match=r"4 samples for each of 8 features, 32 in all.*are 31"):
        found(features(31, 8), b)
    with pytest.raises(ValueError, match="at least 2 images"):
        found(features(1, 8), b)


def test_the_protocol_names_the_groups_which_are_always_the_same():
    x, b = features(301, 8, seed=1), moments_of(features(100, 8, seed=2))
    metric = ExtrapolatedFrechetDistance(Reference("train", b))
    metric.update(Features(x, None))
    first = metric.compute()
    assert metric.protocol == "eigenvalues corrected, jackknife of 20 groups, seed 0"
    assert first == found(x, b)
    assert metric.costly


def test_samples_that_are_all_the_same_are_at_the_distance_of_a_point():
    y = features(300, 8, seed=2)
    x = torch.ones(100, 8, dtype=float64)
    value, error, _ = found(x, moments_of(y))
    assert_close(value, (1 - y.mean(0)).square().sum() + torch.cov(y.T).trace())
    assert float(error) == pytest.approx(0, abs=1e-9)


def test_refuses_features_that_are_not_finite():
    x = features(100, 8)
    x[3, 2] = float("nan")
    with pytest.raises(NonFiniteFeatures, match="1 of 100"):
        found(x, moments_of(features(100, 8, seed=2)))
