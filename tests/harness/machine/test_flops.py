from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from harness.contract import DataSpec, HasSteps
from harness.machine.flops import FlopCounter
from harness.plugins.registry import registry


def count(work, *args):
    with FlopCounter() as counter:
        work(*args)
    assert not counter.uncounted
    return counter.total


def training(module, x):
    """A forward pass and the gradients of everything that wants one."""
    return count(lambda: module(x).square().sum().backward())


def leaf(*shape):
    return torch.randn(*shape, requires_grad=True)


@pytest.mark.parametrize("bias", [False, True])
def test_linear(bias):
    layer, forward = nn.Linear(5, 7, bias=bias), 2 * 3 * 5 * 7
    assert count(layer, torch.randn(3, 5)) == forward
    assert training(layer, torch.randn(3, 5)) == 2 * forward  # no gradient of the input
    assert training(layer, leaf(3, 5)) == 3 * forward


def test_matrix_products():
    a, b = torch.randn(2, 3, 5), torch.randn(2, 5, 7)
    assert count(torch.bmm, a, b) == 2 * 2 * 3 * 5 * 7
    assert count(torch.baddbmm, torch.zeros(3, 7), a, b) == 2 * 2 * 3 * 5 * 7
    assert count(torch.addbmm, torch.zeros(3, 7), a, b) == 2 * 2 * 3 * 5 * 7
    assert count(torch.addmm, torch.zeros(7), a[0], b[0]) == 2 * 3 * 5 * 7
    assert count(torch.mv, a[0], b[0, :, 0]) == 2 * 3 * 5
    assert count(torch.addmv, torch.zeros(3), a[0], b[0, :, 0]) == 2 * 3 * 5
    assert count(torch.dot, a[0, 0], b[0, :, 0]) == 2 * 5
    assert count(torch.einsum, "bij,bjk->bik", a, b) == 2 * 2 * 3 * 5 * 7
    assert count(lambda: torch.zeros(3, 7).addmm_(a[0], b[0])) == 2 * 3 * 5 * 7
    assert count(lambda: torch.mm(a[0], b[0], out=torch.empty(3, 7))) == 2 * 3 * 5 * 7


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("stride", "padding", "side"), [(1, 1, 9), (2, 1, 5), (2, 0, 4)])
def test_convolution(groups, stride, padding, side):
    layer = nn.Conv2d(4, 8, 3, stride, padding, groups=groups)
    forward = 2 * 3 * 8 * side**2 * (4 // groups) * 9
    assert count(layer, torch.randn(3, 4, 9, 9)) == forward
    assert training(layer, torch.randn(3, 4, 9, 9)) == 2 * forward
    assert training(layer, leaf(3, 4, 9, 9)) == 3 * forward
    assert training(layer.requires_grad_(False), leaf(3, 4, 9, 9)) == 2 * forward


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolution(groups):
    """Every pixel of the input meets every weight, whatever the size of the output."""
    layer = nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1, groups=groups)
    forward = 2 * 3 * 5**2 * 8 * (4 // groups) * 16
    assert count(layer, torch.randn(3, 8, 5, 5)) == forward
    assert training(layer, torch.randn(3, 8, 5, 5)) == 2 * forward
    assert training(layer, leaf(3, 8, 5, 5)) == 3 * forward


def test_convolution_of_one_and_three_dimensions():
    assert count(nn.Conv1d(4, 6, 3, padding=1), torch.randn(2, 4, 10)) == 2 * 2 * 10 * 4 * 6 * 3
    volume = torch.randn(2, 4, 5, 5, 5)
    assert count(nn.Conv3d(4, 6, 3, padding=1), volume) == 2 * 2 * 125 * 4 * 6 * 27


@pytest.mark.parametrize("causal", [False, True])
def test_attention(causal):
    """Scores q k' and their product with v; backward recomputes the scores, then four products."""
    q, k, v = leaf(2, 3, 6, 8), leaf(2, 3, 6, 8), leaf(2, 3, 6, 8)
    product = 2 * 2 * 3 * 6 * 6 * 8

    def attend():
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        assert count(attend) == 2 * product
        assert count(lambda: attend().sum().backward()) == 7 * product
    with sdpa_kernel(SDPBackend.MATH):
        assert count(attend) == 2 * product
        assert count(lambda: attend().sum().backward()) == 6 * product


@pytest.mark.parametrize("mode", [nullcontext, torch.no_grad, torch.inference_mode])
def test_forward_counts_the_same_in_every_mode(mode):
    convolution, linear = nn.Conv2d(2, 4, 3, padding=1), nn.Linear(8, 8)
    lstm = nn.LSTM(8, 8, batch_first=True)
    x = torch.randn(3, 2, 8, 8)

    def forward():
        h = linear(convolution(x)).flatten(1, 2)
        h = F.scaled_dot_product_attention(h, h, h)
        lstm(h)

    tokens = 3 * 4 * 8
    expected = 2 * 3 * 64 * 2 * 4 * 9 + 2 * tokens * 64 + 2 * 2 * 3 * 32 * 32 * 8
    expected += 2 * tokens * 4 * (64 + 64)
    with mode():
        assert count(forward) == expected


def test_lstm():
    """Four gates, each of input and hidden state, in two directions and two layers."""
    tokens = 3 * 4
    lstm = nn.LSTM(5, 7, num_layers=2, bidirectional=True, batch_first=True)
    forward = 2 * tokens * 4 * 7 * 2 * ((5 + 7) + (14 + 7))
    assert count(lstm, torch.randn(3, 4, 5)) == forward
    assert training(lambda x: lstm(x)[0], leaf(3, 4, 5)) == 3 * forward


def test_lstm_cell_and_gru():
    assert count(nn.LSTMCell(5, 7), torch.randn(3, 5)) == 2 * 3 * 4 * 7 * (5 + 7)
    assert count(nn.GRU(5, 7), torch.randn(4, 3, 5)) == 2 * 4 * 3 * 3 * 7 * (5 + 7)


def penalise(critic, x):
    (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    (gradient.flatten(1).norm(dim=1) - 1).square().mean().backward()


def test_gradient_penalty_of_a_linear_critic():
    """For D(x) = v tanh(W x), with V and W products of batch 3.

    D: V + W. Its gradient by x: V' and W'. The penalty's backward: through W' to tanh'(h) v (one
    W) and to W (one), through V' to v (one V); then through tanh' and h to W and x (two).
    """
    hidden, output = nn.Linear(5, 7), nn.Linear(7, 1)
    critic = nn.Sequential(hidden, nn.Tanh(), output)
    w, v = 2 * 3 * 5 * 7, 2 * 3 * 7
    assert count(penalise, critic, leaf(3, 5)) == (w + v) + (w + v) + (2 * w + v) + 2 * w


def test_gradient_penalty_of_a_convolutional_critic():
    """The same with a convolution: forward, by x, two of the double backward, two of backward."""
    convolution = nn.Conv2d(2, 4, 3)
    critic = nn.Sequential(convolution, nn.Tanh())
    forward = 2 * 3 * 4 * 6**2 * 2 * 9
    assert count(penalise, critic, leaf(3, 2, 8, 8)) == 6 * forward
    assert all(p.grad is not None for p in convolution.parameters() if p.ndim > 1)


def test_spectral_normalisation():
    """One power iteration, u = W v and v = W' u, and sigma = u' (W v)."""
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(5, 7, bias=False))
    linear, product = 2 * 3 * 5 * 7, 2 * 5 * 7
    assert count(layer, torch.randn(3, 5)) == 2 * product + product + 2 * 7 + linear
    layer.eval()
    assert count(layer, torch.randn(3, 5)) == product + 2 * 7 + linear


def test_recomputation_is_counted():
    layer = nn.Sequential(nn.Linear(5, 7), nn.Tanh())
    x = leaf(3, 5)

    def checkpointed():
        torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False).sum().backward()

    assert count(checkpointed) == 4 * 2 * 3 * 5 * 7


