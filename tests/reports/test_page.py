"""What is in the page's file; what a reader makes of it is in test_browser."""

import base64
import json
import re
from html.parser import HTMLParser

import pytest
from support.rows import digits_rows, failed, make_results, make_row, png

from harness_reports import page as page_module
from harness_reports import page_data
from harness_reports.page import to_html, write

HOSTILE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Collects the elements and addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.addresses = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        attributes = dict(attributes)
        self.addresses += [attributes[name] for name in ("src", "href") if name in attributes]
        assert not any(name.startswith("on") for name in attributes)


def document(page, name):
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', page, re.DOTALL)[1])


@pytest.fixture(scope="module")
def results():
    rows = [
        *digits_rows(),
        make_row(label=HOSTILE, type="<img src=x onerror=alert(2)>", fid=4.0),
        failed("glow", "diverged", "loss is NaN\n</pre><script>alert(3)</script>"),
        failed("cyclegan", "skipped", "needs two domains"),
    ]
    return make_results(rows, source='models = ["</pre><script>alert(4)</script>"]')


@pytest.fixture(scope="module")
def page(results):
    return to_html(results)


def test_every_figure_of_the_leaderboard_is_in_it(page, results):
    (table,) = document(page, "leaderboards")["tables"]
    headings = [column["heading"] for column in table["columns"]]
    lines = {line["model"]: line for line in table["lines"]}
    assert list(lines)[1] == "sngan" and lines[HOSTILE]["type"] == "<img src=x onerror=alert(2)>"
    for row in results.rows:
        cell = lines[row.label]["cells"][headings.index("FID")]
        if "fid" in row.metrics:
            value, _, protocol, text, *_ = cell
            assert value == row.metrics["fid"].value and text == f"{value:.3f}"
            assert "360 samples" in document(page, "leaderboards")["texts"][protocol]
        else:
            assert cell == []


def test_everything_that_plugins_say_is_text(page):
    parsed = Page(page)
    assert parsed.elements.count("script") == 8
    assert all(address.startswith(("data:", "#")) for address in parsed.addresses)
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert "<script>alert" not in page and "<img" not in markup
    assert "&lt;/pre&gt;&lt;script&gt;alert(4)" in page


def test_it_needs_no_network(page):
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert "http" not in markup.replace("https://vega.github.io/schema", "")
    assert "<link" not in markup.replace('<link rel="icon" href="data:,">', "")


def test_pictures_of_the_best_come_first_and_fill_a_bounded_room(results, monkeypatch):
    again = make_row("vae", 4.0, seed=1)
    rows = make_results([*results.rows, again], neighbours={again.trial: {"png": png(9)}})
    pictures = document(to_html(rows), "pictures")
    places = {row.trial: str(i) for i, row in enumerate(rows.rows)}
    assert set(pictures) == {places[trial] for trial in rows.pictures}
    decoded = base64.b64decode(pictures[places[again.trial]]["neighbours"]["png"])
    assert decoded == png(9)
    best = ("test set-0-digits", "sngan-0-digits")
    room = sum(len(rows.pictures[trial]["png"]) for trial in best)
    monkeypatch.setattr(page_data, "PICTURE_BYTES", room)
    kept = document(to_html(rows), "pictures")
    assert set(kept) == {places[trial] for trial in best}


def test_sounds_moving_pictures_and_texts_take_room_too_and_texts_are_no_markup(monkeypatch):
    files = {"png": png(1), "gif": b"GIF89a", "wav": b"RIFF....WAVE", "txt": f"{HOSTILE}ä".encode()}
    rows = [make_row("vae", data_kind="text"), make_row("dcgan", 9.0, data_kind="text")]
    results = make_results(rows, pictures={row.trial: files for row in rows})
    page = to_html(results)
    [shown, _] = document(page, "pictures").values()
    assert shown["samples"].pop("txt") == f"{HOSTILE}ä"
    assert {suffix: base64.b64decode(of) for suffix, of in shown["samples"].items()} == {
        suffix: files[suffix] for suffix in ("png", "gif", "wav")
    }
    assert HOSTILE not in page
    assert document(page, "leaderboards")["tables"][0]["things"] == "texts"
    monkeypatch.setattr(page_data, "PICTURE_BYTES", sum(map(len, files.values())))
    assert len(document(to_html(results), "pictures")) == 1


