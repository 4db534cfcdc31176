"""A report folder: the same rows give the same bytes, and nobody's folder does any harm."""

import json
import os
import random
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from support.rows import digits_rows, failed, make_results, make_row

from harness.errors import UserError
from harness.files.untrusted import UntrustedFolder, read_regular
from harness.plugins.registry import registry
from harness.publishing import report_folder
from harness.publishing.formats import write_formats
from harness.publishing.manifest import Manifest, read_manifest, sha256
from harness.publishing.reading import merged, read_results
from harness.publishing.reproduce_page import instructions

TABLES = ("csv", "latex", "markdown", "parquet")
ENVIRONMENT = {
    "commit": "c0ffee",
    "dirty": True,
    "python": "3.11.7",
    "platform": "Linux",
    "packages": {"genharness": "0.1.0", "numpy": "2.4.6", "theirs": "1.0", "torch": "2.11.0+cpu"},
    "direct": {"genharness": "", "theirs": "git+https://example.org/theirs@abc"},
    "time": "now",
    "command": ["python"],
}


SOURCE = """name = "digits"
datasets = ["digits"]
models = ["vae", "dcgan", "sngan", "realnvp", "ddpm", "score-sde"]
budget = "20 device-seconds"
seeds = [0, 1]
"""


def results():
    rows = [*digits_rows(), make_row("vae", seed=1), failed("ddpm", "error", "odd", seed=1)]
    environments = {row.trial: json.dumps(ENVIRONMENT).encode() for row in rows}
    logs = {"ddpm-1-digits": "Traceback: odd\n"}
    shown = {"vae-1-digits": {"gif": b"GIF89a", "wav": b"RIFF....WAVE", "txt": "ä<b>\n".encode()}}
    return make_results(rows, environments=environments, logs=logs, source=SOURCE, neighbours=shown)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    report_folder.build(results(), folder, registry(), TABLES)
    return folder


def copied(report: Path, folder: Path) -> Path:
    for name in UntrustedFolder(report).files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((report / name).read_bytes())
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in UntrustedFolder(folder).files()}


def test_the_same_rows_in_another_order_give_the_same_bytes(report, tmp_path):
    shuffled = results()
    rows = list(shuffled.rows)
    random.Random(3).shuffle(rows)
    curves = shuffled.curves.sample(frac=1.0, random_state=3)
    again = replace(shuffled, rows=tuple(rows), curves=curves)
    report_folder.build(again, tmp_path, registry(), TABLES)
    assert content(tmp_path) == content(report)


def test_the_page_and_its_charts_are_the_same_twice_in_one_process(tmp_path):
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        report_folder.build(results(), tmp_path / name, registry(), ["html"])
        files = content(tmp_path / name)
        written.append({name: files[name] for name in files if name.endswith((".html", ".svg"))})
    assert len(written[0]) > 1
    assert written[0] == written[1]


def test_what_is_read_back_is_what_was_written(report, tmp_path):
    found = report_folder.read(report)
    assert sorted(found.rows, key=lambda row: row.trial) == sorted(
        results().rows, key=lambda row: row.trial
    )
    assert found.pictures == dict(results().pictures)
    assert found.neighbours == results().neighbours
    assert (report / "neighbours/vae-1-digits.wav").read_bytes() == b"RIFF....WAVE"
    assert found.logs == {"ddpm-1-digits": "Traceback: odd\n"}
    report_folder.build(found, tmp_path, registry(), TABLES)
    assert content(tmp_path) == content(report)


def test_a_row_survives_with_all_that_json_knows_no_word_for(tmp_path):
    row = make_row("vae", fid=float("inf"), config={"a": [1, 2.0, None, True], "b": {"c": "ü\n"}})
    [line] = report_folder.read_rows(row.model_dump_json().encode(), Path("rows.jsonl"))
    assert line == row


