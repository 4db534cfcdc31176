"""The wiring around a network with the published one's interface, for that is 96 MB elsewhere."""

import hashlib

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from harness.contract import DataSpec
from harness.features.inception import WEIGHTS, Inception, InceptionLegacyTensorFlow
from harness.features.published_weights import PublishedWeights, WeightsError

GREY, RGB = DataSpec((1, 28, 28)), DataSpec((3, 32, 32))


class StandIn(nn.Module):
    """``layers`` on 299 pixels, ``output`` of 1,008 classes, and its own resizing before them."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 5, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Conv2d(16, 2048, 4)
        )
        self.output = nn.Linear(2048, 1008)

    def forward(self, x, return_features: bool = False):
        x = F.interpolate(x, [299, 299], mode="bilinear", align_corners=False)
        features = self.layers((x - 128) / 128).flatten(1)
        if return_features:
            return features
        return self.output(features).softmax(1)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("published")
    path = folder / "inception-2015-12-05.pt"
    torch.jit.script(StandIn().eval()).save(str(path))
    return path


@pytest.fixture(autouse=True)
def stand_in(published, tmp_path, monkeypatch):
    monkeypatch.setenv("GENHARNESS_CACHE", str(tmp_path))
    digest = hashlib.sha256(published.read_bytes()).hexdigest()
    weights = PublishedWeights(published.name, published.as_uri(), digest)
    monkeypatch.setattr(Inception, "weights", weights)
    return weights


def photographs(spec, n=3):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (n, *spec.shape), generator=generator).to(torch.uint8)


@pytest.mark.parametrize(
    ("ours", "mode"), [(Inception, "clean"), (InceptionLegacyTensorFlow, "legacy_tensorflow")]
)
@pytest.mark.parametrize("spec", [GREY, RGB], ids=["grey", "rgb"])
def test_features_are_those_of_clean_fid(ours, mode, spec, published):
    inception = pytest.importorskip("cleanfid.inception_torchscript")
    resizing = pytest.importorskip("cleanfid.resize")
    images = photographs(spec)
    theirs = inception.InceptionV3W(
        str(published.parent), download=False, resize_inside=mode == "legacy_tensorflow"
    )
    resize = resizing.build_resizer(mode)
    colours = np.repeat(images.numpy(), 3 // spec.shape[0], axis=1).transpose(0, 2, 3, 1)
    resized = np.stack([resize(image) for image in colours]).astype(np.float32)
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(resized.transpose(0, 3, 1, 2).copy()))
        found = ours(spec)(images).vectors
    assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_logits_are_those_of_the_output_without_bias(published):
    extractor = Inception(RGB)
    vectors, logits = extractor(photographs(RGB))
    assert vectors.shape == (3, 2048) and logits.shape == (3, 1008)
    assert_close(logits, vectors @ extractor.network.output.weight.T)


def test_modes_and_levels_have_digests_of_their_own():
    extractors = [
        Inception(RGB),
        InceptionLegacyTensorFlow(RGB),
        Inception(DataSpec((3, 32, 32), levels=17)),
    ]
    assert len({extractor.digest for extractor in extractors}) == 3
    assert Inception(RGB).digest == Inception(GREY).digest


def test_it_is_frozen_in_eval_mode():
    extractor = Inception(RGB).train()
    assert not any(part.training for part in extractor.modules())
    assert not any(p.requires_grad for p in extractor.parameters())


def test_the_published_file_is_asked_for(tmp_path, monkeypatch):
    assert WEIGHTS.name == "inception-2015-12-05.pt" and len(WEIGHTS.sha256) == 64
    unreachable = PublishedWeights(WEIGHTS.name, "http://127.0.0.1:9/", WEIGHTS.sha256)
    monkeypatch.setattr(Inception, "weights", unreachable)
    with pytest.raises(WeightsError, match=f"Put the file in {tmp_path / 'weights'}"):
        Inception(RGB)


def test_other_images_are_refused():
    with pytest.raises(ValueError, match="grey or RGB"):
        Inception(DataSpec((2, 8, 8)))
