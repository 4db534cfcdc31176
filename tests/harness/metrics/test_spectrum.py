"""The roots of a true covariance's eigenvalues, from those of a sample covariance."""

import math

import pytest
import torch
from scipy.integrate import quad
from torch.testing import assert_close

from harness.metrics.spectrum import sum_of_roots

float64 = torch.float64


def sample_spectrum(axes, n, seed):
    generator = torch.Generator().manual_seed(seed)
    x = axes * torch.randn(n, len(axes), dtype=float64, generator=generator)
    return torch.linalg.eigvalsh(x.T @ x / n)


def test_equals_the_integral():
    eigenvalues, n = torch.tensor([0.1, 0.7, 1.5], dtype=float64), 12
    roots = eigenvalues.sqrt()
    lower = torch.linalg.eigvalsh(eigenvalues.diag() - torch.outer(roots, roots) / n).tolist()

    def height(x):
        poles = sum(1 / (value - x) for value in eigenvalues.tolist())
        return math.sqrt(max(0, poles - (n - 3) / x) / n)

    segments = zip(lower, eigenvalues.tolist(), strict=True)
    total = sum(quad(height, *segment)[0] for segment in segments)
    assert float(sum_of_roots(eigenvalues, n)) == pytest.approx(2 * n / math.pi * total, rel=1e-6)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("ratio", [2, 4, 8])
def test_finds_the_true_sum_where_there_are_as_many_dimensions_as_samples(ratio, decay):
    axes = torch.arange(1, 101, dtype=float64) ** -decay
    spectra = [sample_spectrum(axes, 100 * ratio, seed) for seed in range(10)]
    mean = torch.stack([sum_of_roots(spectrum, 100 * ratio) for spectrum in spectra]).mean()
    naive = torch.stack([spectrum.sqrt().sum() for spectrum in spectra]).mean()
    missing = abs(float(mean - axes.sum()))
    assert missing < 0.12 * abs(float(naive - axes.sum())) + 0.002 * float(axes.sum())


def test_of_very_many_samples_is_the_sum_of_the_roots():
    eigenvalues = torch.logspace(-6, 0, 20, dtype=float64)
    assert_close(sum_of_roots(eigenvalues, 10**7), eigenvalues.sqrt().sum(), rtol=1e-5, atol=0)


def test_equal_eigenvalues_are_the_limit_of_near_ones():
    near = 1 + 1e-7 * torch.arange(3, dtype=float64)
    equal = torch.ones(3, dtype=float64)
    assert_close(sum_of_roots(equal, 20), sum_of_roots(near, 20), rtol=2e-3, atol=0)
    assert float(sum_of_roots(equal[:0], 20)) == 0
