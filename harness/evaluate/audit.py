"""The same images, scored by other libraries: ``harness evaluate --audit``."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import Tensor

from harness.errors import UserError
from harness.evaluate.audit_clean_fid import clean_fid_features, why_not
from harness.evaluate.audit_libraries import LIBRARIES, Parts
from harness.evaluate.samples import ScoredSamples
from harness.machine import interpreters
from harness.measurement.extraction import Images, extract
from harness.measurement.references import HEADLINE

FROM_IMAGES = "clean-fid"
"""The library that is given the images too, where it has the extractor's network."""


@dataclass(frozen=True)
class AuditLine:
    """One metric as computed by one library.

    Attributes:
        metric: our name for it.
        ours: our value, if we have one.
        library: name and version.
        value: the library's, None if it has none.
        difference: (value - ours) / |ours|; None where the library took a random subset.
        note: why there is no value, or how it was computed.
    """

    metric: str
    ours: float | None
    library: str
    value: float | None
    difference: float | None
    note: str


def audit(evaluated: ScoredSamples) -> list[AuditLine]:
    """Score the evaluated images again with clean-fid and torchmetrics, from the same features.

    In the features of Inception, clean-fid also gets the images, for its own resizing and network.

    Raises:
        UserError: a library is not installed, or there are only moments of the real images.
    """
    for library in LIBRARIES:
        _installed(library)
    if evaluated.real is None:
        raise UserError(
            f"--audit needs the real images, and {evaluated.reference} holds moments alone; "
            "leave it out, or name the images as --reference"
        )
    parts = _parts(evaluated)
    lines = [line for library in LIBRARIES for line in _lines(evaluated, library, parts)]
    if why_not(evaluated.scorer.extractor) is None:
        own = _parts_by_clean_fid(evaluated, evaluated.real)
        for line in _lines(evaluated, FROM_IMAGES, own):
            note = "; ".join(filter(None, ["from the images, by its own network", line.note]))
            lines.append(replace(line, note=note))
    return sorted(lines, key=lambda line: (line.metric, line.library))


def _installed(library: str) -> str:
    try:
        return f"{library} {version(library)}"
    except PackageNotFoundError:
        raise UserError(
            f"--audit needs {library}, which is not installed: pip install 'genharness[test]'"
        ) from None


def _parts(evaluated: ScoredSamples) -> dict[str, Tensor]:
    scorer = evaluated.scorer
    batches = list(extract(scorer.extractor, evaluated.images, device=scorer.device))
    parts = {
        "samples": torch.cat([features.vectors.cpu() for features in batches]),
        "real": scorer.references[HEADLINE].features.vectors,
    }
    logits = [features.logits.cpu() for features in batches if features.logits is not None]
    return parts | ({"logits": torch.cat(logits)} if logits else {})


def _parts_by_clean_fid(evaluated: ScoredSamples, real: Images) -> dict[str, Tensor]:
    scorer = evaluated.scorer
    return {
        name: clean_fid_features(scorer.extractor, images, scorer.device)
        for name, images in (("samples", evaluated.images), ("real", real))
    }


def _lines(evaluated: ScoredSamples, library: str, parts: Parts) -> Iterator[AuditLine]:
    metrics = [name for name in LIBRARIES[library] if name in evaluated.metrics]
    found = _run(library, parts, metrics)
    for metric in metrics:
        ours = evaluated.metrics[metric].value
        line = _line(metric, ours, _installed(library), found[metric])
        yield _of_a_subset(line, parts) if metric == "kid" else line


def _run(library: str, parts: Parts, metrics: Sequence[str]) -> dict[str, float | str]:
    """Return each metric's value or why there is none, even if the library crashes."""
    with tempfile.TemporaryDirectory(prefix="genharness-audit-") as folder:
        file = Path(folder) / "features.pt"
        torch.save(dict(parts), file)
        command = interpreters.command(
            "harness.evaluate.audit_libraries", library, str(file), *metrics
        )
        done = subprocess.run(command, capture_output=True, text=True)
    return _answers(done, metrics)


def _answers(
    done: subprocess.CompletedProcess[str], metrics: Collection[str]
) -> dict[str, float | str]:
    """Return what a process printed for each metric, or how it ended before."""
    end = f"exit code {done.returncode}"
    if done.returncode < 0:
        end = signal.Signals(-done.returncode).name
    found: dict[str, float | str] = {}
    for metric in metrics:
        found[metric] = f"the library crashed its process ({end})"
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            found |= json.loads(line)
    return found


def _line(metric: str, ours: float | None, library: str, found: float | str) -> AuditLine:
    if isinstance(found, str):
        return AuditLine(metric, ours, library, None, None, found)
    if not math.isfinite(found):
        return AuditLine(metric, ours, library, None, None, f"the library returned {found}")
    difference = None if not ours else (found - ours) / abs(ours)
    return AuditLine(metric, ours, library, found, difference, "")


def _of_a_subset(line: AuditLine, parts: Parts) -> AuditLine:
    """Do not compare where the libraries draw a random subset of the real images."""
    n, m = len(parts["samples"]), len(parts["real"])
    if n == m or line.value is None:
        return line
    note = f"a random {min(n, m)} of the {max(n, m)}, ours takes all: differs by chance"
    return replace(line, difference=None, note=note)
