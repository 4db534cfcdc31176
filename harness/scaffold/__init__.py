"""Templates of plugins: an installable project with a small working example.

The templates are ``string.Template`` texts: a module for each family of models and for each other
kind, and files that every plugin has.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from collections.abc import Mapping
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from string import Template

from harness.errors import UserError
from harness.hooks import Info
from harness.plugins.kinds import Kind
from harness.plugins.registry import Registered, registry

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
RESERVED = {
    "real": "a reference row",
    "null": "a reference row",
    "tests": "the folder of the plugin's tests",
}


class Family(StrEnum):
    """Families of models with a template."""

    likelihood = "likelihood"
    flow = "flow"
    gan = "gan"
    diffusion = "diffusion"
    conditional = "conditional"
    two_stage = "two-stage"


TYPES = {
    Family.likelihood: "autoregressive",
    Family.flow: "flow",
    Family.gan: "adversarial",
    Family.diffusion: "diffusion",
    Family.conditional: "flow matching",
    Family.two_stage: "autoencoder",
}
"""The type of each template's model in tables."""

SUMMARIES = {
    Family.likelihood: "A linear autoregression with discretised logistic conditionals.",
    Family.flow: "Affine couplings on dequantised pixels.",
    Family.gan: "Two perceptrons with the non-saturating loss.",
    Family.diffusion: "A perceptron that predicts v, sampled by DDIM.",
    Family.conditional: "A rectified flow for images of a wanted class.",
    Family.two_stage: "An autoencoder, then a mixture of Gaussians over its codes.",
}


USES = {
    Kind.dataset: 'A benchmark trains on it that has `datasets = ["$name"]`.',
    Kind.metric: "Benchmarks measure it, unless `metrics` in their `[evaluation]` names others.",
    Kind.report: "`harness report BENCHMARK --format $name` writes it, and so does every run.",
}
"""How users access what each template of another kind provides."""

KIND_SUMMARIES = {
    Kind.dataset: "Independent pixels whose brightness depends on the class; known entropy.",
    Kind.metric: "Distance of the mean features, in standard deviations of the real ones.",
    Kind.report: "One line per system, with the mean FID over seeds.",
}


def write_plugin(name: str, shape: Family | Kind, folder: Path) -> list[Path]:
    """Write a plugin that provides something called ``name``; return the paths of its files.

    Args:
        name: of what it provides and of the distribution; with "_" for "-" also of the package.
        shape: the family of a model, or another kind.
        folder: of the project; it must be empty or not exist.

    Raises:
        UserError: the name cannot be used, or the folder is not empty; nothing is written.
    """
    _check_name(name, Kind.model if isinstance(shape, Family) else shape)
    _check_folder(folder, name)
    texts = render(name, shape)
    try:
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with (folder / path).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}") from None
    return [folder / path for path in texts]


def render(name: str, shape: Family | Kind) -> dict[str, str]:
    """Return the text of each file of a plugin, by path."""
    package = _package(name)
    words = {
        "name": name,
        "package": package,
        "class_name": "".join(word.capitalize() for word in package.split("_")),
    }
    if isinstance(shape, Family):
        words |= {"type": TYPES[shape], "summary": SUMMARIES[shape]}
        templates = {
            "README.md": "README.md",
            f"{package}/__init__.py": "init.py",
            f"{package}/model.py": f"{shape}.py",
            f"tests/test_{package}.py": "test.py",
        }
    else:
        use = Template(USES[shape]).substitute(words)
        words |= {"kind": shape, "summary": KIND_SUMMARIES[shape], "use": use}
        templates = {
            "README.md": "README-of-kinds.md",
            f"{package}/__init__.py": f"{shape}/init.py",
            f"{package}/{shape}.py": f"{shape}/{shape}.py",
            f"tests/test_{package}.py": f"{shape}/test.py",
        }
    folder = files("harness.scaffold") / "templates"
    return {
        path: Template((folder / f"{source}.tmpl").read_text("utf-8")).substitute(words)
        for path, source in {"pyproject.toml": "pyproject.toml", **templates}.items()
    }


def _package(name: str) -> str:
    return name.replace("-", "_")


def _check_name(name: str, kind: Kind) -> None:
    if not _NAME.fullmatch(name):
        words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)
        better = re.sub(r"^[0-9-]+", "", "-".join(words).lower())
        hint = f"; try {better!r}" if _NAME.fullmatch(better) else ""
        raise UserError(
            f"{name!r} cannot name a plugin: use lower-case letters and digits, with '-' or '_' "
            f"between words, a letter first{hint}"
        )
    if taken := _taken(name, kind):
        raise UserError(f"the name {name!r} is taken: it is {taken}; choose another")


def _taken(name: str, kind: Kind) -> str | None:
    """Return what already has the name, or None."""
    package = _package(name)
    if name in RESERVED:
        return RESERVED[name]
    entries: Mapping[str, Registered[Info]] = getattr(registry(), kind.plural)
    if entry := entries.get(name):
        return f"a {kind} of {entry.origin}"
    if keyword.iskeyword(package) or keyword.issoftkeyword(package):
        return "a keyword of Python"
    if package in sys.stdlib_module_names:
        return "a module of Python's standard library"
    try:
        return f"the distribution {name} {version(name)}"
    except PackageNotFoundError:
        spec = importlib.util.find_spec(package)
    # Without an origin it is a mere folder, which an installed package precedes.
    return f"a module that can be imported, {spec.origin}" if spec and spec.origin else None


def _check_folder(folder: Path, name: str) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise UserError(
            f"{folder} exists already, and nothing is overwritten; name a folder that does not: "
            f"harness new {name} FOLDER"
        )
