"""Headings and directions of plugins' metrics, stored in rows.

Reports do not use the registry, and the plugin of a metric need not be installed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.hooks import MetricInfo
from harness.plugins.registry import Registered
from harness.row import Measurement

_VARIANT = re.compile(r"(?P<test>_test)?(_seed(?P<seed>\d+))?(?P<raw>_raw)?")
"""Suffixes of the names of variants of a metric."""


def labelled(
    measured: Mapping[str, Measurement], metrics: Mapping[str, Registered[MetricInfo]]
) -> dict[str, Measurement]:
    """Return measurements with the label and the direction of their metric.

    Args:
        measured: by name: "fid", "fid_test", ...
        metrics: those that are installed, by name; others stay as they are.
    """
    return {name: _labelled(name, m, metrics) for name, m in measured.items()}


def _labelled(
    name: str, measurement: Measurement, metrics: Mapping[str, Registered[MetricInfo]]
) -> Measurement:
    for metric in sorted(metrics, key=len, reverse=True):
        variant = _VARIANT.fullmatch(name.removeprefix(metric))
        if name.startswith(metric) and variant:
            info = metrics[metric].info
            label = (info.label or metric) + _words(variant)
            fields = {"label": label, "lower_is_better": info.lower_is_better}
            return measurement.model_copy(update=fields)
    return measurement


def _words(variant: re.Match[str]) -> str:
    words = " test" if variant["test"] else ""
    words += f", seed {variant['seed']}" if variant["seed"] else ""
    return words + (", raw" if variant["raw"] else "")