def test_curves_hold_the_evaluations(page, results):
    curves = document(page, "curves")
    assert sum(map(len, curves.values())) == len(results.curves)
    sngan = next(i for i, row in enumerate(results.rows) if row.label == "sngan")
    assert curves[str(sngan)][-1] == [1.0, 0.487, "averaged"]
    charts = [json.dumps(chart) for chart in document(page, "charts")]
    assert any('"used": 4200000000000.0, "quality": 0.487' in chart for chart in charts)
    assert any(json.dumps(HOSTILE) in chart for chart in charts)


def test_rows_are_there_in_full_and_what_they_share_is_there_once(page, results):
    trials = document(page, "trials")
    assert [trial["id"] for trial in trials["trials"]] == [row.trial for row in results.rows]
    sngan = next(trial for trial in trials["trials"] if trial["label"] == "sngan")
    settings = trials["pool"][sngan["shared"]["Settings"]]
    assert settings == {"batch_size": "64", "width": "32"}
    assert trials["pool"][sngan["shared"]["Protocol"]]["features.digest"] == "ab12"
    assert sngan["own"]["Used"]["peak memory"] == "412 MB"
    assert page.count('"features.digest":"ab12"') == 1
    failure = next(trial for trial in trials["trials"] if trial["label"] == "glow")
    assert failure["reason"].startswith("loss is NaN\n</pre>")


def test_figures_that_are_no_numbers_are_still_json():
    rows = [make_row(fid=float("nan")), make_row("ddpm", float("inf"))]
    (table,) = document(to_html(make_results(rows)), "leaderboards")["tables"]
    assert {line["cells"][0][0] for line in table["lines"]} == {None}
    assert {line["cells"][0][3] for line in table["lines"]} == {"–", "∞"}


def test_charts_are_written_beside_it(tmp_path):
    models = {"vae": 3.0, "ddpm": 0.6}
    rows = [
        make_row(model, fid + seed / 10, seed=seed, dataset=dataset, fingerprint=dataset)
        for model, fid in models.items()
        for dataset in ("digits", "mnist")
        for seed in (0, 1)
    ]
    path = write(make_results(rows), tmp_path)
    assert path == tmp_path / "report.html" and path.read_text().startswith("<!doctype html>")
    currencies = ("seconds", "flops", "images")
    names = ["anytime-fid", *(f"{kind}-{c}" for kind in ("fid", "staircase") for c in currencies)]
    stems = {"ranks-fid", *(f"{name}{end}" for name in names for end in ("", "-2"))}
    expected = {f"{stem}.{kind}" for stem in stems for kind in ("svg", "pdf")}
    assert {p.name for p in (tmp_path / "charts").iterdir()} == expected
    assert ">ddpm<" in (tmp_path / "charts" / "fid-flops.svg").read_text()
    assert (tmp_path / "charts" / "fid-flops.pdf").read_bytes().startswith(b"%PDF")


def test_the_first_tables_have_charts(monkeypatch):
    monkeypatch.setattr(page_module, "CHARTED_TABLES", 1)
    rows = [make_row(dataset=f"d{i}", fingerprint=str(i)) for i in range(3)]
    page = to_html(make_results(rows, pictures={}))
    assert page.count('class="drawings"') == 1
    assert page.count("Only the tables above have charts.") == 1


def test_without_curves_or_rows_it_is_still_a_page():
    rows = [failed("glow", "error", "x")]
    page = to_html(make_results(rows, pictures={"stray": {"png": png(0)}}))
    assert len(page) < 100_000 and "What did not work" in page
    assert "No trial has ended yet." in to_html(make_results([]))
