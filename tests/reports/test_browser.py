"""The page in headless Chromium, as a reader uses it: by mouse, by keyboard, on a phone."""

import io
import re
import shutil
import wave
from dataclasses import replace

import pytest
from PIL import Image
from support.rows import digits_rows, failed, make_results, make_row, png, reference

from harness.row import Measurement
from harness_reports.page import to_html

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

HOSTILE = '</script><img src=x onerror="window.owned=1"><script>window.owned=1</script>'
QUOTED = '"><img src=x onerror="window.owned=1">'
LOG = "Traceback\n  line 7\nRuntimeError: </pre><script>window.owned=1</script>"


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    capable = {"capabilities": ("HasLikelihood", "HasLatent")}
    seeds = [make_row("vae", 3.0 + seed / 10, seed=seed, **capable) for seed in (1, 2)]
    rows = [
        *digits_rows(),
        *seeds,
        failed("glow", "diverged", "loss is NaN", type="flow", trial="glow-0"),
        make_row("vae", 7.0, dataset="mnist", fingerprint="e"),
        reference("real", 0.1, 9.0, dataset="mnist", fingerprint="e"),
    ]
    pictures = {"vae-0-digits": {"png": png(77)}}
    results = make_results(rows, logs={"glow-0": LOG}, interpolations=pictures, neighbours=pictures)
    return written(tmp_path_factory.mktemp("page"), results)


def written(folder, results):
    path = folder / "report.html"
    path.write_text(to_html(results), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def visit(browser):
    """Open pages; afterwards, nothing may have been said in their consoles, or been fetched."""
    opened, said = [], []

    def open_page(address, **options):
        page = browser.new_page(**options)
        page.set_default_timeout(10_000)
        opened.append(page)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if remote(request) else None)
        page.goto(address)
        return page

    yield open_page
    for page in opened:
        page.close()
    assert not said


def remote(request):
    return not request.url.startswith(("file:", "data:", "blob:"))


def names(page, table=0):
    return page.locator(f"[data-table='{table}'] tbody .open").all_inner_texts()


def heading(page, text):
    return page.locator("[data-table='0'] thead th[aria-sort]").filter(has_text=text).first


def test_a_click_sorts_the_best_first_then_the_worst_then_as_ranked(visit, address):
    page = visit(address)
    ranked = names(page)
    assert ranked[0] == "test set" and ranked[1] == "sngan" and ranked[-1] == "noise"
    speed = heading(page, "images/s")
    orders = []
    for _ in range(3):
        speed.locator("button").click()
        orders.append((speed.get_attribute("aria-sort"), names(page)))
    assert [order for order, _ in orders] == ["descending", "ascending", "none"]
    assert orders[0][1][0] == "dcgan" and orders[0][1][5] == "ddpm"
    assert orders[1][1][0] == "ddpm" and orders[2][1] == ranked
    # What has no figure comes last, in either order.
    assert set(orders[0][1][6:]) == set(orders[1][1][6:]) == {"test set", "noise", "glow"}


def test_a_keyboard_sorts_reads_tooltips_and_opens_a_panel(visit, address):
    page = visit(address)
    heading(page, "Model").locator("button").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert heading(page, "FID").get_attribute("aria-sort") == "ascending"
    focused = "document.activeElement"
    # One stop of the tabulator for the whole table.
    assert (
        page.evaluate('document.querySelectorAll(\'[data-table="0"] [tabindex="0"]\').length') <= 2
    )
    heading(page, "FID").locator("button").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    tooltip = page.locator("#tip")
    assert tooltip.is_visible()
    text = tooltip.inner_text()
    assert "FID of sngan" in text and "0.487" in text and "360 samples against" in text
    assert page.evaluate(f"{focused}.getAttribute('aria-describedby')") == "tip"
    page.keyboard.press("Escape")
    assert not tooltip.is_visible()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    panel = page.locator("#panel")
    assert panel.is_visible() and "sngan" in panel.inner_text()
    page.keyboard.press("Escape")
    assert not panel.is_visible()
    assert page.evaluate(f"{focused}.textContent") == "sngan"


