"""The average of weights: half-life in images, ramp, and no trace in the live weights."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from harness.training.averaging import WeightAverage


def jump(half_life, batch, warm_images, after_images):
    """The average of a weight that is 0 for ``warm_images``, then 1 for ``after_images``."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = WeightAverage(model, half_life)
    seen = 0
    while seen < warm_images + after_images:
        seen += batch
        if seen > warm_images:
            nn.init.ones_(model.weight)
        average.update(batch, seen)
    return float(average.state_dict()["weight"])


@pytest.mark.parametrize("batch", [10, 50, 250])
def test_after_one_half_life_the_average_is_half_way_whatever_the_batch(batch):
    # The ramp does not bind: 5% of 20,000 images is above the half-life.
    assert jump(500, batch, 20_000, 500) == pytest.approx(0.5, abs=1e-5)


def test_early_on_the_half_life_is_five_percent_of_the_images_seen():
    """With H = infinity, d ln(1 - w) / dn = -ln 2 / (0.05 n): 1 - w = (n0 / n)^(ln 2 / 0.05)."""
    n0, n, batch = 10_000, 10_500, 1
    expected = 1 - (n0 / n) ** (0.6931471805599453 / 0.05)
    assert jump(float("inf"), batch, n0, n - n0) == pytest.approx(expected, abs=1e-3)


def test_the_first_steps_forget_the_initial_weights():
    assert jump(500_000, 64, 0, 128) == pytest.approx(1.0, abs=1e-5)


def test_applying_swaps_and_restores_bitwise():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    average = WeightAverage(model, 100)
    averaged = {name: value.clone() for name, value in average.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    live = {name: value.clone() for name, value in model.state_dict().items()}
    with average.applied():
        for name, value in averaged.items():
            assert torch.equal(model.state_dict()[name], value)
    for name, value in model.state_dict().items():
        assert torch.equal(value, live[name])


def test_an_exception_inside_still_restores_the_live_weights():
    model = nn.Linear(2, 2)
    average = WeightAverage(model, 100)
    with torch.no_grad():
        model.weight.add_(1.0)
    live = model.weight.detach().clone()
    with pytest.raises(RuntimeError), average.applied():
        raise RuntimeError
    assert torch.equal(model.weight, live)


def test_floating_buffers_are_averaged_and_counters_are_not():
    model = nn.BatchNorm1d(2)
    average = WeightAverage(model, 100)
    model(torch.randn(8, 2) + 5)
    average.update(8, 1000)
    with average.applied():
        assert int(model.num_batches_tracked) == 1
        beta = 0.5 ** (8 / 50)
        live = average.state_dict()["running_mean"]  # swapped: the live one is in here
        assert torch.allclose(model.running_mean, (1 - beta) * live)


def test_state_round_trip():
    model = nn.Linear(2, 2)
    average = WeightAverage(model, 100)
    with torch.no_grad():
        model.weight.add_(1.0)
    other = WeightAverage(nn.Linear(2, 2), 100)
    other.load_state_dict(average.state_dict())
    for name, value in average.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


class Parts(nn.Module):
    """A module of the parameters and buffers that it is given."""

    def __init__(self, **tensors):
        super().__init__()
        for name, tensor in tensors.items():
            if isinstance(tensor, nn.Parameter):
                setattr(self, name, tensor)
            else:
                self.register_buffer(name, tensor, persistent=name != "transient")


def averaged(average, model, name):
    """What the model has under the average."""
    with average.applied():
        return (
            model.get_buffer(name).clone()
            if name in dict(model.named_buffers())
            else (model.get_parameter(name).detach().clone())
        )


MASK = torch.full((3, 3), -math.inf).triu(1)


@pytest.mark.parametrize("as_parameter", [False, True])
def test_a_constant_mask_of_infinities_stays_as_it_is(as_parameter):
    mask = nn.Parameter(MASK.clone(), requires_grad=False) if as_parameter else MASK.clone()
    model = Parts(mask=mask, weight=nn.Parameter(torch.randn(3)))
    average = WeightAverage(model, 100)
    for step in range(1, 50):
        average.update(8, 8 * step)
    assert torch.equal(averaged(average, model, "mask"), MASK)
    assert torch.equal(model.mask, MASK)


def test_entries_beside_infinities_are_averaged():
    model = Parts(logits=nn.Parameter(torch.tensor([-math.inf, 0.0])))
    average = WeightAverage(model, 100)
    model.logits.data[1] = 1.0
    average.update(8, 1000)
    assert averaged(average, model, "logits").tolist() == [
        -math.inf,
        pytest.approx(1 - 0.5 ** (8 / 50)),
    ]


def test_the_range_of_an_observer_is_that_of_the_live_model():
    model = Parts(low=torch.tensor(math.inf), high=torch.tensor(-math.inf))
    average = WeightAverage(model, 100)
    for step, x in enumerate((torch.tensor([3.0, 5.0]), torch.tensor([1.0, 4.0])), start=1):
        model.low.copy_(torch.minimum(model.low, x.min()))
        model.high.copy_(torch.maximum(model.high, x.max()))
        average.update(8, 8 * step)
    assert (averaged(average, model, "low"), averaged(average, model, "high")) == (1, 5)


@pytest.mark.parametrize("buffer", [torch.tensor(0.0), torch.zeros(2, dtype=torch.float64)])
def test_buffers_that_are_no_statistics_are_taken_as_they_are(buffer):
    """A count in floating point, a schedule, a queue: none means anything on average."""
    model = Parts(count=buffer, transient=buffer.clone())
    average = WeightAverage(model, 100)
    for step in range(1, 8):
        model.count += 1
        model.transient += 2
        average.update(8, 8 * step)
    assert averaged(average, model, "count").flatten()[0] == 7
    assert averaged(average, model, "transient").flatten()[0] == 14


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_an_average_in_half_precision_does_not_stand_still(dtype):
    """A thousandth of the way in each step is less than half precision resolves."""
    model = Parts(weight=nn.Parameter(torch.ones(4, dtype=dtype)))
    average, single = WeightAverage(model, 5000), Parts(weight=nn.Parameter(torch.ones(4)))
    reference = WeightAverage(single, 5000)
    for each in (model, single):
        each.weight.data += 0.25
    for step in range(1, 1001):
        average.update(5, 10**6 + 5 * step)
        reference.update(5, 10**6 + 5 * step)
    right = averaged(reference, single, "weight")
    assert right[0] == pytest.approx(1.125, abs=1e-3)
    found = averaged(average, model, "weight")
    assert found.dtype == dtype
    assert torch.equal(found, right.to(dtype))
    assert torch.equal(model.weight, torch.full((4,), 1.25, dtype=dtype))


def test_complex_weights_are_averaged():
    model = Parts(weight=nn.Parameter(torch.zeros(2, dtype=torch.complex64)))
    average = WeightAverage(model, 100)
    model.weight.data += 1 + 2j
    average.update(50, 10**6)
    expected = torch.full((2,), (1 + 2j) * (1 - 0.5**0.5), dtype=torch.complex64)
    assert torch.allclose(averaged(average, model, "weight"), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.complex64])
