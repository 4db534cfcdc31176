import copy
import math

import pytest
import torch
from support.gaussians import features, moments_of
from torch.testing import assert_close

from harness.features.base import Features
from harness.metrics.base import NonFiniteFeatures, Reference
from harness.metrics.inception_score import InceptionScore

REFERENCE = Reference("train", moments_of(features(10, 2)))


def score(logits, batch_size=100):
    metric = InceptionScore(REFERENCE)
    for batch in logits.split(batch_size):
        metric.update(Features(batch, batch))
    return metric.compute()


def logits(n, classes=10, scale=3.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(n, classes, dtype=torch.float64, generator=generator)


def test_of_certain_and_even_predictions_is_the_number_of_classes():
    x = 1e4 * torch.eye(7, dtype=torch.float64).repeat(5, 1)
    assert_close(score(x), torch.tensor(7.0, dtype=torch.float64))


def test_of_two_predictions_is_known():
    """p = (3/4, 1/4) and (1/4, 3/4): IS = 2 (3/4)^(3/4) (1/4)^(1/4)."""
    p = torch.tensor([[0.75, 0.25], [0.25, 0.75]], dtype=torch.float64)
    assert_close(score(p.log()).item(), 2 * 0.75**0.75 * 0.25**0.25)


def test_of_a_collapsed_generator_is_one():
    certain = torch.tensor([[1e4, 0.0, 0.0]], dtype=torch.float64).expand(50, 3)
    unsure = logits(1).expand(50, 10)
    for x in (certain, unsure):
        assert_close(score(x), torch.tensor(1.0, dtype=torch.float64))


def test_classes_that_are_never_predicted_add_nothing():
    x = logits(200)
    more = torch.cat([x, torch.full((200, 5), -1e5, dtype=torch.float64)], dim=1)
    assert_close(score(more), score(x))


def test_logits_mean_the_same_after_a_shift():
    x = logits(200)
    assert_close(score(x + 1e4 * torch.rand(200, 1)), score(x), rtol=1e-9, atol=0)


def test_batches_do_not_matter_and_merged_states_equal_one_stream():
    x = logits(300)
    here = InceptionScore(REFERENCE)
    there = copy.deepcopy(here)
    here.update(Features(x[:77], x[:77]))
    there.update(Features(x[77:], x[77:]))
    here.merge_state(there)
    assert_close(here.compute(), score(x, batch_size=7), rtol=1e-12, atol=0)
    here.reset()
    here.update(Features(x, x))
    assert_close(here.compute(), score(x), rtol=1e-12, atol=0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_refuses_logits_that_are_not_finite(bad):
    x = logits(10)
    x[3, 1] = bad
    with pytest.raises(NonFiniteFeatures, match="1 of 10"):
        InceptionScore(REFERENCE).update(Features(x, x))


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_says_when_there_is_no_value():
    assert InceptionScore.supports(10) is None
    assert "class logits" in (InceptionScore.supports(0) or "")
    with pytest.raises(ValueError, match="class logits"):
        InceptionScore(REFERENCE).update(Features(logits(3), None))
    with pytest.raises(ValueError, match="at least 1 image"):
        InceptionScore(REFERENCE).compute()


def test_is_bounded_by_the_number_of_classes():
    value = score(logits(500, classes=4, scale=100.0)).item()
    assert 3.9 < value <= 4 + 1e-12 and math.isfinite(value)
