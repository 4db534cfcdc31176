"""The same wiring at a thousandth of the size, for the published weights are a gigabyte each."""

import hashlib
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from harness.contract import DataSpec
from harness.errors import UserError
from harness.features.published_weights import PublishedWeights
from harness.features.vision_transformers import CLIP, DINOv2, interpolate_positions

RGB = DataSpec.images((3, 20, 20))
TINY = {"patch_size": 14, "embed_dim": 24, "depth": 2, "num_heads": 2}


class TinyDINOv2(DINOv2):
    dimensions = 24
    size = 56
    options = TINY | {"img_size": 56, "num_classes": 0}


class TinyCLIP(CLIP):
    dimensions = 10
    size = 56
    options = TINY | {"img_size": 56, "num_classes": 10}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENHARNESS_CACHE", str(tmp_path / "cache"))


def images(n=3):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (n, *RGB.shape), generator=generator).to(torch.uint8)


def publish(monkeypatch, extractor, path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(extractor, "weights", PublishedWeights(path.name, path.as_uri(), digest))


def prepared(extractor):
    """What the network sees, from the definition."""
    x = F.interpolate(images().float(), (56, 56), mode="bicubic", antialias=True).clamp(0, 255)
    mean, deviation = (
        torch.tensor(v).reshape(1, 3, 1, 1) for v in (extractor.mean, extractor.deviation)
    )
    return (x / 255 - mean) / deviation


@pytest.fixture
def dinov2(tmp_path, monkeypatch):
    """A network for 84 pixels, whose 6x6 positions become 4x4."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    options = TinyDINOv2.options | {"img_size": 84}
    original = timm.create_model(DINOv2.architecture, **options).eval()
    for parameter in original.parameters():
        nn.init.normal_(parameter, std=0.3)
    path = tmp_path / "dinov2.pth"
    torch.save(original.state_dict() | {"mask_token": torch.zeros(1, 24)}, path)
    publish(monkeypatch, TinyDINOv2, path)
    return original


def test_dinov2_gives_the_class_token_of_the_published_network(dinov2):
    positions = interpolate_positions(dinov2.pos_embed.detach(), 4)
    x = dinov2.patch_embed.proj(prepared(TinyDINOv2)).flatten(2).transpose(1, 2)
    x = torch.cat([dinov2.cls_token.expand(3, -1, -1), x], dim=1) + positions
    expected = dinov2.norm(dinov2.blocks(x))[:, 0]
    found = TinyDINOv2(RGB)(images())
    assert found.logits is None
    assert_close(found.vectors, expected, rtol=1e-4, atol=1e-5)


def cubic(n, grid, scale, a=-0.75):
    """Keys' cubic convolution of n values, sampled at (k + 1/2) / scale - 1/2: (grid, n)."""
    at = (torch.arange(grid) + 0.5) / scale - 0.5
    first = at.floor().long()
    matrix = torch.zeros(grid, n)
    for tap in range(-1, 3):
        distance = (at - (first + tap)).abs()
        inner = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
        outer = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
        index = (first + tap).clamp(0, n - 1)
        matrix[torch.arange(grid), index] += torch.where(distance <= 1, inner, outer)
    return matrix


def test_positions_are_interpolated_as_the_authors_do():
    torch.manual_seed(0)
    embeddings = torch.randn(1, 1 + 37 * 37, 5)
    found = interpolate_positions(embeddings, 16)
    assert found.shape == (1, 1 + 256, 5)
    assert torch.equal(found[:, 0], embeddings[:, 0])
    assert torch.equal(interpolate_positions(embeddings, 37), embeddings)
    along = cubic(37, 16, 16.1 / 37)
    plane = embeddings[0, 1:].reshape(37, 37, 5)
    expected = torch.einsum("ki,lj,ijd->kld", along, along, plane)
    assert_close(found[0, 1:].reshape(16, 16, 5), expected, rtol=1e-4, atol=1e-4)


@pytest.fixture
def clip(tmp_path, monkeypatch):
    """A network by CLIP's own code, in a file like the published one."""
    pytest.importorskip("timm")
    theirs = pytest.importorskip("torch_fidelity.feature_extractor_clip")

    class Published(nn.Module):
        def __init__(self):
            super().__init__()
            self.visual = theirs.VisionTransformer(
                input_resolution=56, patch_size=14, width=24, layers=2, heads=2, output_dim=10
            )
            self.text_projection = nn.Parameter(torch.zeros(3, 3))

        def forward(self, x):
            return self.visual(x)

    torch.manual_seed(0)
    original = Published().eval()
    for parameter in original.parameters():
        nn.init.normal_(parameter, std=0.3)
    path = tmp_path / "clip.pt"
    torch.jit.trace(original, torch.zeros(1, 3, 56, 56)).save(str(path))
    publish(monkeypatch, TinyCLIP, path)
    return original


def test_clip_gives_embeddings_of_unit_length(clip):
    with torch.inference_mode():
        expected = clip(prepared(TinyCLIP))
        found = TinyCLIP(RGB)(images()).vectors
    assert_close(found.norm(dim=1), torch.ones(3))
    assert_close(found, expected / expected.norm(dim=1, keepdim=True), rtol=1e-4, atol=1e-5)
    assert TinyCLIP.bandwidth == 10


def test_networks_are_of_the_published_size():
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        for extractor, tokens in ((DINOv2, 1 + 16 * 16), (CLIP, 1 + 24 * 24)):
            network = timm.create_model(extractor.architecture, **extractor.options)
            assert network.pos_embed.shape == (1, tokens, 1024)
            seen = network(torch.zeros(1, 3, extractor.size, extractor.size))
            assert seen.shape == (1, extractor.dimensions)


def test_without_timm_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    for extractor in (DINOv2, CLIP):
        assert "pip install 'genharness[timm]'" in (extractor.unusable() or "")
        with pytest.raises(UserError, match="needs timm, which is not installed"):
            extractor(RGB)


def test_other_images_are_refused():
    with pytest.raises(ValueError, match="grey or RGB"):
        DINOv2(DataSpec.images((2, 8, 8)))