def test_the_manifest_names_every_file_and_its_hash(report):
    manifest = read_manifest(UntrustedFolder(report))
    files = content(report)
    files.pop("MANIFEST.json")
    assert manifest.files == {name: sha256(data) for name, data in files.items()}
    assert manifest.formats.keys() == set(TABLES)


def test_packages_are_pins_that_pip_can_read(report):
    lines = (report / "packages.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins == [
        "numpy==2.4.6",
        "theirs @ git+https://example.org/theirs@abc",
        "torch==2.11.0+cpu",
    ]
    assert "# genharness: commit c0ffee with uncommitted changes" in lines
    environments = json.loads((report / "environment.json").read_text())
    assert len(environments) == 1
    assert len(environments[0]["trials"]) == len(results().rows)


def test_a_report_replaces_an_older_one_and_nothing_else(report, tmp_path, monkeypatch):
    monkeypatch.setattr(
        report_folder,
        "write_formats",
        lambda found, folder, installed, names: write_formats(found, folder, installed, ["csv"]),
    )
    folder = copied(report, tmp_path / "report")
    (folder / "notes.md").write_text("mine")
    written = report_folder.write(make_results([make_row("vae")]), folder, registry())
    assert written.files == {"csv": folder / "rows.csv"}
    assert (folder / "notes.md").read_text() == "mine"
    assert not (folder / "leaderboard.md").exists()
    assert [path.name for path in (folder / "pictures").iterdir()] == ["vae-0-digits.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_merging_counts_a_trial_once_and_names_both_places_of_a_conflict(report, tmp_path):
    one = report_folder.read(report)
    more = make_results([make_row("pixelcnn"), *one.rows[:2]], benchmark="other", source="")
    both = merged({"a": one, "b": more})
    assert len(both.rows) == len(one.rows) + 1
    assert both.benchmark == "digits + other" and both.source == ""
    assert set(both.curves["trial"]) == set(one.curves["trial"]) | {"pixelcnn-0-digits"}
    assert len(both.curves) == len(one.curves) + 6
    changed = make_results([one.rows[0].model_copy(update={"reason": "edited"})])
    with pytest.raises(UserError, match=rf"{one.rows[0].trial}.*different rows in a and in b"):
        merged({"a": one, "b": changed})


def test_rows_are_read_from_lines_and_from_a_single_row(report, tmp_path):
    row = make_row("vae")
    (tmp_path / "row.json").write_text(row.model_dump_json(indent=2))
    assert read_results(tmp_path / "row.json").rows == (row,)
    found = read_results(report / "rows.jsonl")
    assert len(found.rows) == len(results().rows)
    with pytest.raises(UserError, match="tables omit parts of rows"):
        read_results(report / "rows.csv")
    with pytest.raises(UserError, match="there is no .*nowhere"):
        read_results(tmp_path / "nowhere")


def test_a_link_is_not_followed(report, tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    for name in ("rows.jsonl", "benchmark.toml", "pictures/vae-0-digits.png", "MANIFEST.json"):
        folder = copied(report, tmp_path / name.replace("/", "-"))
        (folder / name).unlink()
        (folder / name).symlink_to(secret)
        with pytest.raises(UserError, match="symbolic link"):
            report_folder.read(folder)
    folder = copied(report, tmp_path / "linked")
    (folder / "pictures").rename(tmp_path / "elsewhere")
    (folder / "pictures").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="pictures is a symbolic link"):
        report_folder.read(folder)
    with pytest.raises(UserError, match="symbolic link"):
        report_folder.write(make_results([make_row("vae")]), folder, registry())
    assert (tmp_path / "elsewhere" / "vae-0-digits.png").exists()


@pytest.mark.parametrize("path", ["../outside.txt", "/etc/passwd", "a/../../b", ".hidden", "a//b"])
def test_a_manifest_reaches_nothing_outside(report, tmp_path, path):
    folder = copied(report, tmp_path / "report")
    (tmp_path / "outside.txt").write_text("theirs")
    manifest = Manifest.model_validate_json((folder / "MANIFEST.json").read_bytes())
    manifest.files[path] = "0" * 64
    manifest.write(folder)
    for act in (report_folder.read, lambda f: report_folder.write(results(), f, registry())):
        with pytest.raises(UserError, match="is not a path of a file in this folder"):
            act(folder)
    assert (tmp_path / "outside.txt").read_text() == "theirs"


def damage_rows(folder):
    (folder / "rows.jsonl").write_text('{"trial": 1}\n')


def bomb_rows(folder):
    (folder / "rows.jsonl").write_text("[" * 100_000 + "]" * 100_000)


def name_a_row_as_a_path(folder):
    row = make_row("vae").model_copy(update={"trial": "../../outside"})
    (folder / "rows.jsonl").write_text(row.model_dump_json() + "\n")


def damage_curves(folder):
    (folder / "curves.parquet").write_bytes(b"PAR1 and nothing")


def nest_curves(folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"trial": [[1, 2]]}), folder / "curves.parquet")


