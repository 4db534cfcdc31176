"""The U-Net: sizes, reach, independence of images; the embedding of time."""

import math

import pytest
import torch
from torch import nn

from harness.checks.subject import perturb
from harness_nets.embeddings import SinusoidalEmbedding
from harness_nets.unet import SelfAttention, TimeResidualBlock, UNet


def build(shape, channels=8, blocks=1):
    torch.manual_seed(0)
    return perturb(UNet(shape, channels, blocks), 0.1).eval()


def without_norms(module):
    """Replace normalisation, whose statistics connect all pixels, so that paths show."""
    for name, child in module.named_children():
        if isinstance(child, nn.GroupNorm):
            setattr(module, name, nn.Identity())
        else:
            without_norms(child)
    return module


@pytest.mark.parametrize(
    "shape",
    [(1, 2, 2), (1, 7, 7), (1, 8, 8), (3, 9, 30), (1, 28, 28), (3, 32, 32)],
    ids=lambda s: "x".join(map(str, s)),
)
def test_every_output_depends_on_every_input(shape):
    net = without_norms(build(shape))
    x = torch.randn(1, *shape, requires_grad=True)
    y = net(x, torch.tensor([0.3]))
    assert y.shape == x.shape
    _, h, w = shape
    corners = [(0, 0), (h - 1, w - 1), (h // 2, 0)]
    for i, j in corners:
        (gradient,) = torch.autograd.grad(y[0, :, i, j].sum(), x, retain_graph=True)
        assert (gradient != 0).all()


@pytest.mark.parametrize("attends", [True, False])
def test_distant_pixels_meet_by_attention_alone(attends):
    """On 7x40 there is one level, and convolutions do not reach from one end to the other."""
    net = without_norms(build((1, 7, 40)))
    if not attends:
        for module in [m for m in net.modules() if hasattr(m, "attention")]:
            module.attention = nn.Identity()
    x = torch.randn(1, 1, 7, 40, requires_grad=True)
    y = net(x, torch.tensor([0.3]))
    (gradient,) = torch.autograd.grad(y[0, 0, :, 0].sum(), x)
    assert (gradient[..., :5] != 0).all()
    assert bool((gradient[..., -5:] != 0).all()) == attends


@pytest.mark.parametrize("blocks", [1, 2])
def test_images_of_a_batch_do_not_see_each_other(blocks):
    net = build((2, 8, 8), blocks=blocks).double()
    x, t = torch.randn(3, 2, 8, 8, dtype=torch.float64), torch.rand(3, dtype=torch.float64)
    whole = net(x, t)
    alone = torch.cat([net(x[i : i + 1], t[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(whole, alone)


def test_output_depends_on_time():
    net = build((1, 8, 8))
    x = torch.randn(1, 1, 8, 8).expand(3, -1, -1, -1)
    y = net(x, torch.tensor([0.1, 0.101, 0.9]))
    assert 0 < (y[0] - y[1]).abs().max() < (y[0] - y[2]).abs().max()


def test_a_new_network_predicts_nothing_and_passes_its_input_through():
    x, t = torch.randn(2, 1, 8, 8), torch.rand(2)
    assert (UNet((1, 8, 8), 8)(x, t) == 0).all()
    features = torch.randn(2, 8, 4, 4)
    assert torch.equal(SelfAttention(8)(features), features)
    assert torch.equal(TimeResidualBlock(8, 8, 16, 0.0)(features, torch.randn(2, 16)), features)


def test_attention_is_the_softmax_of_scaled_products():
    torch.manual_seed(0)
    layer = perturb(SelfAttention(64), 0.3).double()
    x = torch.randn(1, 64, 2, 3, dtype=torch.float64)
    tokens = layer.norm(x).flatten(2)[0].T
    q, k, v = layer.qkv(tokens).split(64, dim=1)
    heads = []
    for i in range(2):
        part = slice(32 * i, 32 * (i + 1))
        weights = torch.softmax(q[:, part] @ k[:, part].T / math.sqrt(32), dim=1)
        heads.append(weights @ v[:, part])
    expected = x + layer.proj(torch.cat(heads, 1)).T.view(1, 64, 2, 3)
    torch.testing.assert_close(layer(x), expected)


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="100 channels do not divide into 3 heads"):
        SelfAttention(100)


def test_embedding_is_sines_and_cosines_of_a_thousand_times_t():
    y = SinusoidalEmbedding(6)(torch.tensor([0.25]))
    angles = [250 * 10_000 ** (-2 * k / 6) for k in range(3)]
    expected = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
    assert y[0].tolist() == pytest.approx(expected, abs=2e-5)


def test_product_of_embeddings_depends_on_the_difference_of_times():
    y = SinusoidalEmbedding(32)(torch.tensor([0.1, 0.12, 0.5, 0.52]))
    assert float(y[0] @ y[1]) == pytest.approx(float(y[2] @ y[3]), abs=1e-3)
    assert float(y[0] @ y[0]) == pytest.approx(16, abs=1e-4)


def test_odd_embeddings_are_refused():
    with pytest.raises(ValueError, match="even"):
        SinusoidalEmbedding(5)
