"""Every bijection against autograd's full Jacobian, in float64."""

import math

import pytest
import torch
from torch import nn

from harness.checks.subject import perturb
from harness_flow.bijection import ActNorm, Bijection, Chain, Logit, Squeeze
from harness_flow.coupling import (
    AffineCoupling,
    CouplingNetwork,
    channel_mask,
    checkerboard_mask,
)
from harness_flow.multiscale import MultiScale
from harness_flow.realnvp import build_flow


def coupling(mask):
    return AffineCoupling(mask, CouplingNetwork(len(mask), 4, 1))


class ByLabel(nn.Module):
    """The network of a coupling, plus a scale and a shift of each sub-pixel for each label."""

    def __init__(self, shape, classes):
        super().__init__()
        self.network = CouplingNetwork(shape[0], 4, 1)
        self.table = nn.Parameter(torch.randn(classes, 2 * shape[0], *shape[1:]))

    def forward(self, kept, label):
        return self.network(kept) + self.table[label]


def by_label(shape, parity):
    return AffineCoupling(checkerboard_mask(shape, parity), ByLabel(shape, 2))


class Given(Bijection):
    """A conditional bijection for one label."""

    def __init__(self, bijection, label):
        super().__init__()
        self.bijection, self.label = bijection, label

    def forward(self, z, condition=None):
        return self.bijection(z, torch.full((len(z),), self.label))

    def inverse(self, x, condition=None):
        return self.bijection.inverse(x, torch.full((len(x),), self.label))


def conditional():
    """Two scales, and a coupling by label on each."""
    fine = Chain(Logit(0.05), by_label((1, 4, 4), 0), Squeeze(), ActNorm(4))
    return MultiScale((fine, by_label((2, 2, 2), 1)), ((4, 2, 2), (2, 2, 2)))


CASES = {
    "logit": ((1, 2, 3), lambda: Logit(0.05)),
    "logit without margin": ((2, 2, 2), lambda: Logit(0.0)),
    "actnorm": ((3, 2, 4), lambda: ActNorm(3)),
    "squeeze": ((2, 4, 6), lambda: Squeeze()),
    "checkerboard, even": ((2, 3, 4), lambda: coupling(checkerboard_mask((2, 3, 4), 0))),
    "checkerboard, odd": ((1, 4, 4), lambda: coupling(checkerboard_mask((1, 4, 4), 1))),
    "channels, first kept": ((4, 2, 2), lambda: coupling(channel_mask((4, 2, 2), 0))),
    "channels, last kept": ((4, 2, 3), lambda: coupling(channel_mask((4, 2, 3), 1))),
    "chain": (
        (2, 4, 4),
        lambda: Chain(ActNorm(2), Squeeze(), coupling(channel_mask((8, 2, 2), 0))),
    ),
    "two scales": (
        (1, 4, 4),
        lambda: MultiScale((Chain(Squeeze(), ActNorm(4)), ActNorm(2)), ((4, 2, 2), (2, 2, 2))),
    ),
    "label 0": ((1, 4, 4), lambda: Given(conditional(), 0)),
    "label 1": ((1, 4, 4), lambda: Given(conditional(), 1)),
    "RealNVP, one scale": ((1, 2, 2), lambda: build_flow((1, 2, 2), 4, 1, 0.05)),
    "RealNVP, two scales": ((1, 8, 8), lambda: build_flow((1, 8, 8), 4, 1, 0.05)),
    "RealNVP, colour, oblong": ((3, 8, 12), lambda: build_flow((3, 8, 12), 4, 1, 0.05)),
}


@pytest.fixture(params=CASES)
def case(request):
    torch.manual_seed(0)
    shape, build = CASES[request.param]
    return perturb(build(), 0.1).double().eval(), torch.rand(2, *shape, dtype=torch.float64)


def test_log_determinant_is_that_of_autograds_jacobian(case):
    bijection, x = case
    _, log_det = bijection.inverse(x)
    for i, image in enumerate(x):
        jacobian = torch.autograd.functional.jacobian(
            lambda v: bijection.inverse(v[None])[0].flatten(), image
        ).reshape(image.numel(), -1)
        _, expected = torch.linalg.slogdet(jacobian)
        torch.testing.assert_close(log_det[i], expected, rtol=1e-9, atol=1e-9)


def test_forward_undoes_inverse(case):
    bijection, x = case
    torch.testing.assert_close(bijection(bijection.inverse(x)[0]), x, rtol=1e-9, atol=1e-9)


