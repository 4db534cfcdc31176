"""The columns of a leaderboard: headings, directions, and formatting."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from harness.row import Row
from harness_reports.numbers import count, prefixed, significant
from harness_reports.text import plain

Better = Literal["lower", "higher"]
Group = Literal["quality", "model", "used", "samples", "copies", "further", "details"]
GROUPS: tuple[Group, ...] = get_args(Group)


@dataclass(frozen=True)
class Column:
    """One figure of an entry.

    Attributes:
        heading: in tables.
        group: its topic: quality, the model, what was used, the samples beside quality,
            copies of the training data, something further, or details for the page and files alone.
        better: the direction of its ranking; None if it is not ranked.
        text: formats a value; None prints all values of the column with the same decimals.
        per_protocol: whether figures of different protocols must not share the column.
        machine: whether figures of different machines must not share it either.
    """

    heading: str
    group: Group = "further"
    better: Better | None = None
    text: Callable[[float], str] | None = None
    per_protocol: bool = True
    machine: bool = False


def seconds(value: float) -> str:
    """Return seconds to three figures: 20.0 s."""
    return f"{significant(value)} s"


def flop(value: float) -> str:
    """Return FLOPs with a prefix: 3.41 GFLOP."""
    return prefixed(value, "FLOP")


METRICS: dict[str, Column] = {
    "fid": Column("FID", "quality", "lower"),
    "is": Column("IS", "quality", "higher"),
    # The kind is in the cell; how each model computes its own is in the caption.
    "bits_per_dim": Column("bits/dim", "quality", "lower", per_protocol=False),
    "images_per_second": Column("images/s", "quality", "higher", significant, machine=True),
    "nfe": Column("NFE", "model", None, count, per_protocol=False),
    "flops_per_image": Column("FLOPs/image", "model", None, flop, per_protocol=False),
    "fid_infinity": Column("FID∞", "samples", "lower"),
    "kid": Column("KID", "samples", "lower"),
    "mmd": Column("MMD²", "samples", "lower"),
    "precision": Column("precision", "samples", "higher"),
    "recall": Column("recall", "samples", "higher"),
    "density": Column("density", "samples"),
    "coverage": Column("coverage", "samples", "higher"),
    "modes": Column("modes", "samples", None, count),
    "label_kl": Column("label KL", "samples", "lower"),
    "vendi": Column("Vendi", "samples"),
    "label_accuracy": Column("accuracy", "samples", "higher"),
    "psnr": Column("PSNR (dB)", "samples", "higher"),
    "ssim": Column("SSIM", "samples", "higher"),
    "memorisation": Column("memorised", "copies"),
    "c_t": Column("C_T", "copies"),
    "auth_pct": Column("AuthPct", "copies"),
    "mifid": Column("MiFID", "copies", "lower"),
    "fid_gap": Column("FID gap", "copies"),
    "fid_test": Column("FID test", "further", "lower"),
    "fid_seed2": Column("FID, 2nd seed", "further", "lower"),
    "fid_seed3": Column("FID, 3rd seed", "further", "lower"),
    "kid_seed2": Column("KID, 2nd seed", "further", "lower"),
    "kid_seed3": Column("KID, 3rd seed", "further", "lower"),
    "kid_test": Column("KID test", "further", "lower"),
    "mmd_test": Column("MMD² test", "further", "lower"),
    "mifid_test": Column("MiFID test", "further", "lower"),
    "fid_infinity_test": Column("FID∞ test", "further", "lower"),
    "fid_mean_term": Column("FID, means", "details"),
    "fid_covariance_term": Column("FID, covariances", "details"),
    "fid_mean_term_test": Column("FID test, means", "details"),
    "fid_covariance_term_test": Column("FID test, covariances", "details"),
    "latency": Column("latency", "further", "lower", seconds, machine=True),
}

TASKS = frozenset({"label_accuracy", "psnr", "ssim"})
"""Metrics that only models with a condition have, and the references on the same data."""

IMAGES = "image"
_SAMPLES = {"images_per_second": "samples/s", "flops_per_image": "FLOPs/sample"}
HEADINGS: dict[str, dict[str, str]] = {
    "video": _SAMPLES,
    "audio": _SAMPLES,
    "text": _SAMPLES | {"bits_per_dim": "bits/char"},
}
"""Headings of metrics where the data are something else than images, by the kind of the data."""

ANCHORS: dict[str, str] = {
    "bits_per_dim": "uniform",
    "bits_per_dim_histogram": "a histogram for each pixel",
    "bits_per_dim_neighbours": "counts given the left and the upper neighbour",
    "bits_per_dim_zlib": "zlib",
    "bits_per_dim_lzma": "lzma",
}
"""Likelihoods of trivial models, in the row of ``null``: kept separate from models."""

COSTS: dict[str, Column] = {
    "parameters": Column("Parameters", "model", None, prefixed),
    "seconds": Column("Device time", "used", None, seconds),
    "flops": Column("Training FLOPs", "used", None, flop),
    "images": Column("Images seen", "used", None, prefixed),
    "steps": Column("Steps", "used", None, count),
}

_VARIANT = re.compile(r"(_test)?(_seed\d+)?(_raw)?$")
_RESERVED = re.compile(
    r"^(dataset|table|role|model|type|seeds|status|reason|trials|group)$"
    r"| (error|low|high|basis|group|kind|protocol|note|warning|better)$| \(\d+\)$"
)
"""Headings that a leaderboard uses for something else, or derives from another: "FID error"."""


def column(metric: str, data_kind: str = IMAGES) -> Column:
    """Return the column of a built-in metric; ``columns_of`` finds others in rows."""
    known = METRICS.get(metric, Column(metric))
    return replace(known, heading=HEADINGS.get(data_kind, {}).get(metric, known.heading))


def kind_of(rows: Iterable[Row]) -> str:
    """Return the kind of data that rows of one data set are of."""
    return next((row.data_kind for row in rows if row.data_kind), IMAGES)


def columns_of(rows: Iterable[Row]) -> dict[str, Column]:
    """Return the columns of all metrics that rows have, by the name of the metric.

    For a metric of a plugin, heading and direction come from the rows. If rows contradict each
    other it is unranked, and without a heading it has its name. No two columns have the same
    heading.
    """
    rows = list(rows)
    kind = kind_of(rows)
    declared: dict[str, dict[tuple[str, bool | None], None]] = {}
    for row in rows:
        for metric, m in row.metrics.items():
            declared.setdefault(metric, {})[m.label or "", m.lower_is_better] = None
    found = {metric: column(metric, kind) for metric in declared if metric in METRICS}
    ours = [*METRICS.values(), *COSTS.values(), *(column(metric, kind) for metric in METRICS)]
    taken = {shown.heading.casefold() for shown in ours}
    for metric in sorted(declared.keys() - found.keys()):
        heading = _heading(metric, [label for label, _ in declared[metric] if label], taken)
        taken.add(heading.casefold())
        found[metric] = Column(
            heading, better=_better(metric, {lower for _, lower in declared[metric]})
        )
    return found


def _heading(metric: str, labels: Sequence[str], taken: Collection[str]) -> str:
    label = next(filter(None, map(plain, labels)), metric)
    free = label.casefold() not in taken and not _RESERVED.search(label.casefold())
    return label if free else f"{label} [{metric}]"


def _better(metric: str, declared: Collection[bool | None]) -> Better | None:
    ours = METRICS.get(_VARIANT.sub("", metric))
    if ours is not None and ours.better is None:
        return None
    known = set(declared) - {None}
    return ("lower" if known.pop() else "higher") if len(known) == 1 else None
