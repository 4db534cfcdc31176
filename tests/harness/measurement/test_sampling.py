"""Samples are seeded by batch, checked, counted, and leave the model as it was."""

import pytest
import torch
from support.toys import SPEC, Config, LabelPainter, Regressor

from harness.measurement.interpolation import interpolate
from harness.measurement.sampling import Sampler
from harness.plugins.contract_validation import ContractBroken


def sampler(model=None, batch_size=8, **options):
    torch.manual_seed(0)
    model = (model or Regressor)(SPEC, Config())
    return Sampler(model, seed=1, batch_size=batch_size, precision="fp32", **options)


def test_the_first_images_of_a_set_do_not_depend_on_how_many_are_drawn():
    draw = sampler().draw
    assert torch.equal(draw(50)[:19], draw(19))
    assert not torch.equal(draw(19, set_index=1), draw(19))


def test_drawing_depends_on_nothing_that_was_drawn_before():
    one = sampler()
    first = one.draw(20)
    torch.manual_seed(5)
    one.draw(3, set_index=4)
    assert torch.equal(one.draw(20), first)


def test_the_model_is_in_eval_mode_and_without_gradients_and_comes_back():
    seen = []

    class Spy(Regressor):
        def sample(self, n, y=None):
            seen.append((self.training, torch.is_grad_enabled()))
            return super().sample(n, y)

    one = sampler(Spy)
    one.model.train()
    one.draw(8)
    assert seen == [(False, False)]
    assert one.model.training


def test_nfe_and_flops_are_counted():
    class Iterative(Regressor):
        def sample(self, n, y=None):
            for _ in range(6):
                self.network(torch.randn(n, 4))
            return super().sample(n, y)

    cost = sampler(Iterative).cost()
    assert cost.evaluations == 7
    assert cost.flops == 7 * 2 * (4 * 16 + 16 * 4)
    assert sampler(Iterative).cost(n=2) == cost


def test_sample_i_is_drawn_from_condition_i_whatever_the_batch_and_the_set():
    y = torch.tensor([0, 2, 1, 1, 2, 0, 2])
    for batch_size in (1, 3, 8):
        drawn = sampler(LabelPainter, batch_size=batch_size, conditions=y)
        for set_index in (0, 1):
            assert torch.equal(drawn.draw(7, set_index)[:, 0, 0, 0].long(), y)
    assert drawn.draw(9)[7:, 0, 0, 0].tolist() == [0, 2]


class Reusing(Regressor):
    """Fills one tensor anew at every call, and returns a view of it."""

    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.register_buffer("drawn", torch.zeros(64, *spec.shape, dtype=torch.uint8))

    def sample(self, n, y=None):
        self.drawn[:n] = super().sample(n, y)
        return self.drawn[:n]

    def sample_prior(self, n):
        return torch.randn(n, self.spec.dimensions)

    def decode(self, z):
        self.drawn[: len(z)] = self.network(z).round().clamp(0, 3).view(-1, *self.spec.shape)
        return self.drawn[: len(z)]


def test_samples_in_memory_that_the_model_uses_again_are_kept():
    one, plain = sampler(Reusing), sampler()
    assert torch.equal(one.draw(50), plain.draw(50))
    assert not torch.equal(one.draw(16)[:8], one.draw(16)[8:])


def test_interpolated_images_in_memory_that_the_model_uses_again_are_kept():
    model = sampler(Reusing).model
    first = interpolate(model, seed=0, precision="fp32", rows=2, steps=3)
    kept = first.clone()
    interpolate(model, seed=1, precision="fp32", rows=2, steps=3)
    assert torch.equal(first, kept)


def test_samples_that_are_expanded_or_transposed_are_drawn_as_they_look():
    class Repeated(Regressor):
        def sample(self, n, y=None):
            image = torch.randint(4, (1, *self.spec.shape), dtype=torch.uint8)
            return image.transpose(2, 3).expand(n, *self.spec.shape)

    drawn = sampler(Repeated).draw(20)
    assert drawn.is_contiguous() and drawn.shape == (20, 1, 2, 2)
    assert torch.equal(drawn[0], drawn[7]) and not torch.equal(drawn[0], drawn[8])


def test_unconditional_models_get_no_labels():
    assert sampler(conditions=torch.tensor([1])).conditions(5) is None


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (torch.zeros(8, 1, 2, 2), "torch.float32"),
        (torch.zeros(8, 2, 2, dtype=torch.uint8), r"\(8, 2, 2\)"),
        (torch.zeros(7, 1, 2, 2, dtype=torch.uint8), r"\(7, 1, 2, 2\)"),
        (torch.full((8, 1, 2, 2), 4, dtype=torch.uint8), "value 4; the data has 4 levels"),
    ],
)
def test_samples_that_break_the_contract_are_refused(samples, message):
    class Wrong(Regressor):
        def sample(self, n, y=None):
            return samples

    with pytest.raises(ContractBroken, match=message):
        sampler(Wrong).draw(8)


def test_operators_without_a_formula_are_listed_beside_the_cost():
    class Summing(Regressor):
        def sample(self, n, y=None):
            torch.ones(3).cumsum(0)
            torch.ones(3).cumsum(0)
            return super().sample(n, y)

    cost = sampler(Summing).cost()
    assert cost.uncounted == {"aten.cumsum": 2}
    assert sampler().cost().uncounted == {}