def test_nothing_depends_on_the_rest_of_the_batch(case):
    bijection, x = case
    z, log_det = bijection.inverse(x)
    alone = [bijection.inverse(image[None]) for image in x]
    torch.testing.assert_close(z, torch.cat([a for a, _ in alone]), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(log_det, torch.cat([b for _, b in alone]), rtol=1e-10, atol=1e-10)


def test_the_density_given_each_label_is_one_and_its_own():
    """p(x | y) of two pixels integrates to one for each y; a batch mixes labels freely."""
    torch.manual_seed(0)
    couplings = [by_label((1, 1, 2), i) for i in range(2)]
    flow = perturb(Chain(*couplings), 0.1).double().requires_grad_(False)
    line = torch.linspace(-16, 16, 321, dtype=torch.float64)
    x = torch.cartesian_prod(line, line).view(-1, 1, 1, 2).repeat(2, 1, 1, 1)
    label = torch.arange(2).repeat_interleave(len(x) // 2)
    z, log_det = flow.inverse(x, label)
    torch.testing.assert_close(flow(z, label), x)
    log_density = log_det - (z.square() + math.log(2 * math.pi)).flatten(1).sum(1) / 2
    given = log_density.exp().view(2, -1)
    torch.testing.assert_close(given.sum(1) * 0.1**2, torch.ones(2).double(), atol=1e-6, rtol=0)
    assert (given[0] - given[1]).abs().sum() * 0.1**2 > 0.1


def test_squeeze_puts_even_rows_into_the_first_half_of_the_channels():
    rows = torch.arange(4.0)[:, None].expand(1, 1, 4, 4)
    z, _ = Squeeze().inverse(rows)
    assert (z[:, :2] % 2 == 0).all() and (z[:, 2:] % 2 == 1).all()


def test_channel_halves_after_a_squeeze_differ_from_the_checkerboard():
    """Otherwise three couplings would repeat what the three before them did."""
    board, _ = Squeeze().inverse(checkerboard_mask((1, 4, 4), 0)[None].int())
    halves = channel_mask((4, 2, 2), 0)[None].int()
    assert not torch.equal(board, halves) and not torch.equal(board, 1 - halves)


@pytest.mark.parametrize("parity", [0, 1])
@pytest.mark.parametrize("make", [checkerboard_mask, channel_mask])
def test_a_coupling_keeps_half_and_changes_the_rest_by_what_it_kept(make, parity):
    torch.manual_seed(0)
    shape = (2, 4, 4)
    mask = make(shape, parity).flatten()
    block = perturb(coupling(make(shape, parity)), 0.3).double()
    jacobian = torch.autograd.functional.jacobian(
        lambda v: block.inverse(v[None])[0].flatten(), torch.rand(shape, dtype=torch.float64)
    ).reshape(32, 32)
    kept, changed = jacobian[mask], jacobian[~mask]
    assert mask.sum() == 16
    torch.testing.assert_close(kept, torch.eye(32, dtype=torch.float64)[mask])
    among_changed = changed[:, ~mask]
    assert (among_changed - torch.diag(among_changed.diag())).abs().max() == 0
    assert (changed[:, mask] != 0).any(0).all()


def test_parities_together_change_every_pixel():
    for make in (checkerboard_mask, channel_mask):
        assert (make((4, 5, 3), 0) ^ make((4, 5, 3), 1)).all()


def test_actnorm_whitens_the_first_training_batch_and_then_stays():
    torch.manual_seed(0)
    norm = ActNorm(3)
    first = 5 + 3 * torch.randn(16, 3, 4, 4)
    norm.eval().inverse(first)
    assert norm.mean.abs().max() == 0
    z, _ = norm.train().inverse(first)
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.var((0, 2, 3), correction=0), torch.ones(3), atol=1e-4, rtol=0)
    before = norm.mean.clone()
    norm.inverse(first * 2)
    assert torch.equal(norm.mean, before)


def test_actnorm_remembers_in_a_checkpoint_that_it_has_seen_a_batch():
    norm, resumed = ActNorm(2).train(), ActNorm(2).train()
    norm.inverse(torch.randn(8, 2, 2, 2))
    resumed.load_state_dict(norm.state_dict())
    resumed.inverse(100 + torch.randn(8, 2, 2, 2))
    assert torch.equal(norm.mean, resumed.mean)


def test_couplings_compute_in_float32_under_autocast():
    torch.manual_seed(0)
    flow = perturb(build_flow((1, 8, 8), 8, 1, 0.05), 0.05).eval()
    y = torch.rand(4, 1, 8, 8)
    exact = flow.inverse(y)[1]
    with torch.autocast("cpu", torch.bfloat16):
        z, log_det = flow.inverse(y)
        assert z.dtype == log_det.dtype == torch.float32
        torch.testing.assert_close(flow(z), y, atol=0.02, rtol=0)
    torch.testing.assert_close(log_det, exact, atol=1.0, rtol=0.01)
