"""``harness evaluate``: the metrics on image files of any model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import DeviceName, torch_device
from harness.cli.terminal import echo, for_terminal

if TYPE_CHECKING:
    from harness.evaluate.audit import AuditLine
    from harness.evaluate.samples import ScoredSamples
    from harness.row import Measurement


def evaluate_samples(
    samples: Annotated[
        str, typer.Argument(help="Folder of images, or an .npz (array 'images') or .npy file.")
    ],
    reference: Annotated[
        str, typer.Option(help="Real images: a data set, or a path as for SAMPLES.")
    ],
    features: Annotated[
        str | None,
        typer.Option(
            help="Feature extractor, see 'harness list features'; default: the data set's."
        ),
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Metrics, comma-separated; default: all.")
    ] = None,
    train_reference: Annotated[
        str | None,
        typer.Option(help="Images that the model was trained on; REFERENCE is then held out."),
    ] = None,
    audit: Annotated[
        bool, typer.Option("--audit", help="Recompute the scores with clean-fid and torchmetrics.")
    ] = False,
    device: DeviceName = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score samples of any model against real images, without training."""
    from harness.evaluate.samples import evaluate_images
    from harness.plugins.registry import registry

    evaluated = evaluate_images(
        samples,
        reference,
        registry(),
        features=features,
        metrics=metrics.replace(" ", "").split(",") if metrics else None,
        train_reference=train_reference,
        device=torch_device(device),
    )
    audited: list[AuditLine] = []
    if audit:
        from harness.evaluate.audit import audit as score_again

        audited = score_again(evaluated)
    if as_json:
        _print_json(evaluated, audited)
    else:
        _print_tables(evaluated, audited)


def _print_json(evaluated: ScoredSamples, audited: Sequence[AuditLine]) -> None:
    from dataclasses import asdict

    from harness.machine.printing import print_json

    answer = {
        "samples": evaluated.samples,
        "n": evaluated.n,
        "reference": evaluated.reference,
        "features": evaluated.features,
        "metrics": {name: _dumped(found) for name, found in evaluated.metrics.items()},
        "warnings": list(evaluated.warnings),
        "audit": [asdict(line) | {"ours": _finite(line.ours)} for line in audited],
    }
    print_json(answer)


def _dumped(found: Measurement) -> dict[str, Any]:
    """Return a figure for JSON, which has no infinity: null then, with the reason."""
    value, error = _finite(found.value), _finite(found.error)
    reason = found.reason
    if value is None and found.value is not None:
        reason = "; ".join(filter(None, [f"the value is {found.value}", reason]))
    return found.model_dump() | {"value": value, "error": error, "reason": reason}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _print_tables(evaluated: ScoredSamples, audited: Sequence[AuditLine]) -> None:
    from harness.cli.tables import print_table

    echo(
        f"{evaluated.n} images of {evaluated.samples} against {evaluated.reference}, "
        f"in the features {evaluated.features}\n"
    )
    print_table([_cells(name, found) for name, found in evaluated.metrics.items()])
    if audited:
        echo()
        print_table([_audit_cells(line) for line in audited])
    for warning in evaluated.warnings:
        echo(for_terminal(f"warning: {warning}"))


def _cells(name: str, found: Measurement) -> dict[str, str]:
    notes = [found.protocol, found.reason or ""]
    return {
        "metric": name,
        "value": "-" if found.value is None else f"{found.value:.6g}",
        "±": "" if found.error is None else f"{found.error:.2g}",
        "protocol": "; ".join(note for note in notes if note),
    }


def _audit_cells(line: AuditLine) -> dict[str, Any]:
    return {
        "metric": line.metric,
        "ours": "-" if line.ours is None else f"{line.ours:.9g}",
        "library": line.library,
        "theirs": "-" if line.value is None else f"{line.value:.9g}",
        "difference": "" if line.difference is None else f"{line.difference:+.1e}",
        "note": line.note,
    }
