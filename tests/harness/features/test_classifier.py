import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from harness.contract import DataSpec
from harness.features import classifier as module
from harness.features import harness_features
from harness.features.base import FeatureExtractor
from harness.features.cards import WEIGHTS, cards
from harness.features.classifier import Classifier, DamagedWeights, DigitsClassifier
from harness.features.published_weights import PublishedWeights
from harness.measurement.extraction import extract
from harness.plugins.registry import Registry
from harness_datasets import cifar_jpeg, digits, mnist

INFOS = {info.name: info for info in harness_features()}
CLASSIFIERS = [Registry.load(info) for name, info in INFOS.items() if "-classifier" in name]
FIRST = [classifier for classifier in CLASSIFIERS if classifier.weights == classifier.data]
LEAST_ACCURACY = {"digits": 0.97, "mnist": 0.99, "fashion-mnist": 0.915, "cifar10-jpeg": 0.75}


def images_for(classifier: type[Classifier], n: int = 20) -> torch.Tensor:
    spec = classifier.trained_on
    generator = torch.Generator().manual_seed(0)
    return torch.randint(spec.levels, (n, *spec.shape), generator=generator).to(torch.uint8)


def accuracy(extractor, split):
    predicted = [features.logits.argmax(1) for features in extract(extractor, split.x)]
    return (torch.cat(predicted).numpy() == split.y).mean()


def hold_to_the_cards(dataset, tolerance):
    for classifier in CLASSIFIERS:
        if classifier.data == dataset.name:
            card = cards()[classifier.weights]
            measured = accuracy(classifier(dataset.spec), dataset.test)
            assert dataset.fingerprint == card["fingerprint"]
            assert measured == pytest.approx(card["test_accuracy"], abs=tolerance)
            assert measured >= LEAST_ACCURACY[classifier.data]


def test_digits_are_classified_as_the_cards_say():
    hold_to_the_cards(digits.load(), 1 / 539)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "load"),
    [
        ("MNIST", mnist.load_mnist),
        ("FashionMNIST", mnist.load_fashion_mnist),
        ("cifar10-jpeg", cifar_jpeg.load),
    ],
)
def test_published_sets_are_classified_as_the_cards_say(folder, load, monkeypatch):
    shared = Path(__file__).parents[4] / "shared" / "data"
    root = Path(os.environ.get("GENHARNESS_DATA", shared))
    if not (root / folder).is_dir():
        pytest.skip(f"{folder} is not in {root}")
    monkeypatch.setenv("GENHARNESS_DATA", str(root))
    hold_to_the_cards(load(), 2e-4)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_features_are_what_the_last_layer_sees(classifier):
    extractor = classifier(classifier.trained_on)
    images = images_for(classifier)
    vectors, logits = extractor(images)
    assert vectors.shape == (20, extractor.dimensions) and vectors.dtype == torch.float32
    assert logits.shape == (20, extractor.classes)
    head = extractor.network.head
    assert_close(logits, vectors @ head.weight.T + head.bias)
    assert torch.linalg.matrix_rank(torch.cov(vectors.T.double())) == 19
    assert (
        sum(p.numel() for p in extractor.parameters()) == cards()[classifier.weights]["parameters"]
    )
    assert cards()[classifier.weights]["parameters"] < 300_000


@pytest.mark.parametrize("classifier", FIRST)
def test_is_frozen_in_eval_mode(classifier):
    extractor = classifier(classifier.trained_on).train()
    images = images_for(classifier)
    assert not any(part.training for part in extractor.modules())
    assert not any(p.requires_grad for p in extractor.parameters())
    # Batch statistics or dropout would make an image's features depend on its neighbours.
    assert_close(extractor(images).vectors[:3], extractor(images[:3]).vectors)


def test_stays_in_single_precision_under_autocast():
    extractor = DigitsClassifier(DigitsClassifier.trained_on)
    images = images_for(DigitsClassifier)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = extractor(images).vectors
    assert torch.equal(found, extractor(images).vectors)


