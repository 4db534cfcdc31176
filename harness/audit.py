"""The same features, scored by other libraries: ``harness evaluate --audit``.

Each library runs in a process of its own, as some of them end it: ``python -m harness.audit
LIBRARY FILE`` reads features from a file and prints a line of JSON for each metric.
"""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.errors import UserError
from harness.evaluate_images import Evaluated
from harness.evaluation import HEADLINE
from harness.features.reference import extract

Parts = Mapping[str, Tensor]
"""Features of the samples, their logits where there are any, and features of the real images."""


@dataclass(frozen=True)
class AuditLine:
    """One metric as one library has it.

    Attributes:
        metric: our name of it.
        ours: our value, if we have one.
        library: name and version.
        value: the library's, None if it has none.
        difference: (value - ours) / |ours|; None where the library took a random subset.
        note: why there is no value, or how it was asked for.
    """

    metric: str
    ours: float | None
    library: str
    value: float | None
    difference: float | None
    note: str


def audit(evaluated: Evaluated) -> list[AuditLine]:
    """Score the evaluated images again with clean-fid and torchmetrics, from the same features.

    Raises:
        UserError: a library is not installed.
    """
    names = {library: _installed(library) for library in LIBRARIES}
    parts = _parts(evaluated)
    lines = []
    with tempfile.TemporaryDirectory(prefix="genharness-audit-") as folder:
        file = Path(folder) / "features.pt"
        torch.save(parts, file)
        for library, name in names.items():
            found = _run(library, file)
            for metric in LIBRARIES[library].keys() & evaluated.metrics.keys():
                ours = evaluated.metrics[metric].value
                line = _line(metric, ours, name, found[metric])
                lines.append(_of_a_subset(line, parts) if metric == "kid" else line)
    return sorted(lines, key=lambda line: (line.metric, line.library))


def _installed(library: str) -> str:
    try:
        return f"{library} {version(library)}"
    except PackageNotFoundError:
        raise UserError(
            f"--audit needs {library}, which is not installed: pip install 'genharness[test]'"
        ) from None


def _parts(evaluated: Evaluated) -> dict[str, Tensor]:
    scorer = evaluated.scorer
    batches = list(extract(scorer.extractor, evaluated.images, device=scorer.device))
    parts = {
        "samples": torch.cat([features.vectors.cpu() for features in batches]),
        "real": scorer.references[HEADLINE].features.vectors,
    }
    logits = [features.logits.cpu() for features in batches if features.logits is not None]
    return parts | ({"logits": torch.cat(logits)} if logits else {})


def _run(library: str, file: Path) -> dict[str, float | str]:
    """Return each metric's value or why there is none, whatever the library does."""
    command = [sys.executable, "-m", "harness.audit", library, str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    end = f"exit code {done.returncode}"
    if done.returncode < 0:
        end = signal.Signals(-done.returncode).name
    found: dict[str, float | str] = {}
    for metric in LIBRARIES[library]:
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
    """Do not compare where the libraries take as many real images as samples, at random."""
    n, m = len(parts["samples"]), len(parts["real"])
    if n == m or line.value is None:
        return line
    note = f"a random {min(n, m)} of the {max(n, m)}, where ours takes all: differs by chance"
    return replace(line, difference=None, note=note)


def _clean_fid(parts: Parts) -> float:
    import numpy as np
    from cleanfid import fid

    moments = []
    for name in ("samples", "real"):
        features = parts[name].numpy()
        moments += [np.mean(features, axis=0), np.cov(features, rowvar=False)]
    return float(fid.frechet_distance(*moments))


def _clean_kid(parts: Parts) -> float:
    import numpy as np
    from cleanfid import fid

    np.random.seed(0)
    samples, real = (parts[name].numpy() for name in ("samples", "real"))
    return float(fid.kernel_distance(samples, real, num_subsets=1, max_subset_size=len(samples)))


class _Already(torch.nn.Module):
    """A feature network for what is features already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        """Return the features."""
        return features


def _compare(metric: Any, parts: Parts) -> Any:
    metric.update(parts["real"], real=True)
    metric.update(parts["samples"], real=False)
    return metric.compute()


def _torchmetrics_fid(parts: Parts) -> float:
    from torchmetrics.image.fid import FrechetInceptionDistance

    d = parts["samples"].shape[1]
    return float(_compare(FrechetInceptionDistance(_Already(d)), parts))


def _torchmetrics_kid(parts: Parts) -> float:
    from torchmetrics.image.kid import KernelInceptionDistance

    torch.manual_seed(0)
    size = min(len(parts["samples"]), len(parts["real"]))
    d = parts["samples"].shape[1]
    metric = KernelInceptionDistance(_Already(d), subsets=1, subset_size=size)
    return float(_compare(metric, parts)[0])


def _torchmetrics_is(parts: Parts) -> float:
    from torchmetrics.image.inception import InceptionScore

    metric = InceptionScore(_Already(0), splits=1)
    metric.update(parts["logits"])
    return float(metric.compute()[0])


LIBRARIES: dict[str, dict[str, Callable[[Parts], float]]] = {
    "clean-fid": {"fid": _clean_fid, "kid": _clean_kid},
    # The distance last: it is what may end the process.
    "torchmetrics": {"is": _torchmetrics_is, "kid": _torchmetrics_kid, "fid": _torchmetrics_fid},
}
"""Functions of each library by our name of the metric."""


def answers(library: str, parts: Parts) -> Iterator[tuple[str, float | str]]:
    """Yield each metric's value by a library, or what it raised."""
    for metric, function in LIBRARIES[library].items():
        try:
            yield metric, function(parts)
        except KeyError:
            yield metric, "these features have no class logits"
        except Exception as error:
            yield metric, f"the library raised {type(error).__name__}: {error}"


def main() -> None:
    """Print what the library named on the command line makes of the features in a file."""
    warnings.simplefilter("ignore")
    library, file = sys.argv[1:]
    for metric, answer in answers(library, torch.load(file, weights_only=True)):
        print(json.dumps({metric: answer}), flush=True)


if __name__ == "__main__":
    main()
