import copy
import math

import pytest
import torch
from torch.testing import assert_close

from harness.metrics.likelihood import BitsPerDimension

NATS = -torch.tensor([100.0, 120.0, 90.0, 150.0], dtype=torch.float64)


def test_a_uniform_model_scores_log2_of_the_levels():
    metric = BitsPerDimension(dimensions=64)
    metric.update(torch.full((5,), -64 * math.log(17)), "exact")
    assert metric.compute().item() == pytest.approx(math.log2(17), rel=1e-6)
    assert metric.standard_error.item() == pytest.approx(0, abs=1e-7)


def test_is_the_mean_of_nats_over_d_ln_2_with_its_standard_error():
    metric = BitsPerDimension(dimensions=12)
    metric.update(NATS[:1], "lower_bound")
    metric.update(NATS[1:], "lower_bound")
    bits = -NATS / 12 / math.log(2)
    assert_close(metric.compute(), bits.mean())
    assert_close(metric.standard_error, bits.std() / 2)
    assert metric.kind == "lower_bound"


def test_kinds_do_not_mix():
    metric = BitsPerDimension(dimensions=12)
    metric.update(NATS, "exact")
    with pytest.raises(ValueError, match="different kinds.*exact and lower_bound"):
        metric.update(NATS, "lower_bound")
    assert_close(metric.compute(), -NATS.mean() / 12 / math.log(2))


def test_merged_states_equal_one_stream_and_their_kinds_do_not_mix():
    empty = BitsPerDimension(dimensions=12)
    here, there, other = (copy.deepcopy(empty) for _ in range(3))
    here.update(NATS[:1], "exact")
    there.update(NATS[1:], "exact")
    other.update(NATS, "estimate")
    here.merge_state(there)
    assert_close(here.compute(), -NATS.mean() / 12 / math.log(2))
    other.merge_state(there)
    with pytest.raises(ValueError, match="exact and estimate"):
        other.compute()


def test_a_reset_forgets_the_kind():
    metric = BitsPerDimension(dimensions=12)
    metric.update(NATS, "exact")
    metric.reset()
    metric.update(NATS, "estimate")
    assert metric.kind == "estimate"


def test_an_impossible_image_costs_infinitely_many_bits():
    metric = BitsPerDimension(dimensions=12)
    metric.update(torch.tensor([-1.0, -math.inf]), "exact")
    assert metric.compute().item() == math.inf
    assert metric.standard_error.item() == math.inf


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_refuses_what_is_no_log_likelihood(bad):
    with pytest.raises(ValueError, match="1 of 2"):
        BitsPerDimension(dimensions=12).update(torch.tensor([-1.0, bad]), "exact")


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_says_when_there_is_no_value():
    metric = BitsPerDimension(dimensions=12)
    with pytest.raises(ValueError, match="no images"):
        metric.compute()
    metric.update(NATS[:1], "exact")
    with pytest.raises(ValueError, match="at least 2 images, there are 1"):
        _ = metric.standard_error
