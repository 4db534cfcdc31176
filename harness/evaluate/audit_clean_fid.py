"""Features of Inception as clean-fid itself computes them, from the images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from harness.features.base import FeatureExtractor
from harness.features.inception import Inception
from harness.measurement.extraction import Images, batches


def why_not(extractor: FeatureExtractor) -> str | None:
    """Return why clean-fid has no such features, or None if it has."""
    if not isinstance(extractor, Inception) or extractor.clean_fid is None:
        return "clean-fid does not have this network"
    if extractor.spec.levels != 256:
        return f"clean-fid takes images of 256 levels, not {extractor.spec.levels}"
    return None


def clean_fid_features(extractor: FeatureExtractor, images: Images, device: torch.device) -> Tensor:
    """Return features (N, 2048) of images, resized and put through the network by clean-fid.

    Only the files are read by the harness, and the weights are the same file, with a known hash.

    Raises:
        ValueError: clean-fid has no such features.
    """
    from cleanfid.inception_torchscript import InceptionV3W
    from cleanfid.resize import build_resizer

    if not isinstance(extractor, Inception) or (reason := why_not(extractor)):
        raise ValueError(reason)
    network = InceptionV3W(
        str(extractor.weights.fetch().parent),
        download=False,
        resize_inside=extractor.clean_fid == "legacy_tensorflow",
    )
    network.eval().to(device)
    resize = build_resizer(extractor.clean_fid)
    features = []
    for batch in batches(images, extractor.batch_size):
        resized = [resize(_rgb(image)) for image in batch]
        one_size = len({image.shape for image in resized}) == 1
        for together in [resized] if one_size else [[image] for image in resized]:
            x = torch.from_numpy(np.stack(together)).permute(0, 3, 1, 2).float()
            with torch.inference_mode():
                features.append(network(x.to(device)).cpu())
    return torch.cat(features)


def _rgb(image: Tensor) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """Return (H, W, 3) of (C, H, W), as PIL has it."""
    rgb: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]
    rgb = np.ascontiguousarray(image.expand(3, -1, -1).permute(1, 2, 0).numpy())
    return rgb
