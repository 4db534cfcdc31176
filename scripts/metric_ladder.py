r"""Distort real images in steps and show how every metric responds.

    python scripts/metric_ladder.py docs/assets
    python scripts/metric_ladder.py docs/assets --data fashion-mnist --most 2000 \
        --features fashion-mnist-classifier

The validation images and half of the test images represent an ideal generator; the other half is
held out. They are distorted by noise, blur, shift, by leaving out classes, or by training images in
their place, in growing strength. Writes ``ladder-FEATURES.csv`` and ``.svg`` for each set of
features.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from harness.dataset import Dataset, Split
from harness.measurement.scorer import SampleScorer
from harness.plugins.loading import load_dataset, load_extractor
from harness.plugins.registry import registry

SHOWN = (
    "fid",
    "kid",
    "mmd",
    "is",
    "precision",
    "recall",
    "density",
    "coverage",
    "memorisation",
    "c_t",
    "auth_pct",
    "mifid",
    "fid_gap",
    "label_kl",
    "vendi",
)
LOGARITHMIC = {"mifid"}
"""Metrics that copies increase a thousandfold and more."""
STEPS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
Distortion = Callable[[Dataset, Tensor, Tensor, float], Tensor]


def noise(data: Dataset, images: Tensor, labels: Tensor, strength: float) -> Tensor:
    """Add Gaussian noise with a standard deviation of up to a quarter of the grey range."""
    generator = torch.Generator().manual_seed(1)
    scale = strength * (data.spec.levels - 1) / 4
    return _quantise(images + scale * torch.randn(images.shape, generator=generator), data)


def blur(data: Dataset, images: Tensor, labels: Tensor, strength: float) -> Tensor:
    """Mix each image with its mean over 3x3 pixels."""
    smooth = F.avg_pool2d(images.float(), 3, stride=1, padding=1)
    return _quantise((1 - strength) * images + strength * smooth, data)


def shift(data: Dataset, images: Tensor, labels: Tensor, strength: float) -> Tensor:
    """Move images right by up to five pixels."""
    by = round(5 * strength)
    return F.pad(images, (by, 0))[..., : images.shape[-1]]


def dropped_classes(data: Dataset, images: Tensor, labels: Tensor, strength: float) -> Tensor:
    """Leave out up to five of ten classes; those that remain are drawn twice if necessary."""
    kept = images[labels >= round(5 * strength)]
    return kept[torch.arange(len(images)) % len(kept)]


def copies(data: Dataset, images: Tensor, labels: Tensor, strength: float) -> Tensor:
    """Replace up to all images by training images."""
    count = round(strength * len(images))
    generator = torch.Generator().manual_seed(2)
    chosen = torch.randperm(len(data.train), generator=generator)[:count]
    return torch.cat([torch.from_numpy(data.train.x)[chosen], images[count:]])


DISTORTIONS: dict[str, Distortion] = {
    "noise": noise,
    "blur": blur,
    "shift": shift,
    "dropped classes": dropped_classes,
    "copies of training images": copies,
}


def _quantise(x: Tensor, data: Dataset) -> Tensor:
    return x.round().clamp(0, data.spec.levels - 1).to(torch.uint8)


def first(data: Dataset, most: int) -> Dataset:
    """Return the data with the first images of each split, five times as many of train."""

    def part(split: Split, n: int) -> Split:
        return Split(split.x[:n], None if split.y is None else split.y[:n])

    return replace(
        data,
        train=part(data.train, 5 * most),
        validation=part(data.validation, most),
        test=part(data.test, most),
    )


def generator_and_held_out(data: Dataset) -> tuple[Dataset, Split]:
    """Return the data with half of its test split, and an ideal generator's samples."""
    test, validation = data.test, data.validation
    held_out = Split(test.x[::2], test.y[::2])
    drawn = Split(
        np.concatenate([test.x[1::2], validation.x]),
        np.concatenate([test.y[1::2], validation.y]),
    )
    return replace(data, test=held_out), drawn


def climb(
    features: str = "digits-classifier",
    dataset: str = "digits",
    most: int = 10_000,
    steps: tuple[float, ...] = STEPS,
) -> pd.DataFrame:
    """Return a line for each distortion and strength, with a column for each metric.

    Args:
        features: of the metrics.
        dataset: whose images are distorted.
        most: images of test and of validation; five times as many are of train.
        steps: strengths.
    """
    found = registry()
    data, drawn = generator_and_held_out(first(load_dataset(found, dataset), most))
    entries = found.metrics.items()
    metrics = {n: found.load(entry.info) for n, entry in entries if not entry.info.conditions}
    extractor = load_extractor(found, features, data)
    scorer = SampleScorer(data, extractor, metrics, torch.device("cpu"))
    images, labels = torch.from_numpy(drawn.x), torch.from_numpy(drawn.y)
    lines = []
    for name, distort in DISTORTIONS.items():
        for strength in steps:
            scores = scorer.score([distort(data, images, labels, strength)])
            values = {metric: measurement.value for metric, measurement in scores.items()}
            flagged = scores["memorisation"].reason is not None
            lines.append({"distortion": name, "strength": strength, "flagged": flagged, **values})
    return pd.DataFrame(lines)


def chart(ladder: pd.DataFrame) -> alt.ConcatChart:
    """Return one panel per metric: its value against the strength of each distortion."""
    shown = [name for name in SHOWN if ladder[name].notna().any()]
    labels = {name: entry.info.label for name, entry in registry().metrics.items()}
    panels = [_panel(ladder, name, labels[name]) for name in shown]
    return alt.concat(*panels, columns=4).configure_view(stroke="#dddddd")


def _panel(ladder: pd.DataFrame, name: str, title: str) -> alt.Chart:
    data = ladder[["distortion", "strength"]].assign(value=ladder[name].astype(float))
    colour = alt.Color(
        "distortion:N",
        title=None,
        scale=alt.Scale(
            domain=list(DISTORTIONS), range=["#4477aa", "#33a6cc", "#228833", "#b59410", "#ee6677"]
        ),
        legend=alt.Legend(orient="bottom", direction="horizontal", symbolStrokeWidth=3),
    )
    scale = alt.Scale(type="log") if name in LOGARITHMIC else alt.Scale(zero=False)
    line = alt.Chart(data, title=title, width=170, height=120)
    return line.mark_line(point=True, strokeWidth=2).encode(
        x=alt.X("strength:Q", title=None, axis=alt.Axis(values=list(STEPS), format=".1~f")),
        y=alt.Y("value:Q", title=None, scale=scale, axis=alt.Axis(tickCount=5)),
        color=colour,
    )


def main() -> None:
    """Write the ladders to the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--features", nargs="+", default=["digits-classifier", "pixels"])
    parser.add_argument("--data", default="digits", help="whose images are distorted")
    parser.add_argument(
        "--most", type=int, default=10_000, help="images of test; five times as many of train"
    )
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for features in arguments.features:
        ladder = climb(features, arguments.data, arguments.most)
        path = arguments.folder / f"ladder-{features}.csv"
        ladder.to_csv(path, index=False, float_format="%.6g")
        chart(ladder).save(path.with_suffix(".svg"))


if __name__ == "__main__":
    main()