def paint_no_png(folder):
    (folder / "pictures" / "vae-0-digits.png").write_text("<svg onload='alert(1)'/>")


def record_nothing(folder):
    (folder / "neighbours" / "vae-1-digits.wav").write_bytes(b"RIFF....AVI ")


def write_no_text(folder):
    (folder / "neighbours" / "vae-1-digits.txt").write_bytes(b"\xff\xfe")


def add_a_page(folder):
    (folder / "neighbours" / "vae-1-digits.gif").rename(folder / "neighbours" / "a.html")
    manifest = (folder / "MANIFEST.json").read_text()
    (folder / "MANIFEST.json").write_text(manifest.replace("vae-1-digits.gif", "a.html"))


def damage_environment(folder):
    (folder / "environment.json").write_text('[{"packages": "all", "trials": []}]')


def put_a_pipe(folder):
    (folder / "rows.jsonl").unlink()
    os.mkfifo(folder / "rows.jsonl")


def damage_manifest(folder):
    (folder / "MANIFEST.json").write_text('{"files": 3}')


def binary_benchmark(folder):
    (folder / "benchmark.toml").write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize(
    "harm",
    [
        damage_rows,
        bomb_rows,
        name_a_row_as_a_path,
        damage_curves,
        nest_curves,
        paint_no_png,
        record_nothing,
        write_no_text,
        add_a_page,
        damage_environment,
        put_a_pipe,
        damage_manifest,
        binary_benchmark,
    ],
)
def test_a_hostile_folder_is_refused_with_its_place(report, tmp_path, harm):
    folder = copied(report, tmp_path / "report")
    harm(folder)
    with pytest.raises(UserError, match=str(folder)):
        report_folder.read(folder)


def test_a_file_beyond_the_limit_is_not_read(report, tmp_path):
    folder = copied(report, tmp_path / "report")
    with open(folder / "benchmark.toml", "wb") as file:
        file.truncate(17 << 20)  # sparse
    with pytest.raises(UserError, match="larger than 16 MiB"):
        report_folder.read(folder)
    tracemalloc.start()
    with pytest.raises(UserError, match="larger than 16 MiB"):
        read_regular(folder / "benchmark.toml")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_instructions_show_what_rows_of_others_say_as_text():
    machine = {"cpu": "<script>x</script>\n# `Fast` [me](http://evil.example)\x1b[31m"}
    found = make_results([make_row("vae", hardware=machine)], benchmark="a\n\n# b <i> \u202e")
    text = instructions(found)
    assert text.splitlines()[0] == r"# Reproducing a # b &lt;i> \\u202e"
    [line] = [line for line in text.splitlines() if "Fast" in line]
    assert r"&lt;script>x&lt;/script> # \`Fast\` \[me\](http://evil.example)\\x1b\[31m" in line