def test_tooltips_show_interval_kind_and_seeds(visit, address):
    page = visit(address)
    row = page.locator("[data-table='0'] tbody tr", has=page.get_by_text("vae", exact=True))
    row.locator("td.number").nth(0).hover()
    tooltip = page.locator("#tip").inner_text()
    assert "mean of 3 seeds" in tooltip and "95% interval" in tooltip
    row.locator("td.number").nth(2).hover()
    tooltip = page.locator("#tip").inner_text()
    assert "upper bound" in tooltip and "IWAE, k=64" in tooltip


def test_filters_narrow_every_table(visit, address):
    page = visit(address)
    matches = page.locator("#kept")
    assert matches.inner_text() == "8 entries"
    page.get_by_label("Dataset").select_option("mnist")
    assert (
        names(page, 1) == ["test set", "vae"] and not page.locator("[data-table='0']").is_visible()
    )
    page.get_by_label("Dataset").select_option("")
    page.get_by_label("Type").select_option("adversarial")
    # References stay as the rulers of what is left.
    assert names(page) == ["test set", "sngan", "dcgan", "noise"]
    page.get_by_label("Type").select_option("")
    page.get_by_label("Capability").select_option("latent variable")
    assert names(page) == ["test set", "vae", "noise"]
    page.get_by_label("Capability").select_option("")
    page.get_by_label("Find").fill("diverged")
    assert names(page) == ["test set", "glow", "noise"] and matches.inner_text() == "1 of 8 entries"
    page.get_by_label("Find").fill("nothing of that name")
    assert page.locator(".board:visible").count() == 0 and matches.inner_text() == "0 of 8 entries"


def test_columns_come_and_go_by_group(visit, address):
    page = visit(address)
    assert heading(page, "Steps").count() == 1
    page.get_by_label("Used in training").uncheck()
    assert heading(page, "Steps").count() == 0


def test_a_panel_shows_pictures_curve_settings_and_seeds(visit, address):
    page = visit(address)
    page.locator("[data-table='0'] tbody .open", has_text="vae").click()
    panel = page.locator("#panel")
    shown = panel.locator("figure strong").all_inner_texts()
    pictures = ["Samples", "Real images", "Nearest training images", "Between two latent variables"]
    assert shown == pictures
    images = panel.locator("img").all()
    assert all(image.evaluate("image => image.decode().then(() => true)") for image in images)
    panel.locator(".chart svg").wait_for()
    text = panel.inner_text()
    for expected in ("batch_size", "Seed 0", "Seed 2", "412 MB", "3.186"):
        assert expected in text
    assert panel.evaluate("panel => panel.scrollWidth <= panel.clientWidth")
    panel.get_by_label("Close").click()
    assert not panel.is_visible()


def wav(seconds, rate=8000):
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setparams((1, 2, rate, 0, "NONE", ""))
        recording.writeframes(b"\0\0" * int(seconds * rate))
    return file.getvalue()


def gif():
    file = io.BytesIO()
    frames = [Image.new("L", (6, 4), gray) for gray in (0, 255)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)
    return file.getvalue()


def test_sounds_have_a_player_videos_move_and_texts_are_text(visit, tmp_path):
    kinds = {
        "audio": {"png": png(1), "wav": wav(1.75)},
        "video": {"png": png(2), "gif": gif()},
        "text": {"txt": f"{HOSTILE}\n  two\n".encode()},
    }
    rows = [
        make_row("vae", dataset=kind, label=f"a {kind}", fingerprint=kind, data_kind=kind)
        for kind in kinds
    ]
    shown = {row.trial: kinds[row.data_kind] for row in rows}
    page = visit(written(tmp_path, make_results(rows, pictures=shown, neighbours=shown)))
    sound, text, video = (page.locator(f"[data-table='{i}']") for i in range(3))
    player = sound.locator("audio")
    player.scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('audio').readyState >= 1")
    state = player.evaluate("audio => [audio.duration, audio.controls, audio.error]")
    assert state == [1.75, True, None]
    assert sound.locator(".gallery img").get_attribute("src").startswith("data:image/png")
    assert heading(page, "samples/s").count() == 1
    moving = video.locator(".gallery img")
    assert moving.get_attribute("src").startswith("data:image/gif")
    moving.scroll_into_view_if_needed()
    assert moving.evaluate("image => image.decode().then(() => image.naturalWidth)") == 6
    written_out = text.locator(".gallery pre")
    assert written_out.inner_text() == f"{HOSTILE}\n  two\n"
    assert text.locator("thead th").filter(has_text="bits/char").count() == 1
    figure = "figure => figure.scrollWidth <= figure.clientWidth"
    assert text.locator(".gallery figure").evaluate(figure)
    text.locator(".gallery button", has_text="a text").click()
    panel = page.locator("#panel")
    titles = ["Samples", "Nearest training texts"]
    assert panel.locator("figure strong").all_inner_texts() == titles
    assert panel.locator("pre.lines").count() == 2 and panel.locator("img, audio").count() == 0
    panel.get_by_label("Close").click()
    video.locator(".gallery button").first.click()
    assert panel.locator("img").count() == 4  # what moves and its frames, of both
    panel.get_by_label("Close").click()
    sound.locator(".gallery button").first.click()
    assert panel.locator("audio").count() == 2
    assert page.evaluate("window.owned") is None