def test_linear_work_is_free():
    model = nn.Sequential(
        nn.BatchNorm2d(4),
        nn.GroupNorm(2, 4),
        nn.SiLU(),
        nn.AvgPool2d(2),
        nn.Dropout(),
        nn.Flatten(),
    )
    optimizer = torch.optim.Adam(model.parameters())
    embedding = nn.Embedding(10, 16)
    x = leaf(3, 4, 4, 4)

    def work():
        y = model(x) + embedding(torch.arange(3))
        y = F.layer_norm(y, (16,)).softmax(-1) + torch.randn_like(y).sort(-1).values
        F.interpolate(y.view(3, 4, 2, 2), scale_factor=2, mode="bilinear").norm().backward()
        optimizer.step()

    assert count(work) == 0


@torch.library.custom_op("genharness_tests::negate", mutates_args=())
def negate(x: torch.Tensor) -> torch.Tensor:
    return -x


def test_names_arithmetic_without_a_formula():
    image, theta = torch.randn(1, 2, 4, 4), torch.randn(1, 4, 4, 2)
    matrix = torch.eye(3) + 0.1
    with FlopCounter() as counter:
        torch.fft.rfft2(image)
        F.grid_sample(image, theta, align_corners=False)
        torch.cdist(matrix, matrix)
        torch.linalg.slogdet(matrix)
        torch.linalg.inv(matrix)
        torch.linalg.cholesky(matrix)
        matrix.cumsum(0)
        matrix.cumsum(1)
        negate(matrix)
    assert counter.total == 0
    assert counter.uncounted == {
        "aten._fft_r2c": 1,
        "aten.grid_sampler_2d": 1,
        "aten._cdist_forward": 1,
        "aten._linalg_slogdet": 1,
        "aten.linalg_inv_ex": 1,
        "aten.linalg_cholesky_ex": 1,
        "aten.cumsum": 2,
        "genharness_tests.negate": 1,
    }


