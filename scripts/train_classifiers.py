"""Train the classifiers whose features measure small images.

    python scripts/train_classifiers.py digits mnist fashion-mnist cifar10-jpeg digits-2 digits-3

Writes ``harness/features/weights/NAME.safetensors`` and its card (SHA-256, accuracy, recipe). Every
value measured with the old weights becomes incomparable: the extractor's digest changes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from harness.contract import to_symmetric
from harness.dataset import Split
from harness.features.classifier import WIDTHS, ClassifierNetwork
from harness_datasets import cifar_jpeg, digits, mnist

WEIGHTS = Path(__file__).parents[1] / "harness" / "features" / "weights"


@dataclass(frozen=True)
class Recipe:
    """How one classifier is trained.

    Attributes:
        epochs: passes over the train split.
        shift: largest random translation, in pixels.
        flip: mirror half of the images.
        batch_size: images per step.
        learning_rate: peak of one cosine cycle with linear warm-up.
        weight_decay: of AdamW, decoupled.
        seed: of weights, order and augmentation.
        widths: channels of the four convolutions.
    """

    epochs: int
    shift: int
    flip: bool = False
    batch_size: int = 128
    learning_rate: float = 4e-3
    weight_decay: float = 0.02
    seed: int = 0
    widths: tuple[int, int, int, int] = WIDTHS


LOADERS = {
    "digits": digits.load,
    "mnist": mnist.load_mnist,
    "fashion-mnist": mnist.load_fashion_mnist,
    "cifar10-jpeg": cifar_jpeg.load,
}
_FIRST = {
    "digits": Recipe(epochs=60, shift=1, batch_size=64),
    "mnist": Recipe(epochs=5, shift=2),
    "fashion-mnist": Recipe(epochs=10, shift=1, flip=True),
    "cifar10-jpeg": Recipe(epochs=15, shift=2, flip=True, widths=(32, 64, 96, 96)),
}
NOTES = {
    "cifar10-jpeg": (
        "trained and tested on images compressed as JPEG; of the published, uncompressed images of "
        "CIFAR-10, which have its shape and levels, its accuracy has not been measured"
    )
}
# A classifier's seed affects every distance in its features: two more show by how much.
RECIPES = _FIRST | {
    f"{data}-{number}": replace(recipe, seed=number - 1)
    for data, recipe in _FIRST.items()
    for number in (2, 3)
}


def translate(images: Tensor, shift: int) -> Tensor:
    """Move each image by its own offset, uniform on [-shift, shift]^2; new pixels are 0."""
    n, _, height, width = images.shape
    padded = F.pad(images, (shift,) * 4)
    rows = torch.randint(2 * shift + 1, (n, 1)) + torch.arange(height)
    columns = torch.randint(2 * shift + 1, (n, 1)) + torch.arange(width)
    return padded[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2
    )


def batches(split: Split, recipe: Recipe) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield augmented batches of one epoch in random order; the incomplete last one is left out."""
    images, labels = torch.from_numpy(split.x), torch.from_numpy(split.y)
    order = torch.randperm(len(images))
    for chosen in order.split(recipe.batch_size)[: len(order) // recipe.batch_size]:
        batch = translate(images[chosen], recipe.shift)
        if recipe.flip:
            batch = torch.where(torch.rand(len(batch), 1, 1, 1) < 0.5, batch.flip(-1), batch)
        yield batch, labels[chosen]


def train(split: Split, levels: int, recipe: Recipe) -> ClassifierNetwork:
    """Fit one classifier to the train split."""
    torch.manual_seed(recipe.seed)
    network = ClassifierNetwork(split.x.shape[1:], recipe.widths)
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=recipe.weight_decay)
    steps = recipe.epochs * (len(split) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, steps)
    for epoch in range(recipe.epochs):
        start = time.perf_counter()
        for images, labels in batches(split, recipe):
            x = to_symmetric(images, levels).to(memory_format=torch.channels_last)
            # No label smoothing: it would cap the Inception Score of perfect samples at 7.5.
            loss = F.cross_entropy(network(x).logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(
            f"epoch {epoch + 1}: loss {loss:.4f}, {time.perf_counter() - start:.0f} s", flush=True
        )
    return network.to(memory_format=torch.contiguous_format).eval()


@torch.inference_mode()
def accuracy(network: ClassifierNetwork, split: Split, levels: int) -> float:
    """Return the fraction of images that are classified correctly."""
    images, labels = torch.from_numpy(split.x), torch.from_numpy(split.y)
    predicted = [
        network(to_symmetric(batch, levels)).logits.argmax(1) for batch in images.split(1000)
    ]
    return (torch.cat(predicted) == labels).double().mean().item()


def write(name: str, network: ClassifierNetwork, card: dict[str, object]) -> None:
    """Write weights and card."""
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    content = save(state)
    (WEIGHTS / f"{name}.safetensors").write_bytes(content)
    path = WEIGHTS / "cards.json"
    cards = json.loads(path.read_text()) if path.exists() else {}
    cards[name] = {"sha256": hashlib.sha256(content).hexdigest(), **card}
    path.write_text(json.dumps(cards, indent=2, sort_keys=True) + "\n")


def data_of(name: str) -> str:
    """Return which data set a classifier is trained on."""
    return next(data for data in LOADERS if name in (data, f"{data}-2", f"{data}-3"))


def main() -> None:
    """Train the classifiers that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=RECIPES)
    for name in parser.parse_args().names:
        dataset, recipe = LOADERS[data_of(name)](), RECIPES[name]
        levels = dataset.spec.levels
        network = train(dataset.train, levels, recipe)
        card: dict[str, object] = {
            "validation_accuracy": round(accuracy(network, dataset.validation, levels), 4),
            "test_accuracy": round(accuracy(network, dataset.test, levels), 4),
            "test_images": len(dataset.test),
            "train_images": len(dataset.train),
            "fingerprint": dataset.fingerprint,
            "parameters": sum(p.numel() for p in network.parameters()),
            "recipe": asdict(recipe),
        }
        if data_of(name) in NOTES:
            card["note"] = NOTES[data_of(name)]
        write(name, network, card)
        print(name, card)


if __name__ == "__main__":
    main()
