"""What the site's build puts into the pages is what the code says."""

import importlib.util
import tomllib
from dataclasses import fields

import pytest
from support.pages import PAGES, ROOT
from typer.main import get_command

from harness.cli import app
from harness.plugins.registry import registry

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def hook(name):
    """Import what the site's build runs."""
    specification = importlib.util.spec_from_file_location(name, ROOT / f"docs/hooks/{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def families():
    """Return the packages of the built-in models."""
    return [
        package
        for package in PROJECT["entry-points"]["harness"].values()
        if (ROOT / "plugins" / package).is_dir()
    ]


@pytest.mark.parametrize("package", families())
def test_each_family_has_a_page(package):
    place = f"<!-- models of {package} -->"
    pages = [page for page in PAGES if place in (ROOT / page).read_text("utf-8").splitlines()]
    assert len(pages) == 1, f"write a page with {place!r} in docs/families"
    assert pages[0].removeprefix("docs/") in (ROOT / "mkdocs.yml").read_text("utf-8")


@pytest.mark.parametrize("package", families())
def test_recipes_are_the_defaults(package):
    page = hook("recipes").on_page_markdown(f"before\n\n<!-- models of {package} -->\n\nafter")
    ours = [e.info for e in registry().models.values() if e.info.target.startswith(f"{package}.")]
    sections = page.split("\n### ")[1:]
    assert {section.split("\n")[0] for section in sections} == {info.name for info in ours}
    for info in ours:
        [section] = [s for s in sections if s.startswith(f"{info.name}\n")]
        assert info.summary in section
        lines = [line for line in section.splitlines() if line.startswith("| `")]
        cells = [line.strip("| ").split(" | ") for line in lines]
        message = {name.strip("`"): (default, help) for name, _, default, help in cells}
        config = registry().load(info).Config
        assert list(message) == [field.name for field in fields(config)]
        for field in fields(config):
            default, help = message[field.name]
            assert (eval(default.strip("`")), help) == (field.default, field.metadata["help"])


def test_every_command_is_described():
    described = hook("command_line").commands()
    names = [line[3:] for line in described.splitlines() if line.startswith("## ")]
    assert names == [f"harness {name}" for name in get_command(app).commands]
    assert "--retry-failed" in described and "**Commands**" not in described


def test_formulas_need_no_script():
    mathematics = hook("mathematics")
    inline = mathematics.on_page_content(r'<p><span class="arithmatex">\(z &lt; 1\)</span></p>')
    assert inline.startswith("<p><math") and inline.endswith("</math></p>")
    assert 'display="inline"' in inline and "<mo>&#x0003C;</mo>" in inline
    shown = mathematics.on_page_content(
        '<div class="arithmatex">\\[\n\\log p, e \\sim q, [-1]\n\\]</div>'
    )
    assert 'display="block"' in shown and "arithmatex" not in shown
    assert ">log</mo><mi>p</mi>" in shown
    assert "<mo>&#x0223C;</mo>" in shown
    assert '<mo form="prefix" lspace="0" rspace="0">&#x02212;</mo><mn>1</mn>' in shown