def test_the_average_of_a_constant_is_that_constant_bit_for_bit(dtype):
    torch.manual_seed(0)
    value = torch.randn(500, dtype=dtype)
    model = Parts(weight=nn.Parameter(value.clone(), requires_grad=False))
    average = WeightAverage(model, 77)
    for step in range(1, 60):
        average.update(step % 9 + 1, 40 * step)
    assert torch.equal(averaged(average, model, "weight"), value)


def test_statistics_that_a_model_assigns_anew_are_followed():
    model, plain = Parts(running_mean=torch.zeros(2)), Parts(running_mean=torch.zeros(2))
    average, right = WeightAverage(model, 100), WeightAverage(plain, 100)
    for step in range(1, 6):
        model.running_mean = 0.9 * model.running_mean + 0.1 * step
        plain.running_mean.mul_(0.9).add_(0.1 * step)
        average.update(8, 8 * step)
        right.update(8, 8 * step)
    live = model.running_mean.clone()
    assert torch.equal(averaged(average, model, "running_mean"), right.state_dict()["running_mean"])
    assert not torch.equal(averaged(average, model, "running_mean"), live)
    assert torch.equal(model.running_mean, live)


def test_parameters_that_are_replaced_or_added_are_followed_from_that_step_on():
    model = nn.Sequential(nn.Linear(1, 1, bias=False))
    nn.init.zeros_(model[0].weight)
    average = WeightAverage(model, 100)
    model[0] = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model[0].weight)
    average.update(50, 10**6)
    assert float(averaged(average, model, "0.weight")) == pytest.approx(1 - 0.5**0.5)
    model.append(nn.Linear(1, 2))
    nn.init.ones_(model[1].weight)
    average.update(50, 10**6)
    nn.init.zeros_(model[1].weight)
    average.update(50, 10**6)
    assert averaged(average, model, "1.weight").flatten().tolist() == pytest.approx([0.5**0.5] * 2)
    model[1] = nn.Linear(3, 2)
    average.update(50, 10**6)
    assert torch.equal(averaged(average, model, "1.weight"), model[1].weight)


def test_tied_weights_and_what_shares_their_memory_have_one_average():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    view = model[0].weight.detach().view(4)
    average = WeightAverage(model, 100)
    model[0].weight.data += 1
    average.update(8, 1000)
    live = model[0].weight.detach().clone()
    with average.applied():
        assert model[1].weight is model[0].weight
        assert torch.equal(view, model[0].weight.view(4))
        assert not torch.equal(model[0].weight, live)
    assert torch.equal(model[0].weight, live)


def test_a_spectral_norm_has_unit_vectors_under_the_average_and_a_weight_norm_its_length():
    torch.manual_seed(0)
    model = nn.Sequential(spectral_norm(nn.Linear(6, 6)), weight_norm(nn.Linear(6, 6)))
    average = WeightAverage(model, 1000)
    for step in range(1, 40):
        model.train()
        model(torch.randn(4, 6))
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        average.update(8, 8 * step)
    model.eval()
    with average.applied():
        vectors = model[0].parametrizations.weight[0]
        assert vectors._u.norm() == pytest.approx(1, abs=1e-5)
        length = model[1].parametrizations.weight.original0.flatten()
        assert torch.allclose(model[1].weight.norm(dim=1), length.abs(), atol=1e-5)


def test_the_state_of_a_tensor_to_come_waits_for_it():
    model = nn.Sequential(nn.Linear(1, 1))
    average = WeightAverage(model, 100)
    model.append(nn.Linear(1, 1))
    average.update(8, 1000)
    nn.init.constant_(model[1].weight, 5.0)
    average.update(8, 1000)
    saved = {name: value.clone() for name, value in average.state_dict().items()}
    other = nn.Sequential(nn.Linear(1, 1))
    resumed = WeightAverage(other, 100)
    resumed.load_state_dict(saved)
    other.append(nn.Linear(1, 1))
    other.load_state_dict(model.state_dict())
    for each in (average, resumed):
        each.update(8, 1008)
    assert all(torch.equal(resumed.state_dict()[n], v) for n, v in average.state_dict().items())