def test_a_failure_shows_its_reason_and_how_its_log_ends(visit, address):
    page = visit(address)
    page.locator("#failures .open", has_text="glow").click()
    panel = page.locator("#panel")
    assert "loss is NaN" in panel.inner_text()
    panel.get_by_text("How the log ends").click()
    assert panel.locator("pre").nth(1).inner_text() == LOG
    assert page.evaluate("window.owned") is None


def test_an_address_leads_to_a_panel(visit, address):
    page = visit(address + "#sngan-0-digits")
    assert page.locator("#panel-title").inner_text() == "sngan"


def test_charts_are_drawn_in_view_and_show_their_points(visit, address):
    page = visit(address)
    drawings = page.locator("[data-table='0'] .drawings")
    for kind in ("Trade-offs", "On the way", "Best so far"):
        drawings.get_by_label(kind).check()
        charts = drawings.locator(".charts:visible .chart")
        for i in range(charts.count()):
            charts.nth(i).scroll_into_view_if_needed()
            charts.nth(i).locator("svg").wait_for()
    drawings.get_by_label("Trade-offs").check()
    drawings.locator(".charts:visible .chart").first.locator(".mark-symbol path").first.hover()
    tooltip = page.locator("#vg-tooltip-element")
    tooltip.wait_for()
    assert "FID" in tooltip.inner_text() and "Pareto" in tooltip.inner_text()


