"""Metrics of features by other libraries: each in its own process, as some of them crash it.

``python -m harness.evaluate.audit_libraries LIBRARY FILE METRIC...`` reads features from a file and
prints a line of JSON for each metric.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Parts = Mapping[str, Tensor]
"""Features of the samples, their logits where there are any, and features of the real images."""


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


class _PassThrough(torch.nn.Module):
    """A feature network that returns its input, which is features already."""

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
    return float(_compare(FrechetInceptionDistance(_PassThrough(d)), parts))


def _torchmetrics_kid(parts: Parts) -> float:
    from torchmetrics.image.kid import KernelInceptionDistance

    torch.manual_seed(0)
    size = min(len(parts["samples"]), len(parts["real"]))
    d = parts["samples"].shape[1]
    metric = KernelInceptionDistance(_PassThrough(d), subsets=1, subset_size=size)
    return float(_compare(metric, parts)[0])


def _torchmetrics_is(parts: Parts) -> float:
    logits = parts["logits"]  # without which there is nothing to import
    from torchmetrics.image.inception import InceptionScore

    metric = InceptionScore(_PassThrough(0), splits=1)
    metric.update(logits)
    return float(metric.compute()[0])


LIBRARIES: dict[str, dict[str, Callable[[Parts], float]]] = {
    "clean-fid": {"fid": _clean_fid, "kid": _clean_kid},
    # The distance last: it is what may end the process.
    "torchmetrics": {"is": _torchmetrics_is, "kid": _torchmetrics_kid, "fid": _torchmetrics_fid},
}
"""Functions of each library by our name of the metric."""


def answers(
    library: str, parts: Parts, metrics: Sequence[str]
) -> Iterator[tuple[str, float | str]]:
    """Yield the value of each metric by a library, or the error that it raised."""
    for metric, function in LIBRARIES[library].items():
        if metric not in metrics:
            continue
        try:
            yield metric, function(parts)
        except KeyError:
            yield metric, "these features have no class logits"
        except Exception as error:
            yield metric, f"the library raised {type(error).__name__}: {error}"


def main() -> None:
    """Print the metrics that one library computes from a file of features."""
    warnings.simplefilter("ignore")
    library, file, *metrics = sys.argv[1:]
    for metric, answer in answers(library, torch.load(file, weights_only=True), metrics):
        print(json.dumps({metric: answer}), flush=True)


if __name__ == "__main__":
    main()
