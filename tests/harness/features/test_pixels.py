import pytest
import torch
from torch.testing import assert_close

from harness.contract import ArraySpec, DataSpec
from harness.features.pixels import Pixels


def test_small_grey_images_are_only_scaled():
    spec = DataSpec.images((1, 8, 8), levels=17)
    images = torch.randint(17, (5, 1, 8, 8)).to(torch.uint8)
    vectors, logits = Pixels(spec)(images)
    assert logits is None
    assert_close(vectors, images.flatten(1) / 16)


def test_large_images_are_averaged_over_areas():
    images = torch.randint(256, (5, 1, 32, 32)).to(torch.uint8)
    extractor = Pixels(DataSpec.images((1, 32, 32)))
    blocks = images.double().reshape(5, 16, 2, 16, 2).mean((2, 4)) / 255
    assert_close(extractor(images).vectors.double(), blocks.flatten(1), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "d"),
    [
        ((1, 8, 8), 64),
        ((1, 28, 28), 256),
        ((3, 8, 8), 192),
        ((3, 32, 32), 243),
        ((1, 4, 100), 64),
        ((300, 2, 2), 300),
    ],
)
def test_values_are_at_most_256(shape, d):
    extractor = Pixels(DataSpec.images(shape))
    assert extractor.dimensions == d and extractor.classes == 0
    full = torch.full((2, *shape), 255, dtype=torch.uint8)
    assert_close(extractor(full).vectors, torch.ones(2, d))


def test_digests_differ_between_specs():
    specs = [
        DataSpec.images((1, 8, 8)),
        DataSpec.images((1, 8, 8), levels=17),
        DataSpec.images((1, 28, 28)),
    ]
    assert len({Pixels(spec).digest for spec in specs}) == 3
    assert Pixels(specs[0]).digest == Pixels(DataSpec.images((1, 8, 8))).digest


@pytest.mark.parametrize(
    ("kind", "shape", "dimensions"),
    [("video", (3, 1, 4, 5), 60), ("audio", (1, 400), 256), ("audio", (2, 100), 200)],
)
def test_reads_values_of_any_kind(kind, shape, dimensions):
    spec = DataSpec(ArraySpec(kind, shape, 16))
    assert Pixels.refuses(spec) is None
    x = torch.randint(16, (6, *shape)).to(torch.uint8)
    vectors = Pixels(spec)(x).vectors
    assert vectors.shape == (6, dimensions)
    assert_close(vectors.mean(1), x.flatten(1).float().mean(1) / 15, atol=0.02, rtol=0)
