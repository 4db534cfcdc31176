"""Installed distributions made of a few lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent


def install(
    site: Path, name: str, modules: Mapping[str, str], entry_points: Mapping[str, str] | None = None
) -> None:
    """Put a distribution, version 1.0, into ``site`` as an installer would.

    Args:
        site: folder on ``sys.path``.
        name: of the distribution.
        modules: source by path ("package/module.py").
        entry_points: import string by name, of group ``harness``.
    """
    write(site, modules)
    metadata = site / f"{name.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "RECORD").write_text("".join(f"{path},,\n" for path in modules))
    lines = [f"{key} = {value}" for key, value in (entry_points or {}).items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[harness]", *lines]) + "\n")


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files, by path, with their common indentation removed."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(dedent(text))


def models_plugin(*names: str, target: str = "nowhere:Model") -> str:
    """Return the source of a plugin that brings models of these names."""
    infos = ", ".join(f"ModelInfo({name!r}, 'a test model', {target!r})" for name in names)
    return (
        "from harness.hooks import ModelInfo, hookimpl\n\n"
        "@hookimpl\n"
        f"def harness_models():\n    return [{infos}]\n"
    )
