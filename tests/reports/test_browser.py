"""The page in headless Chromium: quiet, harmless, and narrow enough for a phone."""

import re
import shutil
import subprocess

import pytest
from support.rows import digits_rows, failed, make_results, make_row

from harness_reports.page import to_html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
    " --disable-background-networking --disable-component-update --enable-logging=stderr"
    " --allow-file-access-from-files --hide-scrollbars --virtual-time-budget=4000"
).split()
HOSTILE = '"><script>document.title = "owned"</script>'
PHONE = """<!doctype html><body><iframe src="report.html" style="width:380px;height:900px"></iframe>
<script>onload = () => {
  const inside = document.querySelector("iframe").contentDocument;
  setTimeout(() => {
    document.body.dataset.width = inside.documentElement.scrollWidth;
    document.body.dataset.charts = inside.querySelectorAll(".chart svg").length;
    document.body.dataset.title = inside.title;
  }, 2000);
}</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_console_is_silent_nothing_runs_and_a_phone_suffices(tmp_path):
    rows = [
        *digits_rows(),
        make_row(label=HOSTILE, family=HOSTILE, config={HOSTILE: HOSTILE}),
        failed("glow", "diverged", HOSTILE * 20),
    ]
    page = to_html(make_results(rows, summary=HOSTILE, source=HOSTILE))
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    (tmp_path / "phone.html").write_text(PHONE, encoding="utf-8")
    address = (tmp_path / "phone.html").as_uri()
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in done.stderr, done.stderr
    found = dict(re.findall(r'data-(\w+)="([^"]*)"', done.stdout))
    assert found == {"width": "380", "charts": "4", "title": "digits"}