@pytest.fixture
def tf32():
    before = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    yield
    torch.backends.cuda.matmul.fp32_precision = before


def test_leaves_the_precision_of_others_alone(tf32):
    seen = []
    extractor = DigitsClassifier(DigitsClassifier.trained_on)
    extractor.network.register_forward_hook(
        lambda *_: seen.append(
            (torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision)
        )
    )
    extractor(images_for(DigitsClassifier))
    assert seen == [("ieee", "ieee")]
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"


@pytest.mark.parametrize("classifier", FIRST)
def test_measures_only_what_it_was_trained_on(classifier):
    known = classifier.trained_on
    assert classifier.supports(known) is None
    assert classifier.supports(DataSpec.images(known.shape, known.levels, classes=0)) is None
    for other in (DataSpec.images((3, 33, 33)), DataSpec.images(known.shape, levels=5)):
        reason = classifier.supports(other)
        assert f"with {other.levels} levels" in reason and "pixels" in reason
        with pytest.raises(ValueError, match=f"the {classifier.data} classifier measures"):
            classifier(other)


def test_digests_differ():
    digests = {classifier(classifier.trained_on).digest for classifier in CLASSIFIERS}
    assert len(digests) == len(CLASSIFIERS) == len(cards())


def test_further_seeds_differ_in_the_seed_alone():
    for classifier in CLASSIFIERS:
        first, own = (cards()[name]["recipe"] for name in (classifier.data, classifier.weights))
        assert (
            own["seed"] == int((classifier.weights.removeprefix(classifier.data) or "-1")[1:]) - 1
        )
        assert own | {"seed": 0} == first


@pytest.mark.parametrize("data", sorted({classifier.data for classifier in CLASSIFIERS}))
def test_the_seeds_of_the_classifiers_are_reported(data):
    message = INFOS[f"{data}-classifier"].seeds
    assert message == (f"{data}-classifier-2", f"{data}-classifier-3")
    assert [Registry.load(INFOS[name]).weights for name in message] == [f"{data}-2", f"{data}-3"]
    assert not INFOS[f"{data}-classifier-2"].seeds


def test_damaged_weights_are_named(tmp_path, monkeypatch):
    content = bytearray((WEIGHTS / "digits.safetensors").read_bytes())
    content[-100] ^= 1
    (tmp_path / "digits.safetensors").write_bytes(content)
    monkeypatch.setattr(module, "WEIGHTS", tmp_path)
    with pytest.raises(DamagedWeights, match=r"digits\.safetensors are damaged: SHA-256"):
        DigitsClassifier(DigitsClassifier.trained_on)
    (tmp_path / "digits.safetensors").unlink()
    with pytest.raises(DamagedWeights, match=r"cannot read the weights .*digits\.safetensors"):
        DigitsClassifier(DigitsClassifier.trained_on)


def test_infos_show_accuracy_and_hash():
    for classifier in CLASSIFIERS:
        number = classifier.weights.removeprefix(classifier.data)
        summary = INFOS[f"{classifier.data}-classifier{number}"].summary
        weights = (WEIGHTS / f"{classifier.weights}.safetensors").read_bytes()
        assert f"{cards()[classifier.weights]['test_accuracy']:.2%}" in summary
        assert hashlib.sha256(weights).hexdigest()[:12] in summary
        assert len(weights) < 1_200_000


def test_infos_show_what_they_need():
    for info in INFOS.values():
        extractor = Registry.load(info)
        assert issubclass(extractor, FeatureExtractor)
        published = getattr(extractor, "weights", "")
        assert bool(info.needs) == isinstance(published, PublishedWeights)
    assert "genharness[timm]" in INFOS["dinov2"].needs
    assert "genharness[timm]" in INFOS["clip"].needs


def test_listing_imports_no_torch():
    program = (
        "import sys, harness.features; harness.features.harness_features(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
