"""The wiring around a network with the published one's interface, for that is 96 MB elsewhere."""

import numpy as np
import pytest
import torch
from support.stand_in_inception import publish
from torch.testing import assert_close

from harness.contract import DataSpec
from harness.features.inception import (
    WEIGHTS,
    Inception,
    InceptionLegacyPyTorch,
    InceptionLegacyTensorFlow,
)
from harness.features.published_weights import PublishedWeights, WeightsError
from harness.measurement.extraction import extract

GREY, RGB = DataSpec.images((1, 28, 28)), DataSpec.images((3, 32, 32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("published")


@pytest.fixture(scope="module")
def published(folder):
    return publish(folder)


@pytest.fixture(autouse=True)
def stand_in(published, tmp_path, monkeypatch):
    monkeypatch.setenv("GENHARNESS_CACHE", str(tmp_path))
    monkeypatch.setattr(Inception, "weights", published)


def photographs(spec, n=3):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(256, (n, *spec.shape), generator=generator).to(torch.uint8)


def resized_by_clean_fid(images, mode):
    """Return float32 RGB images as clean-fid hands them to the network."""
    resize = pytest.importorskip("cleanfid.resize").build_resizer(mode)
    colours = np.repeat(images.numpy(), 3 // images.shape[1], axis=1).transpose(0, 2, 3, 1)
    resized = np.stack([resize(image) for image in colours]).astype(np.float32)
    return torch.from_numpy(resized.transpose(0, 3, 1, 2).copy())


@pytest.mark.parametrize(
    ("ours", "mode"), [(Inception, "clean"), (InceptionLegacyTensorFlow, "legacy_tensorflow")]
)
@pytest.mark.parametrize("spec", [GREY, RGB], ids=["grey", "rgb"])
def test_features_are_those_of_clean_fid(ours, mode, spec, folder):
    inception = pytest.importorskip("cleanfid.inception_torchscript")
    images = photographs(spec)
    theirs = inception.InceptionV3W(
        str(folder), download=False, resize_inside=mode == "legacy_tensorflow"
    )
    with torch.inference_mode():
        expected = theirs(resized_by_clean_fid(images, mode))
        found = ours(spec)(images).vectors
    assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "spec", [GREY, RGB, DataSpec.images((3, 400, 310))], ids=["grey", "rgb", "large"]
)
def test_the_legacy_mode_of_pytorch_resizes_and_scales_as_clean_fid(spec):
    """Its network is another file of the same weights, so the stand-in takes its place."""
    images = photographs(spec)
    extractor = InceptionLegacyPyTorch(spec)
    theirs = resized_by_clean_fid(images, "legacy_pytorch")
    with torch.inference_mode():
        expected = extractor.network.layers(2 * (theirs / 255) - 1).flatten(1)
        found = extractor(images)
        aliased = Inception(spec)(images).vectors
    assert_close(found.vectors, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found.vectors, aliased, rtol=1e-2, atol=1e-3)


def test_logits_are_those_of_the_output_without_bias():
    extractor = Inception(RGB)
    vectors, logits = extractor(photographs(RGB))
    assert vectors.shape == (3, 2048) and logits.shape == (3, 1008)
    assert_close(logits, vectors @ extractor.network.output.weight.T)


def test_modes_and_levels_have_digests_of_their_own():
    extractors = [
        Inception(RGB),
        InceptionLegacyTensorFlow(RGB),
        InceptionLegacyPyTorch(RGB),
        Inception(DataSpec.images((3, 32, 32), levels=17)),
    ]
    assert len({extractor.digest for extractor in extractors}) == 4
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
        Inception(DataSpec.images((2, 8, 8)))


@pytest.mark.parametrize("ours", [Inception, InceptionLegacyPyTorch, InceptionLegacyTensorFlow])
def test_images_of_several_sizes_are_measured_each_by_itself(ours):
    shapes = [(3, 32, 32), (1, 28, 28), (3, 50, 20), (3, 32, 32), (1, 28, 28)]
    generator = torch.Generator().manual_seed(2)
    images = [torch.randint(256, shape, generator=generator, dtype=torch.uint8) for shape in shapes]

    class Stream:
        def __len__(self):
            return len(images)

        def batches(self, size):
            for start in range(0, len(images), size):
                yield images[start : start + size]

    extractor = ours(RGB)
    with torch.inference_mode():
        expected = [extractor(image[None]) for image in images]
    found = list(extract(extractor, Stream(), batch_size=4))
    assert [len(features.vectors) for features in found] == [4, 1]
    for part in (0, 1):
        together, alone = (torch.cat([f[part] for f in each]) for each in (found, expected))
        assert_close(together, alone, rtol=1e-4, atol=1e-5)
