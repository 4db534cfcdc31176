"""Checks of the installed plugins: which are broken, and what of them is usable here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from harness.dataset import PublishedFiles
from harness.doctor.finding import Finding, ok, warning
from harness.errors import UserError
from harness.features.published_weights import PublishedWeights, WeightsError
from harness.hooks import DatasetInfo, FeatureInfo
from harness.plugins.registry import KINDS, Registered, Registry


def plugin_findings(found: Registry) -> Iterator[Finding]:
    """Report what each distribution provides, which plugins are broken, and name conflicts."""
    brought: dict[str, Counter[str]] = {}
    for kind in KINDS:
        for entry in getattr(found, kind).values():
            brought.setdefault(entry.origin, Counter())[kind] += 1
    for origin, counts in brought.items():
        text = ", ".join(f"{kind}: {count}" for kind, count in counts.items())
        yield ok(f"plugins of {origin}", text)
    for plugin in found.broken:
        remedy = f"install {plugin.distribution} again, or pip uninstall {plugin.distribution}"
        yield warning(
            f"plugin {plugin.entry_point} of {plugin.distribution}", plugin.reason, remedy
        )
    for conflict in found.conflicts:
        claims = " and ".join(f"{entry.origin} ({entry.info.target})" for entry in conflict.entries)
        text = f"{len(conflict.entries)} {conflict.kind} have this name: {claims}"
        yield warning(f"name {conflict.name}", text, "uninstall or rename all but one")


def target_findings(found: Registry) -> Iterator[Finding]:
    """Import all models, metrics and reports; report those that cannot be imported."""
    for kind in ("models", "metrics", "reports"):
        for entry in getattr(found, kind).values():
            if fault := _import_fault(found, entry):
                yield warning(f"{kind[:-1]} {entry.info.name}", fault, _reinstall(entry))


def dataset_findings(found: Registry) -> Iterator[Finding]:
    """Report which data sets are on this machine; nothing is downloaded."""
    for entry in found.datasets.values():
        yield _dataset_finding(found, entry)


def _dataset_finding(found: Registry, entry: Registered[DatasetInfo]) -> Finding:
    info = entry.info
    subject = f"data set {info.name}"
    if fault := _import_fault(found, entry):
        return warning(subject, fault, _reinstall(entry))
    if info.argument:
        return ok(subject, f"to be named as {info.name}:{info.argument}")
    if not info.files:
        return ok(subject, "needs no files")
    try:
        files: PublishedFiles = found.load(replace(info, target=info.files))()
    # A function of a plugin may raise anything.
    except Exception as error:
        return warning(subject, f"looking for its files failed: {error}", "fix that first")
    if not files.missing:
        return ok(subject, "its files are on this machine")
    folders = " and ".join(map(str, files.folders))
    remedy = f"put {', '.join(files.missing)} in {files.folders[-1]}"
    if files.downloadable:
        remedy = f"is downloaded when first used; without a network, {remedy}"
    return warning(subject, f"not on this machine; looked in {folders}", remedy)


def feature_findings(found: Registry) -> Iterator[Finding]:
    """Report which feature extractors can be built, including the hashes of their weights."""
    for entry in found.features.values():
        yield _feature_finding(found, entry)


def _feature_finding(found: Registry, entry: Registered[FeatureInfo]) -> Finding:
    subject = f"features {entry.info.name}"
    if fault := _import_fault(found, entry):
        return warning(subject, fault, _reinstall(entry))
    extractor = found.load(entry.info)
    # A function that returns an extractor has no class to query.
    if unusable := getattr(extractor, "unusable", lambda: None)():
        reason, _, command = unusable.partition("; run: ")
        reason = reason.removesuffix(f"; install {entry.distribution} again")
        return warning(subject, reason, command or _reinstall(entry))
    weights = getattr(extractor, "weights", None)
    if isinstance(weights, PublishedWeights):
        return _weights_finding(subject, weights)
    return ok(subject, "usable")


def _weights_finding(subject: str, weights: PublishedWeights) -> Finding:
    """Check the hash of weights that are there; download nothing."""
    if not weights.path.is_file():
        seen = f"its weights are not on this machine; looked for {weights.path}"
        remedy = "are downloaded when first used; without a network, put the file there, from "
        return warning(subject, seen, remedy + weights.address)
    try:
        weights.fetch()
    except WeightsError as error:
        seen, *_ = str(error).partition("; remove")
        return warning(subject, seen, f"remove {weights.path}")
    return ok(subject, f"usable, weights in {weights.path}")


def _import_fault(found: Registry, entry: Registered[DatasetInfo | FeatureInfo]) -> str | None:
    try:
        found.load(entry.info)
    except UserError as error:
        return str(error)
    return None


def _reinstall(entry: Registered[DatasetInfo | FeatureInfo]) -> str:
    return f"install {entry.distribution} again, or report it to its authors"