def test_the_wheel_zooms_only_with_control(visit, address):
    page = visit(address)
    chart = page.locator("[data-table='0'] .charts:visible .chart").first
    chart.scroll_into_view_if_needed()
    chart.locator("svg").wait_for()
    ticks = (
        "chart => [...chart.querySelectorAll('.role-axis-label text')].map((t) => t.textContent)"
    )
    before = chart.evaluate(ticks)
    chart.hover()
    page.keyboard.down("Control")
    page.mouse.wheel(0, -600)
    page.keyboard.up("Control")
    page.wait_for_function(
        "([chart, before]) => JSON.stringify([...chart.querySelectorAll('.role-axis-label text')]"
        ".map((t) => t.textContent)) !== before",
        arg=[chart.element_handle(), re.sub(r", ", ",", str(before)).replace("'", '"')],
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_as_dark_as_the_system_until_it_is_switched(visit, address, scheme):
    page = visit(address, color_scheme=scheme)
    lightness = "parseInt(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"
    assert (page.evaluate(lightness) < 128) == (scheme == "dark")
    page.locator("#theme").click()
    assert (page.evaluate(lightness) < 128) == (scheme == "light")


@pytest.mark.parametrize("width", [380, 1300])
def test_the_page_does_not_scroll_sideways(visit, address, width):
    page = visit(address, viewport={"width": width, "height": 800})
    for box in page.locator("[name=group]").all():
        box.check()
    page.locator(".chart").first.scroll_into_view_if_needed()
    page.locator(".chart svg").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_table_scrolls_in_its_box_and_its_names_stay_in_sight(visit, address):
    page = visit(address, viewport={"width": 380, "height": 800})
    table = page.locator("[data-table='0'] .scroll")
    assert table.evaluate("box => box.scrollWidth > box.clientWidth")
    table.evaluate("box => (box.scrollLeft = 400)")
    name = page.locator("[data-table='0'] tbody .name").nth(1)
    assert name.bounding_box()["x"] == pytest.approx(table.bounding_box()["x"], abs=1)


def test_nothing_that_plugins_or_files_say_runs(visit, tmp_path):
    own = {"config": {HOSTILE: QUOTED}, "type": QUOTED, "capabilities": (HOSTILE,)}
    note = Measurement(value=1.0, reason=HOSTILE, protocol=QUOTED)
    rows = [
        make_row(label=HOSTILE, fid=4.0, metrics={HOSTILE: Measurement(value=1.0)}, **own),
        make_row(label=QUOTED, fid=5.0, metrics={"is": note}, hardware={HOSTILE: QUOTED}),
        failed(HOSTILE, "error", HOSTILE, trial=HOSTILE),
        make_row("ddpm", 2.0, dataset=HOSTILE),
    ]
    rows.append(rows[0].model_copy(update={"seed": 1, "trial": "again"}))
    results = make_results(rows, summary=HOSTILE, source=HOSTILE, logs={HOSTILE: HOSTILE})
    page = visit(written(tmp_path, replace(results, benchmark=HOSTILE)))
    assert page.locator("h1").inner_text() == HOSTILE
    for box in page.locator("[name=group]").all():
        box.check()
    for cell in page.locator("td.number").all()[:12]:
        cell.hover()
    for i in range(page.locator(".board .open").count()):
        page.locator(".board .open").nth(i).click()
        page.evaluate("document.querySelectorAll('#panel details').forEach((d) => (d.open = true))")
        page.locator("#panel").get_by_label("Close").click()
    drawings = page.locator("[data-table='1'] .drawings")
    for radio in reversed(drawings.locator("input").all()):
        radio.check()
        chart = drawings.locator(".chart:visible").first
        chart.scroll_into_view_if_needed()
        chart.locator("svg").wait_for()
    chart.locator(".mark-symbol path").first.hover(force=True)
    tooltip = page.locator("#vg-tooltip-element")
    tooltip.wait_for()
    assert "onerror" in tooltip.inner_text()
    assert page.evaluate("window.owned") is None
    assert page.locator("img[src=x], script[src]").count() == 0


def test_many_entries_are_rendered_as_they_are_wanted(visit, tmp_path):
    rows = [make_row("vae", 1 + i / 100, label=f"vae-{i:03}") for i in range(70)]
    page = visit(written(tmp_path, make_results(rows, pictures={})))
    body = page.locator("[data-table='0'] tbody tr")
    first = body.count()
    assert 0 < first < 70
    page.locator("[data-table='0'] .scroll .more").evaluate("button => button.click()")
    assert first < body.count() <= 70
    heading(page, "FID").locator("button").click()
    heading(page, "FID").locator("button").click()
    assert names(page)[0] == "vae-069"
    page.get_by_label("Find").fill("vae-06")
    assert body.count() == 10


def test_a_long_name_or_heading_covers_nothing_beside_it(visit, tmp_path):
    long = "a_name_without_blanks_" + "x" * 90
    further = Measurement(value=1.0, label="Sharpness_" + "y" * 60, lower_is_better=False)
    rows = [make_row("vae", label=long, type="f" * 60, metrics={"sharp": further})]
    rows.append(failed("dcgan", "error", "z" * 300, label=f"{long}2"))
    page = visit(written(tmp_path, make_results([*digits_rows(), *rows])))
    page.get_by_label("Further").check()
    spilt = "cells => cells.filter(c => c.scrollWidth > c.clientWidth + 1).map(c => c.textContent)"
    cells = page.locator("[data-table='0'] :is(th, td):not([colspan])")
    assert cells.filter(has_text="a_name").count() == 2
    assert cells.evaluate_all(spilt) == []
    # Words of ordinary headings stay whole.
    assert heading(page, "Parameters").locator("button").inner_text() == "Parameters"
    assert heading(page, "FLOPs/image").bounding_box()["width"] > 80
