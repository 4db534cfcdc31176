import base64
import json
import re
from html.parser import HTMLParser

import pytest
from support.rows import digits_rows, failed, make_results, make_row, png

from harness_reports.page import to_html, write

HOSTILE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Collects the elements and, by element, the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.cells, self.addresses, self._open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        attributes = dict(attributes)
        self.addresses += [attributes[name] for name in ("src", "href") if name in attributes]
        assert not any(name.startswith("on") for name in attributes)
        if tag in ("td", "th"):
            self.cells.append("")
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._open.pop()

    def handle_data(self, data):
        if self._open:
            self.cells[-1] += data


@pytest.fixture(scope="module")
def results():
    rows = [
        *digits_rows(),
        make_row(label=HOSTILE, family="<img src=x onerror=alert(2)>", fid=4.0),
        failed("glow", "diverged", "loss is NaN\n</pre><script>alert(3)</script>"),
        failed("cyclegan", "skipped", "needs two domains"),
    ]
    return make_results(rows, source='models = ["</pre><script>alert(4)</script>"]')


@pytest.fixture(scope="module")
def page(results):
    return to_html(results)


def test_every_figure_of_the_leaderboard_is_on_it(page, results):
    text = " ".join(" ".join(cell.split()) for cell in Page(page).cells)
    for row in results.rows:
        assert row.label in text
        if "fid" in row.metrics:
            assert f"{row.metrics['fid'].value:.3f}" in text
    assert "≤ 3.05" in text.replace("≤3.05", "≤ 3.05") and "35,200" in text


def test_everything_that_plugins_say_is_text(page):
    parsed = Page(page)
    assert parsed.elements.count("script") == 3
    assert all(address.startswith(("data:", "#")) for address in parsed.addresses)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page and "onerror=alert(2)&gt;" in page


def test_it_needs_no_network(page):
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert "http" not in markup.replace("https://vega.github.io/schema", "")
    assert "<link" not in markup.replace('<link rel="icon" href="data:,">', "")


def test_each_picture_is_in_the_page_once_and_by_rank(results):
    again = make_row("vae", 4.0, seed=1)
    rows = make_results([*results.rows, again])
    shown = re.findall(r'<img [^>]*src="data:image/png;base64,([^"]+)"', to_html(rows))
    pictures = [base64.b64decode(text) for text in shown]
    assert pictures[:2] == [rows.pictures[t] for t in ("test set-0-digits", "sngan-0-digits")]
    assert pictures[-1] == rows.pictures["vae-1-digits"]
    assert sorted(pictures) == sorted(rows.pictures.values())


def test_curves_hold_the_evaluations(page, results):
    text = re.search(r'id="specifications">(.*?)</script>', page, re.DOTALL)[1]
    ((charts),) = json.loads(text)
    assert set(charts) == {"fraction", "seconds", "flops", "images"}
    (data,) = charts["flops"]["datasets"].values()
    assert len(data) == len(results.curves)
    last = next(p for p in data if p["model"] == "sngan" and p["used"] == 4.2e12)
    assert last["quality"] == 0.487
    assert HOSTILE in {point["model"] for point in data}


def test_failures_are_shown_whole(page):
    assert "loss is NaN\n&lt;/pre&gt;&lt;script&gt;alert(3)" in page
    assert "needs two domains" in page
    assert "11 trials: 9 ok, 1 diverged, 1 skipped" in page


def test_the_protocol_of_every_row_is_there(page):
    for text in (
        "batch_size",
        "features.digest",
        "cpu-2-abcdef",
        "412 MB",
        "uniform dequantisation",
    ):
        assert text in page


def test_charts_are_written_beside_it(tmp_path):
    rows = [make_row(), make_row("ddpm", 0.6), make_row("vae", dataset="mnist", fingerprint="e")]
    path = write(make_results(rows), tmp_path)
    assert path == tmp_path / "report.html" and path.read_text().startswith("<!doctype html>")
    charts = sorted(p.name for p in (tmp_path / "charts").iterdir())
    currencies = ("flops", "fraction", "images", "seconds")
    assert charts == sorted(f"fid-{c}{i}.svg" for c in currencies for i in ("", "-2"))
    assert ">ddpm<" in (tmp_path / "charts" / "fid-flops.svg").read_text()


def test_without_curves_or_rows_it_is_still_a_page():
    rows = [failed("glow", "error", "x")]
    page = to_html(make_results(rows, pictures={"stray": png(0)}))
    assert len(page) < 100_000 and "What did not work" in page
    assert "No trial has ended yet." in to_html(make_results([]))
