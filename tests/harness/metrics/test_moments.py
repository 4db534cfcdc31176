import pytest
import torch
from support.gaussians import features
from torch.testing import assert_close

from harness.metrics.base import NonFiniteFeatures
from harness.metrics.moments import moments


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_equal_those_of_the_whole_set(batch_size):
    x = features(300, 5, shift=3.0)
    n, mean, covariance = moments(x.split(batch_size))
    assert n == 300
    assert_close(mean, x.mean(0))
    assert_close(covariance, torch.cov(x.T))


def test_survive_a_mean_much_larger_than_the_spread():
    x = (features(1000, 5) * 2**20).round() / 2**20
    near, far = moments(x.split(100)), moments((x + 1e8).split(100))
    assert_close(far.covariance, near.covariance, rtol=1e-9, atol=1e-12)
    assert_close(far.mean, near.mean + 1e8, rtol=1e-15, atol=0)


def test_are_double_whatever_the_features_are():
    x = features(50, 3).to(torch.bfloat16)
    found = moments(x.split(10))
    assert found.mean.dtype == found.covariance.dtype == torch.float64
    assert_close(found.covariance, torch.cov(x.double().T))


@pytest.mark.parametrize("n", [0, 1])
def test_of_fewer_than_two_are_refused(n):
    with pytest.raises(ValueError, match=f"at least 2 images, there are {n}"):
        moments([features(n, 3)] if n else [])


def test_of_features_that_are_not_finite_are_refused():
    x = features(50, 3)
    x[40, 0] = float("nan")
    with pytest.raises(NonFiniteFeatures, match="1 of 10"):
        moments(x.split(10))
