"""Feature extractors: the frozen rulers that samples are measured with."""

from __future__ import annotations

from harness.features.cards import cards
from harness.hooks import FeatureInfo, hookimpl

_CLASSIFIERS = {
    "digits": "DigitsClassifier",
    "mnist": "MNISTClassifier",
    "fashion-mnist": "FashionMNISTClassifier",
}


@hookimpl
def harness_features() -> list[FeatureInfo]:
    """Return the classifiers of small images, with accuracy and hash, and the pixels themselves."""
    return [
        *(_classifier(data, name) for data, name in _CLASSIFIERS.items()),
        FeatureInfo(
            name="pixels",
            summary="area-pooled pixels of any image, at most 256 values; no network, no classes",
            target="harness.features.pixels:Pixels",
        ),
    ]


def _classifier(data: str, name: str) -> FeatureInfo:
    card = cards()[data]
    return FeatureInfo(
        name=f"{data}-classifier",
        summary=(
            f"small CNN trained on {data}: {card['test_accuracy']:.2%} right on its test split, "
            f"d = 64, 10 classes, weights {card['sha256'][:12]}"
        ),
        target=f"harness.features.classifier:{name}",
    )