def test_results_are_those_without_the_counter():
    def losses():
        torch.manual_seed(0)
        critic = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 1))
        x = torch.randn(3, 2, 8, 8, requires_grad=True)
        penalise(critic, F.dropout(x, 0.5))
        return [p.grad for p in critic.parameters() if p.grad is not None]

    expected = losses()
    with FlopCounter():
        counted = losses()
    assert all(map(torch.equal, counted, expected))


@pytest.mark.parametrize("name", ["vae", "realnvp", "dcgan", "sngan", "ddpm", "score-sde"])
def test_counts_on_the_meta_device_as_on_the_cpu(name):
    """A model that decides nothing by its values can be counted where nothing is computed."""
    model_class = registry().load(registry().model(name).info)
    model = model_class(DataSpec.images((1, 8, 8), levels=17), model_class.Config()).eval()
    if isinstance(model, HasSteps):
        model.sampling_steps = 2
    totals = []
    for device in ("cpu", "meta"):
        with torch.device(device), torch.no_grad():
            totals.append(count(model.to(device).sample, 2))
    assert totals[0] == totals[1] > 0


def test_counts_on_after_a_pause():
    counter, layer, x = FlopCounter(), nn.Linear(5, 7), torch.randn(3, 5)
    with counter:
        layer(x)
    layer(x)
    with counter:
        layer(x)
    assert counter.total == 2 * 2 * 3 * 5 * 7


@pytest.mark.gpu
def test_counts_on_cuda_as_on_the_cpu():
    lstm = nn.LSTM(8, 16, num_layers=2, bidirectional=True)
    convolution = nn.Conv2d(4, 8, 3, groups=2)
    qkv = torch.randn(2, 4, 16, 32)

    def work(device):
        lstm.to(device)(torch.randn(5, 3, 8, device=device, requires_grad=True))[0].sum().backward()
        x = torch.randn(3, 4, 9, 9, device=device, requires_grad=True)
        penalise(convolution.to(device), x)
        h = qkv.to(device).requires_grad_()
        F.scaled_dot_product_attention(h, h, h).sum().backward()

    assert count(work, "cuda") == count(work, "cpu")


def encoder_flops(n, length, d, hidden):
    """Four projections, scores and their sums over values, and two layers: by hand."""
    tokens = n * length
    return 2 * tokens * 4 * d * d + 2 * (2 * n * length**2 * d) + 2 * (2 * tokens * d * hidden)


def test_the_fast_path_of_a_transformer_in_eval_mode_counts_as_any_other():
    """Torch fuses a whole layer into one operator there, which would be one without a formula."""
    x = torch.randn(2, 5, 8)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    stack = nn.TransformerEncoder(layer, 3).eval()
    expected = encoder_flops(2, 5, 8, 16)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert count(layer, x) == expected
            assert count(stack, x) == 3 * expected
    assert count(nn.MultiheadAttention(8, 2, batch_first=True).eval(), x, x, x) > 0


def test_counting_leaves_the_fast_path_as_it_was():
    fused = torch.backends.mha
    for enabled in (True, False):
        fused.set_fastpath_enabled(enabled)
        with pytest.raises(ZeroDivisionError), FlopCounter() as counter:
            torch.zeros(3).cumsum(0)
            with counter:
                assert not fused.get_fastpath_enabled()
            raise ZeroDivisionError
        assert fused.get_fastpath_enabled() is enabled
    fused.set_fastpath_enabled(True)
