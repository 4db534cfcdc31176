import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from harness.contract import DataSpec
from harness.features.resizing import normalise, resize, to_rgb, unsupported_channels


def by_pil(image, size):
    """The same by PIL on float images, channel by channel, as clean-fid does it."""
    channels = [
        np.asarray(Image.fromarray(channel).resize((size, size), Image.Resampling.BICUBIC))
        for channel in image.numpy()
    ]
    return torch.from_numpy(np.stack(channels)).clamp(0, 255)


@pytest.mark.parametrize("side", [8, 28, 32, 299, 400, 1000])
def test_resizing_is_that_of_pil(side):
    torch.manual_seed(side)
    x = torch.randint(256, (2, 3, side, side)).float()
    expected = torch.stack([by_pil(image, 299) for image in x])
    assert_close(resize(x, 299), expected, rtol=0, atol=6e-5 * 255)


def test_resizing_is_that_of_clean_fid():
    cleanfid = pytest.importorskip("cleanfid.resize")
    torch.manual_seed(0)
    x = torch.randint(256, (2, 3, 40, 28), dtype=torch.uint8)
    clean = cleanfid.build_resizer("clean")
    expected = [torch.from_numpy(clean(image.permute(1, 2, 0).numpy())) for image in x]
    assert_close(
        resize(x.float(), 299), torch.stack(expected).permute(0, 3, 1, 2), rtol=0, atol=6e-5 * 255
    )


def test_grey_channels_are_resized_as_any_others():
    rgb = to_rgb(torch.randint(256, (2, 1, 28, 28), dtype=torch.uint8), levels=256)
    assert_close(resize(rgb, 299), resize(rgb.contiguous(), 299), rtol=0, atol=1e-4)


def test_resizing_keeps_the_range():
    edge = torch.zeros(1, 1, 16, 16)
    edge[..., 8:] = 255
    found = resize(edge, 299)
    assert found.min() == 0 and found.max() == 255  # without clamping it overshoots


def test_grey_becomes_rgb_and_levels_become_256():
    images = torch.tensor([0, 8, 16], dtype=torch.uint8).reshape(1, 1, 1, 3)
    rgb = to_rgb(images, levels=17)
    assert rgb.shape == (1, 3, 1, 3)
    assert rgb[0].tolist() == [[[0, 127.5, 255]]] * 3
    colours = torch.randint(256, (2, 3, 4, 4), dtype=torch.uint8)
    assert torch.equal(to_rgb(colours, levels=256), colours.float())


def test_normalisation_is_by_channel():
    x = torch.full((1, 3, 1, 1), 255.0)
    found = normalise(x, (0.5, 0.25, 0.0), (0.5, 0.25, 2.0))
    assert found.flatten().tolist() == [1, 3, 0.5]


@pytest.mark.parametrize("shape", [(2, 8, 8), (4, 8, 8), (8, 8), (3, 5, 8, 8)])
def test_what_is_no_photograph_is_refused(shape):
    assert "grey or RGB" in (unsupported_channels(DataSpec.images(shape)) or "")
    assert unsupported_channels(DataSpec.images((1, 8, 8))) is None
    assert unsupported_channels(DataSpec.images((3, 8, 6))) is None
