"""Features and FID of 10,000 images, 28x28, beside torch-fidelity and clean-fid.

    pytest -o addopts=--import-mode=importlib tests/benchmarks/test_evaluation_benchmark.py -s

All three read the same two folders of PNG files, in one process and without caches, and put them
through the same network, so that what is compared is all the rest: reading, resizing, batches,
moments, the distance. Inception would take all of the time in any of them. Ratios of medians, of
calls in turn, are the figure; seconds belong to the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import cleanfid.fid
import numpy as np
import pytest
import torch
import torch_fidelity
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch_fidelity.utils import create_feature_extractor, extract_featuresdict_from_input_id

from harness.contract import DataSpec
from harness.evaluate.samples import evaluate_images
from harness.features.base import FeatureExtractor, Features
from harness.features.classifier import MNISTClassifier
from harness.features.resizing import resize, to_rgb
from harness.files.image_sets import open_images
from harness.measurement.extraction import extract
from harness.plugins.registry import registry

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning"),
]
N = 10_000
CALLS = 3
SPEC = DataSpec.images((1, 28, 28), levels=256, classes=10)


@pytest.fixture(scope="module", autouse=True)
def registered():
    torch_fidelity.register_feature_extractor("mnist-classifier", ForTorchFidelity)
    torch_fidelity.register_feature_extractor("coarse", CoarseForTorchFidelity)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[str, str]:
    return tuple(blobs(tmp_path_factory.mktemp("images"), seed) for seed in (1, 2))


def blobs(folder: Path, seed: int) -> str:
    """Write N smooth grey images, brighter with the seed."""
    coarse = torch.rand(N, 1, 7, 7, generator=torch.Generator().manual_seed(seed))
    images = 255 * F.interpolate(coarse, 28, mode="bilinear").pow(1 / seed)
    for index, image in enumerate(images.round().to(torch.uint8)[:, 0].numpy()):
        Image.fromarray(image).save(folder / f"{index:05}.png")
    return str(folder)


class Grey(nn.Module):
    """The classifier for images with three equal channels, in [0, 255]."""

    def __init__(self) -> None:
        super().__init__()
        self.extractor = MNISTClassifier(SPEC)

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        return self.extractor(images[:, :1].to(torch.uint8)).vectors


class ForTorchFidelity(torch_fidelity.FeatureExtractorBase):
    """The same as a feature extractor of torch-fidelity."""

    def __init__(self, name: str, features_list: list[str], **_: object) -> None:
        super().__init__(name, features_list)
        self.network = Grey()

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return ("vectors",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "vectors"

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        return torch.zeros(1, 3, 28, 28, dtype=torch.uint8)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return (self.network(images),)


def ours(samples: str, real: str) -> float:
    chosen = {"features": "mnist-classifier", "metrics": ["fid"]}
    value = evaluate_images(samples, real, registry(), **chosen).metrics["fid"].value
    assert value is not None
    return value


def torch_fidelitys(samples: str, real: str) -> float:
    found = torch_fidelity.calculate_metrics(
        input1=samples,
        input2=real,
        fid=True,
        feature_extractor="mnist-classifier",
        batch_size=MNISTClassifier.batch_size,
        cuda=False,
        cache=False,
        save_cpu_ram=True,  # no worker processes
        verbose=False,
    )
    return float(found["frechet_inception_distance"])


def clean_fids(samples: str, real: str) -> float:
    network = Grey()
    settings = {
        "mode": "clean",
        "num_workers": 0,
        "batch_size": MNISTClassifier.batch_size,
        "device": torch.device("cpu"),
        "verbose": False,
        "custom_fn_resize": lambda image: image,
    }
    return float(cleanfid.fid.compare_folders(samples, real, network, **settings))


class Coarse(nn.Module):
    """A cheap network for images of 299 pixels: one convolution, d = 64."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, 64, 23, stride=23).requires_grad_(False)

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        return self.convolution(images / 255).relu().mean((2, 3))


class Resized(FeatureExtractor):
    """That network on images resized as for Inception."""

    digest, dimensions = "coarse", 64

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.network = Coarse()

    def forward(self, images: Tensor) -> Features:
        return Features(self.network(resize(to_rgb(images, self.spec.levels), 299)), None)


def our_features(samples: str) -> float:
    batches = extract(Resized(SPEC), open_images(samples), 100)
    return float(torch.cat([features.vectors for features in batches]).mean())


class CoarseForTorchFidelity(ForTorchFidelity):
    """The network as a feature extractor of torch-fidelity, with our resizing, for it has none.

    Its own Inception resizes inside the network, bilinear without antialiasing.
    """

    def __init__(self, name: str, features_list: list[str], **_: object) -> None:
        super().__init__(name, features_list)
        self.network = Coarse()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return (self.network(resize(images.float(), 299)),)


def torch_fidelitys_features(samples: str) -> float:
    network = create_feature_extractor("coarse", ["vectors"], cuda=False, verbose=False)
    found = extract_featuresdict_from_input_id(
        1,
        network,
        input1=samples,
        batch_size=100,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    return float(found["vectors"].mean())


def clean_fids_features(samples: str) -> float:
    settings = {"num_workers": 0, "batch_size": 100, "device": torch.device("cpu")}
    found = cleanfid.fid.get_folder_features(samples, Coarse(), verbose=False, **settings)
    return float(np.mean(found))


def compared(
    benchmark: Callable, mine: Callable[..., float], theirs: Callable[..., float], *arguments: str
) -> float:
    """Return how many times as quick mine is, by medians of calls in turn."""
    seconds: dict[Callable[..., float], list[float]] = {mine: [], theirs: []}

    def measure() -> None:
        for _ in range(CALLS):
            values = []
            for function, times in seconds.items():
                start = perf_counter()
                values.append(function(*arguments))
                times.append(perf_counter() - start)
            assert values[0] == pytest.approx(values[1], rel=1e-3)

    benchmark.pedantic(measure, rounds=1)
    ratio = median(seconds[theirs]) / median(seconds[mine])
    message = {"ours": median(seconds[mine]), "theirs": median(seconds[theirs]), "ratio": ratio}
    benchmark.extra_info |= message
    print(f"\n{message}")
    return ratio


@pytest.mark.parametrize("theirs", [torch_fidelitys, clean_fids])
def test_fid_from_folders_is_as_quick(benchmark, folders, theirs, tmp_path, monkeypatch):
    def uncached(samples: str, real: str) -> float:
        with monkeypatch.context() as patch:
            patch.setenv("GENHARNESS_CACHE", str(tmp_path / str(perf_counter())))
            return ours(samples, real)

    assert compared(benchmark, uncached, theirs, *folders) >= 1


@pytest.mark.parametrize("theirs", [torch_fidelitys_features, clean_fids_features])
def test_resized_features_are_as_quick(benchmark, folders, theirs):
    """Grey images to RGB at 299 pixels, bicubic with antialiasing."""
    assert compared(benchmark, our_features, theirs, folders[0]) >= 1
