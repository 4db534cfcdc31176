"""Feature extractors: the frozen networks whose features the metrics compare."""

from __future__ import annotations

from harness.features.cards import cards
from harness.hooks import FeatureInfo, hookimpl

_CLASSIFIERS = {
    "digits": "DigitsClassifier",
    "mnist": "MNISTClassifier",
    "fashion-mnist": "FashionMNISTClassifier",
    "cifar10-jpeg": "CIFAR10JPEGClassifier",
}
_FURTHER_SEEDS = (2, 3)


@hookimpl
def harness_features() -> list[FeatureInfo]:
    """Return the classifiers of small images, the networks for photographs, and the pixels."""
    return [
        *(info for data in _CLASSIFIERS for info in _classifiers(data)),
        *_photographs(),
        FeatureInfo(
            name="pixels",
            summary="area-pooled pixels of any image, at most 256 values; no network, no classes",
            target="harness.features.pixels:Pixels",
        ),
    ]


def _classifiers(data: str) -> list[FeatureInfo]:
    """Return the classifier of a data set, then those that differ from it only in their seed."""
    further = tuple(f"{data}-classifier-{number}" for number in _FURTHER_SEEDS)
    return [
        FeatureInfo(
            name=f"{data}-classifier",
            summary=f"small CNN trained on {data}: {_card(data)}",
            target=f"harness.features.classifier:{_CLASSIFIERS[data]}",
            seeds=further,
        ),
        *(
            FeatureInfo(
                name=name,
                summary=f"{data}-classifier with seed {number - 1}: {_card(f'{data}-{number}')}",
                target=f"harness.features.classifier:{_CLASSIFIERS[data]}{number}",
            )
            for number, name in zip(_FURTHER_SEEDS, further, strict=True)
        ),
    ]


def _card(weights: str) -> str:
    card = cards()[weights]
    return (
        f"{card['test_accuracy']:.2%} accuracy on its test split, d = 64, 10 classes, "
        f"weights {card['sha256'][:12]}"
    )


def _photographs() -> list[FeatureInfo]:
    return [
        FeatureInfo(
            name="inception",
            summary="Inception v3, d = 2048, 1,008 classes, clean-fid's resizing (Parmar, 2022)",
            target="harness.features.inception:Inception",
            needs="96 MB of weights",
        ),
        FeatureInfo(
            name="inception-legacy-tensorflow",
            summary="the same, resized within the network as in most figures before 2021",
            target="harness.features.inception:InceptionLegacyTensorFlow",
            needs="96 MB of weights",
        ),
        FeatureInfo(
            name="inception-legacy-pytorch",
            summary="the same, resized before it without antialiasing, as pytorch-fid does",
            target="harness.features.inception:InceptionLegacyPyTorch",
            needs="96 MB of weights",
        ),
        FeatureInfo(
            name="dinov2",
            summary="DINOv2 ViT-L/14 at 224 pixels, d = 1024, no classes (Oquab et al., 2023)",
            target="harness.features.vision_transformers:DINOv2",
            needs="genharness[timm], 1.2 GB of weights",
        ),
        FeatureInfo(
            name="clip",
            summary="CLIP ViT-L/14 at 336 pixels, d = 768; its mmd is CMMD (Jayasumana, 2024)",
            target="harness.features.vision_transformers:CLIP",
            needs="genharness[timm], 0.9 GB of weights",
        ),
    ]
