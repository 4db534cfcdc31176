"""Makes rows and results as the harness would write them, for tests of what reads them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from harness.results import Results
from harness.row import Measurement, Row, Usage

FID = "360 samples against the train split, features digits-cnn"
SPEED = "batch 64, median of 5"
LIKELIHOODS = {
    "vae": (3.21, "lower_bound", "IWAE, k=64"),
    "realnvp": (3.05, "lower_bound", "uniform dequantisation"),
    "ddpm": (3.4, "lower_bound", "variational bound"),
    "score-sde": (2.95, "estimate", "RK4, 100 evaluations"),
    "pixelcnn": (2.8, "exact", "one pass"),
}
TYPES = {
    "vae": "variational autoencoder",
    "dcgan": "adversarial",
    "sngan": "adversarial",
    "realnvp": "flow",
    "ddpm": "diffusion",
    "score-sde": "diffusion",
}
PROTOCOL = {"version": 1, "features": {"name": "digits-cnn", "digest": "ab12"}, "samples": 360}


def make_row(model: str = "vae", fid: float | None = 3.186, **changes: Any) -> Row:
    """Return an ``ok`` row; ``changes`` replace fields, and ``metrics`` are added to."""
    metrics = {
        "fid": Measurement(value=fid, error=0.042, protocol=FID),
        "is": Measurement(value=5.799, error=0.11, protocol="10 splits of 360 samples"),
        "images_per_second": Measurement(value=36_512.0, error=210.0, protocol=SPEED),
        "nfe": Measurement(value=1.0, protocol="calls of the network an image"),
        "flops_per_image": Measurement(value=3.4e9, protocol="counted by dispatch"),
    }
    if model in LIKELIHOODS:
        value, kind, how = LIKELIHOODS[model]
        metrics["bits_per_dim"] = Measurement(value=value, error=0.01, protocol=how, kind=kind)
    if fid is None:
        metrics = {}
    metrics |= changes.pop("metrics", {})
    label = changes.get("label", model)
    seed = changes.get("seed", 0)
    fields: dict[str, Any] = {
        "trial": f"{label}-{seed}-{changes.get('dataset', 'digits')}",
        "benchmark": "digits",
        "dataset": "digits",
        "fingerprint": "f" * 64,
        "model": model,
        "label": label,
        "type": TYPES.get(model, ""),
        "seed": seed,
        "budget": "20 device-seconds",
        "config": {"batch_size": 64, "width": 32},
        "status": "ok",
        "parameters": 1_200_000,
        "usage": Usage(
            seconds=20.01,
            flops=4.2e12,
            images=301_056,
            steps=4704,
            batches=4704,
            phases={"setup": 0.4, "warm_up": 0.2, "train": 20.01, "eval": 3.2, "io": 0.1},
            wall=24.1,
            overrun=0.01,
            peak_memory=412_000_000,
        ),
        "metrics": metrics,
        "protocol": PROTOCOL,
        "hardware": {"fingerprint": "cpu-2-abcdef", "device": "cpu", "threads": 2},
        "provenance": {"distribution": "genharness", "version": "0.1.0"},
    }
    return Row(**fields | changes)


def reference(model: str, fid: float, inception: float, **changes: Any) -> Row:
    """Return a row of ``real`` or ``null``: no training, no budget."""
    metrics = {
        "fid": Measurement(value=fid, protocol=FID),
        "is": Measurement(value=inception, protocol="10 splits of 360 samples"),
    }
    empty = {"parameters": None, "usage": Usage(), "budget": "", "config": {}, "hardware": {}}
    label = {"real": "test set", "null": "noise"}[model]
    return make_row(model, None, **{"label": label, "metrics": metrics, **empty, **changes})


def failed(model: str, status: str, reason: str, **changes: Any) -> Row:
    """Return a row of a trial that ended without a figure."""
    return make_row(model, None, status=status, reason=reason, **changes)


def digits_rows() -> list[Row]:
    """Return the six systems of the reference table and both references, one seed."""
    figures = {
        "vae": (3.186, 5.799, 36_512.0),
        "dcgan": (2.379, 7.525, 49_200.0),
        "sngan": (0.487, 8.499, 35_200.0),
        "realnvp": (1.385, 7.540, 33_200.0),
        "ddpm": (0.647, 8.672, 7.18),
        "score-sde": (0.525, 9.058, 10.1),
    }
    rows = [reference("null", 48.2, 1.31), reference("real", 0.011, 9.389)]
    for model, (fid, inception, speed) in figures.items():
        steps = {"ddpm": 1000.0, "score-sde": 400.0}.get(model, 1.0)
        metrics = {
            "is": Measurement(value=inception, error=0.1, protocol="10 splits of 360 samples"),
            "images_per_second": Measurement(value=speed, error=speed / 90, protocol=SPEED),
            "nfe": Measurement(value=steps, protocol="calls of the network an image"),
            "flops_per_image": Measurement(value=3.4e6 * steps, protocol="counted by dispatch"),
        }
        rows.append(make_row(model, fid, metrics=metrics))
    return rows


def many_rows(models: int = 100, datasets: int = 20, seeds: int = 5) -> list[Row]:
    """Return rows of a large study, 10,000 unless told: some fail, and figures vary by seed."""
    rng = np.random.default_rng(0)
    names = list(TYPES)
    rows = []
    for d in range(datasets):
        data = {"dataset": f"data-{d:02}", "fingerprint": f"{d:064}"}
        for m in range(models):
            model, level = names[m % len(names)], float(rng.lognormal(0, 1))
            for seed in range(seeds):
                own = {**data, "label": f"{model}-{m:03}", "seed": seed}
                own["config"] = {"batch_size": 64, "width": m}
                if rng.random() < 0.02:
                    rows.append(failed(model, "diverged", "loss is NaN after 300 steps", **own))
                    continue
                fid = level * float(rng.normal(1, 0.03)) + 0.1
                speed = Measurement(value=float(rng.lognormal(8, 2)), error=9.0, protocol=SPEED)
                sets = (fid * 0.99, fid * 1.01)
                measured = Measurement(value=fid, error=fid * 0.014, protocol=FID, sets=sets)
                metrics = {"fid": measured, "images_per_second": speed}
                rows.append(make_row(model, fid, metrics=metrics, **own))
    return rows


def make_curves(rows: Iterable[Row]) -> pd.DataFrame:
    """Return evaluations at powers of two of the budget, quality falling towards the row's."""
    lines = [
        {
            "trial": row.trial,
            "label": row.label,
            "model": row.model,
            "seed": row.seed,
            "weights": "averaged",
            "fraction": fraction,
            "seconds": row.usage.seconds * fraction,
            "flops": row.usage.flops * fraction,
            "images": row.usage.images * fraction,
            "steps": row.usage.steps * fraction,
            "fid": row.metrics["fid"].value * (1 + (1 / fraction - 1) ** 0.7),
            "is": row.metrics["is"].value * fraction**0.1,
        }
        for row in rows
        if row.usage.steps and row.metrics.get("fid")
        for fraction in (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
    ]
    columns = "trial label model seed weights fraction seconds flops images steps".split()
    return pd.DataFrame(lines) if lines else pd.DataFrame(columns=columns)


def make_results(rows: Iterable[Row], **changes: Any) -> Results:
    """Return the results of ``rows`` with curves, and a PNG for every row with figures."""
    rows = tuple(rows)
    fields: dict[str, Any] = {
        "benchmark": "digits",
        "summary": "Six systems, twenty device-seconds each.",
        "source": 'models = ["vae"]\nbudget = "20 device-seconds"\n',
        "rows": rows,
        "curves": make_curves(rows),
        "pictures": {row.trial: {"png": png(i)} for i, row in enumerate(rows) if row.metrics},
    }
    return Results(**fields | changes)


def png(seed: int, side: int = 80) -> bytes:
    """Return a PNG of grey blobs, ten by ten tiles of 8x8 pixels."""
    rng = np.random.default_rng(seed)
    tiles = rng.integers(0, 255, (side // 2, side // 2), dtype=np.uint8).repeat(2, 0).repeat(2, 1)
    raw = b"".join(b"\x00" + line.tobytes() for line in tiles)

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
