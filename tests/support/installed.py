"""A plugin that is found beside those that are installed, made of objects at hand."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import pytest

from harness import hooks
from harness.hooks import DatasetInfo, FeatureInfo, MetricInfo, ModelInfo, hookimpl
from harness.plugins.registry import Registry


def registry_with(
    patch: pytest.MonkeyPatch,
    models: dict[str, Any] | None = None,
    datasets: dict[str, Any] | None = None,
    features: dict[str, Any] | None = None,
    metrics: dict[str, Any] | None = None,
) -> Registry:
    """Return a registry of what is installed and of a plugin that brings objects by name."""
    module = ModuleType("plugin_at_hand")
    patch.setitem(sys.modules, module.__name__, module)
    # Nothing on the disk holds it, so nothing could be hashed.
    patch.setattr(
        "harness.planning.resolution.identify_model", lambda plugin: {"distribution": "at hand"}
    )
    patch.setattr("harness.planning.resolution.identify_measurement", lambda *of: {})

    def infos(kind: type, found: dict[str, Any] | None, **common: Any) -> list[Any]:
        for index, target in enumerate((found or {}).values()):
            setattr(module, f"{kind.__name__}{index}", target)
        return [
            kind(name, "", f"{module.__name__}:{kind.__name__}{index}", **common)
            for index, name in enumerate(found or {})
        ]

    brought = {
        "harness_models": infos(ModelInfo, models, type="toy"),
        "harness_datasets": infos(DatasetInfo, datasets),
        "harness_features": infos(FeatureInfo, features),
        "harness_metrics": infos(MetricInfo, metrics),
    }
    for hook, answer in brought.items():
        setattr(module, hook, hookimpl(_answering(hook, answer)))
    installed = sorted(entry_points(group=hooks.GROUP), key=lambda point: point.name)
    return Registry([*installed, EntryPoint("at-hand", module.__name__, hooks.GROUP)])


def _answering(hook: str, answer: list[Any]) -> Any:
    def answering() -> list[Any]:
        return answer

    answering.__name__ = hook
    return answering
