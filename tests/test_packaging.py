"""The wheel holds our packages, all of their files, and nothing else."""

import ast
import configparser
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PACKAGES = [
    ROOT / path for path in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_top_level_packages(wheel):
    version = PROJECT["project"]["version"]
    found = {name.split("/")[0] for name in wheel.namelist()}
    assert found == {package.name for package in PACKAGES} | {f"genharness-{version}.dist-info"}
    assert not found & {"plugins", "datasets", "reports", "tests"}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_every_file_is_in(wheel, package):
    files = {path.relative_to(package.parent) for path in package.rglob("*") if path.is_file()}
    caches = {
        path for path in files if any(part.startswith((".", "__pycache__")) for part in path.parts)
    }
    assert {path.as_posix() for path in files - caches} <= set(wheel.namelist())


def test_every_source_root_is_packed():
    roots = [
        path for name in ("plugins", "datasets", "reports") for path in (ROOT / name).iterdir()
    ]
    importable = {path for path in roots if (path / "__init__.py").exists()}
    assert importable | {ROOT / "harness"} == set(PACKAGES)


def test_entry_points_are_in(wheel):
    (path,) = (name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    points = configparser.ConfigParser()
    points.read_string(wheel.read(path).decode())
    assert points["console_scripts"]["harness"] == "harness.cli:main"
    for module in points["harness"].values():
        assert f"{module.replace('.', '/')}/__init__.py" in wheel.namelist()


def test_the_licence_is_in(wheel):
    (path,) = (name for name in wheel.namelist() if name.endswith("/licenses/LICENSE"))
    assert (
        "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in wheel.read(path).decode()
    )


# Imported by pytest alone.
SUITE = {ROOT / "harness/speed/plugin.py", ROOT / "harness/speed/test_sampling.py"}


def imports(nodes):
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def names(requirements):
    return {re.match(r"[\w.-]+", requirement)[0] for requirement in requirements}


NOT_EVERYWHERE = {"pynvml": ["nvidia-ml-py"], "ray": ["ray"]}
"""Owners of modules of extras that the tests run without."""


def test_everything_imported_is_declared():
    """Of an extra, what is imported within functions, when it is asked for."""
    declared = names(PROJECT["project"]["dependencies"])
    extras = declared.union(*map(names, PROJECT["project"]["optional-dependencies"].values()))
    ours = {package.name for package in PACKAGES} | sys.stdlib_module_names
    owners = packages_distributions()

    def undeclared(nodes, allowed):
        for module in set(imports(nodes)) - ours:
            found_in = owners.get(module, NOT_EVERYWHERE.get(module, ()))
            distributions = {name.lower().replace("_", "-") for name in found_in}
            if not distributions & allowed:
                yield module

    found = {}
    for path in (path for package in PACKAGES for path in package.rglob("*.py")):
        tree = ast.parse(path.read_bytes())
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
        within = {id(node) for function in functions for node in ast.walk(function)}
        above = [node for node in ast.walk(tree) if id(node) not in within]
        wrong = {
            *undeclared(above, extras if path in SUITE else declared),
            *undeclared(ast.walk(tree), extras),
        }
        if wrong:
            found[str(path.relative_to(ROOT))] = wrong
    assert not found
