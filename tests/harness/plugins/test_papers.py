"""The paper of a system is read from the docstring of its module, which is not imported."""

import pytest

from harness.plugins.papers import paper

BODY = "\nraise RuntimeError('imported')\n"


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        (
            "DCGAN: Radford and others, 2016, arXiv:1511.06434.\n\nMore: arXiv:1.",
            "arXiv:1511.06434",
        ),
        ("Wrapped: Doe\nand Poe, arXiv:2001.00001, with more.", "Doe and Poe, arXiv:2001.00001"),
        ("Old: Poe, 1999, doi:10.1000/x.y.", "Poe, 1999, doi:10.1000/x.y"),
        ("A model: without a paper.\n\nSomebody: arXiv:2001.00001", ""),
        ("No name in front, arXiv:2001.00001", ""),
        ("", ""),
    ],
)
def test_the_reference_follows_the_name_in_the_first_paragraph(
    docstring, expected, tmp_path, monkeypatch
):
    (tmp_path / "of_a_paper.py").write_text(f"{docstring!r}{BODY}")
    monkeypatch.syspath_prepend(tmp_path)
    found = paper("of_a_paper:Model")
    assert found.endswith(expected) and bool(found) == bool(expected)


@pytest.mark.parametrize("text", ["'''", b"\xff\xfe", "x = 1"], ids=["broken", "binary", "bare"])
def test_a_module_without_a_readable_docstring_has_no_paper(text, tmp_path, monkeypatch):
    path = tmp_path / "unreadable_module.py"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    monkeypatch.syspath_prepend(tmp_path)
    assert paper("unreadable_module:Model") == ""


@pytest.mark.parametrize("target", ["nowhere:Model", "torch._C:Model", "nowhere.at.all:Model"])
def test_what_has_no_source_has_no_paper(target):
    assert paper(target) == ""
