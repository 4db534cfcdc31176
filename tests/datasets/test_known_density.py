import itertools
import math

import numpy as np
import pytest

from harness_datasets.errors import DatasetError
from harness_datasets.known_density import COPY, MARGINAL, PARENTS, Density, load

NAMES = sorted(PARENTS)


def every_image(height, width):
    pixels = itertools.product(range(4), repeat=height * width)
    return np.array(list(pixels), dtype=np.uint8).reshape(-1, 1, height, width)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(2, 2), (1, 4), (2, 3)])
def test_probabilities_sum_to_one_and_give_the_entropy(name, size):
    density = Density(name, *size)
    nats = density.log_probability(every_image(*size))
    assert math.fsum(np.exp(nats)) == pytest.approx(1, abs=1e-12)
    assert -math.fsum(np.exp(nats) * nats) == pytest.approx(density.entropy, abs=1e-12)


def joint(name, height, width):
    """Probabilities of all images, one axis a pixel."""
    nats = Density(name, height, width).log_probability(every_image(height, width))
    return np.exp(nats).reshape((4,) * (height * width))


def test_independent_pixels_are_independent_and_unlike():
    p = joint("independent", 2, 2)
    a, b, c, d = (p.sum(axis=tuple({0, 1, 2, 3} - {pixel})) for pixel in range(4))
    np.testing.assert_allclose(p, np.einsum("a,b,c,d->abcd", a, b, c, d))
    np.testing.assert_allclose(a, MARGINAL)
    np.testing.assert_allclose(b, np.roll(MARGINAL, 1))


def test_markov_rows_are_independent_of_each_other():
    p = joint("markov", 2, 2).reshape(16, 16)
    np.testing.assert_allclose(p, np.outer(p.sum(axis=1), p.sum(axis=0)))


def test_the_future_of_a_markov_row_depends_on_the_present_alone():
    p = joint("markov", 1, 3)
    future = p / p.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(future, np.broadcast_to(future[:1], future.shape))
    assert np.ptp(future[0], axis=0).min() > 0.1


def test_a_mixture_is_independent_given_its_first_pixel():
    p = joint("mixture", 1, 3)
    given = p / p.sum(axis=(1, 2), keepdims=True)
    product = np.einsum("ab,ac->abc", given.sum(axis=2), given.sum(axis=1))
    np.testing.assert_allclose(given, product)
    assert np.ptp(given.sum(axis=2), axis=0).min() > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_frequencies_of_samples_are_the_probabilities(name):
    density = Density(name, 1, 3)
    n = 100_000
    drawn = density.sample(n, np.random.default_rng(1))[:, 0, 0].astype(int)
    counts = np.bincount(drawn @ [16, 4, 1], minlength=64)
    expected = n * np.exp(density.log_probability(every_image(1, 3)))
    chi_squared = np.sum((counts - expected) ** 2 / expected)
    assert chi_squared < 63 + 4 * math.sqrt(2 * 63)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_mean_negative_log_probability_is_the_entropy(name, split):
    dataset = load(name)
    nats = Density(name).log_probability(dataset.splits[split].x)
    error = nats.std(ddof=1) / math.sqrt(len(nats))
    assert dataset.entropy == Density(name).entropy
    assert abs(-nats.mean() - dataset.entropy) < 4 * error


def test_a_copied_pixel_keeps_the_marginal_distribution():
    np.testing.assert_allclose(MARGINAL @ COPY, MARGINAL, atol=1e-15)
    np.testing.assert_allclose(COPY.sum(axis=1), 1, atol=1e-15)


def test_dependence_lowers_entropy():
    entropies = [Density(name).entropy for name in ("independent", "markov", "mixture")]
    assert entropies == sorted(entropies, reverse=True)
    assert entropies[0] == pytest.approx(16 * -sum(p * math.log(p) for p in (0.1, 0.2, 0.3, 0.4)))


@pytest.mark.parametrize("name", NAMES)
def test_it_is_always_the_same(name):
    dataset = load(name)
    assert dataset.fingerprint == load(name).fingerprint
    assert (dataset.spec.shape, dataset.spec.levels, dataset.spec.classes) == ((1, 4, 4), 4, 0)
    assert dataset.name == f"known-density:{name}"


def test_an_unknown_name_is_explained():
    with pytest.raises(DatasetError, match="did you mean 'markov'.*known-density:independent"):
        load("markow")
