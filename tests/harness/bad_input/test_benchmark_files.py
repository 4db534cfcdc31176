"""Benchmark files that nobody should have written."""

from pathlib import Path

import pytest
from support.refusals import Case, assert_refused, cases, text_file

from harness.errors import UserError
from harness.planning.benchmark import read_benchmark

GOOD = """
name = "mine"
datasets = ["digits"]
models = ["vae"]
budget = "5 steps"
"""
LONG = "x" * 10_000


def file(name, content, *says, remedy):
    """Return the case of a file called mine.toml."""
    return Case(name, ("plan", "mine.toml"), says, remedy, text_file("mine.toml", content))


def changed(name, old, new, *says, remedy):
    """Return the case of a good file with one mistake."""
    assert GOOD.count(old) == 1
    return file(name, GOOD.replace(old, new), "mine.toml: ", *says, remedy=remedy)


def added(name, line, *says, remedy):
    """Return the case of a good file with one more line."""
    return file(name, f"{GOOD}{line}\n", "mine.toml: ", *says, remedy=remedy)


def needing(name, need, *says, remedy):
    """Return the case of a model that needs something."""
    return changed(name, '["vae"]', f'[{{model = "vae", {need}}}]', *says, remedy=remedy)


def evaluation(name, line, *says, remedy):
    return added(name, f"[evaluation]\n{line}", *says, remedy=remedy)


def a_folder(folder: Path):
    (folder / "mine.toml").mkdir()


def a_loop(folder: Path):
    (folder / "mine.toml").symlink_to("mine.toml")


def a_huge_file(folder: Path):
    with open(folder / "mine.toml", "wb") as file:
        file.truncate(2**40)


READING = [
    Case("no-file", ("plan", "mine.toml"), ("no benchmark file 'mine.toml'",), "digits-smoke"),
    Case("folder", ("plan", "mine.toml"), ("mine.toml", "directory"), "name a text file", a_folder),
    Case("loop", ("plan", "mine.toml"), ("mine.toml",), "name a text file", a_loop),
    Case("huge", ("plan", "mine.toml"), ("mine.toml", "MiB"), "at most", a_huge_file),
    Case("device", ("plan", "/dev/zero"), ("/dev/zero", "not a regular file"), "name a text file"),
    Case("unknown", ("plan", "digit"), ("'digit'",), "did you mean 'digits'"),
    Case("empty-name", ("plan", ""), ("no benchmark ''",), "digits-smoke"),
    Case("long-name", ("plan", LONG), ("no benchmark",), "digits-smoke"),
    Case("nul-name", ("plan", "a\0b.toml"), ("'a\\x00b.toml'",), "digits-smoke"),
    Case("escape-name", ("plan", "\x1b[31mred"), ("\\x1b[31mred",), "digits-smoke"),
    Case("newline-name", ("plan", "a\nb"), ("'a\\nb'",), "digits-smoke"),
    Case("other-suffix", ("plan", "mine.yaml"), ("'mine.yaml'",), "ends in .toml"),
    Case(
        "folder-without-suffix",
        ("plan", "digits-dir"),
        ("'digits-dir'",),
        "digits",
        lambda folder: (folder / "digits-dir").mkdir(),
    ),
    file("utf-16", GOOD.encode("utf-16"), "mine.toml", remedy="save it as UTF-8"),
    file("latin-1", (GOOD + "# é").encode("latin-1"), "mine.toml", remedy="save it as UTF-8"),
    file("nul-byte", GOOD + "\0", "mine.toml is not TOML", "line 6", remedy="TOML"),
    file("control-character", GOOD.replace("vae", "v\x07ae"), "mine.toml", "line 4", remedy="TOML"),
    file("empty", "", "name: this key is required", remedy="budget"),
    file("json", '{"name": "mine"}', "not TOML", "line 1", remedy="TOML"),
    file("yaml", "name: mine\n", "not TOML", "line 1", remedy="TOML"),
    file("no-quotes", GOOD.replace('"mine"', "mine"), "not TOML", "line 2", remedy="quotes"),
    file("cut-off", GOOD[:-4], "not TOML", "end of document", remedy="quotes"),
    file("key-twice", GOOD + 'budget = "6 steps"\n', "not TOML", "line 6", remedy="once"),
    file("table-twice", GOOD + "[evaluation]\n[evaluation]\n", "line 7", remedy="once"),
    file("python", "name = 'a' + 'b'", "not TOML", "line 1", remedy="TOML"),
    file("nested-deeply", "a = " + "[" * 20_000, "mine.toml", remedy="TOML"),
    file("dotted-deeply", "a." * 1_000 + "b = 1", "mine.toml", remedy="known keys"),
    file("huge-number", GOOD + "seeds = [" + "9" * 5_000 + "]", "mine.toml", remedy="TOML"),
]

KEYS = [
    added("unknown-key", 'bugdet = "5 steps"', "bugdet", remedy="did you mean 'budget'"),
    added("unknown-long-key", f"{LONG} = 1", "xxx", remedy="known keys"),
    added("unknown-escape-key", '"\\u001b[31m" = 1', "\\x1b[31m", remedy="known keys"),
    added("key-of-evaluation", "samples = 5", "samples: unknown key", remedy="[evaluation]"),
    evaluation("key-of-benchmark", "seeds = [1]", "evaluation.seeds", remedy="write it above"),
    evaluation("unknown-evaluation", "sample = 5", "evaluation.sample", remedy="'samples'"),
    added("evaluation-number", "evaluation = 5", "evaluation:", remedy="write a table"),
    changed("name-missing", 'name = "mine"', "", "name:", remedy="required"),
    changed("name-climbs", '"mine"', '"../mine"', "name: '../mine'", remedy="letters, digits"),
    changed("name-absolute", '"mine"', '"/etc/x"', "name: '/etc/x'", remedy="letters, digits"),
    changed("name-windows", '"mine"', "'..\\mine'", "name:", remedy="letters, digits"),
    changed("name-empty", '"mine"', '""', "name: ''", remedy="letters, digits"),
    changed("name-dots", '"mine"', '".."', "name: '..'", remedy="letters, digits"),
    changed("name-newline", '"mine"', '"mine\\n"', "name: 'mine\\n'", remedy="letters, digits"),
    changed("name-control", '"mine"', '"a\\u001b[2J"', "'a\\x1b[2J'", remedy="letters, digits"),
    changed("name-long", '"mine"', f'"{LONG}"', "name:", remedy="at most 100"),
    changed("name-number", '"mine"', "5", "name: 5", remedy="in quotes"),
    changed("name-unicode", '"mine"', '"ｍine"', "name: 'ｍine'", remedy="letters, digits"),
    changed("name-surrogate-like", '"mine"', '"a\\u202Eb"', "name:", remedy="letters, digits"),
    changed("datasets-empty", '["digits"]', "[]", "datasets:", remedy="at least one"),
    changed("datasets-text", '["digits"]', '"digits"', "datasets:", remedy="write a list"),
    changed("datasets-number", '["digits"]', "[5]", "datasets.0: 5", remedy="in quotes"),
    changed(
        "datasets-twice",
        '["digits"]',
        '["digits", "digits"]',
        "'digits' appears twice",
        remedy="once",
    ),
    changed("models-empty", '["vae"]', "[]", "models:", remedy="at least one"),
    changed("models-text", '["vae"]', '"vae"', "models:", remedy="write a list"),
    changed("models-number", '["vae"]', "[5]", "models.0: 5", remedy='{model = "ddpm"'),
    changed("models-list", '["vae"]', '[["vae"]]', "models.0", remedy='{model = "ddpm"'),
    changed(
        "models-without-model", '["vae"]', '[{label = "x"}]', "models.0.model", remedy="required"
    ),
    changed("models-misspelt", '["vae"]', '[{modle = "vae"}]', "models.0", remedy="'model'"),
    changed("label-twice", '["vae"]', '["vae", "vae"]', "'vae' appears twice", remedy="label"),
    changed(
        "label-control",
        '["vae"]',
        '[{model = "vae", label = "a\\nb"}]',
        "models.0.label: 'a\\nb'",
        remedy="one line",
    ),
    changed(
        "label-long",
        '["vae"]',
        f'[{{model = "vae", label = "{LONG}"}}]',
        "models.0.label",
        remedy="at most 100",
    ),
    changed(
        "label-blank",
        '["vae"]',
        '[{model = "vae", label = " "}]',
        "models.0.label",
        remedy="one line",
    ),
    changed(
        "settings-list",
        '["vae"]',
        '[{model = "vae", settings = []}]',
        "models.0.settings",
        remedy="write a table",
    ),
    needing("devices-zero", "devices = 0", "models.0.devices: 0", remedy="greater than or equal"),
    needing("devices-fraction", "devices = 1.5", "devices: 1.5", remedy="write a whole number"),
    needing("memory-number", "memory = 6", "models.0.memory: 6", remedy="for example '8 GiB'"),
    needing("memory-unit", 'memory = "6 XB"', "memory: '6 XB'", remedy="for example '8 GiB'"),
    needing("memory-minus", 'memory = "-1 GiB"', "memory: '-1 GiB'", remedy="for example '8 GiB'"),
    needing("memory-zero", 'memory = "0 GiB"', "memory: '0 GiB'", remedy="greater than 0"),
    added("devices-per-trial", "devices_per_trial = 0", "trial: 0", remedy="greater than or equal"),
    changed("budget-missing", 'budget = "5 steps"', "", "budget:", remedy="required"),
    changed("budget-number", '"5 steps"', "5", "budget:", remedy="5k steps"),
    changed("budget-list", '"5 steps"', '["5 steps", "5 s"]', "budget:", remedy="5k steps"),
    changed("budget-time", '"5 steps"', "00:01:00", "budget:", remedy="5k steps"),
    added("seeds-empty", "seeds = []", "seeds:", remedy="at least one"),
    added("seeds-number", "seeds = 3", "seeds: 3", remedy="write a list"),
    added("seeds-negative", "seeds = [-1]", "seeds.0: -1", remedy="greater than or equal to 0"),
    added("seeds-true", "seeds = [true]", "seeds.0: true", remedy="whole number"),
    added("seeds-fraction", "seeds = [1.5]", "seeds.0: 1.5", remedy="whole number"),
    added("seeds-whole-float", "seeds = [1.0]", "seeds.0: 1.0", remedy="whole number"),
    added("seeds-text", 'seeds = ["1"]', "seeds.0: '1'", remedy="whole number"),
    added("seeds-huge", f"seeds = [{2**63}]", "seeds.0", remedy="less than"),
    added("seeds-twice", "seeds = [1, 1]", "1 appears twice", remedy="once"),
    added("precision", 'precision = "fp16"', "precision: 'fp16'", remedy="'bf16'"),
    added("compile-text", 'compile = "no"', "compile: 'no'", remedy="true or false"),
    added("compile-number", "compile = 1", "compile: 1", remedy="true or false"),
    added("references-text", 'references = "false"', "references:", remedy="true or false"),
    added("averaging-steps", 'averaging = "5 steps"', "averaging:", remedy="500k images"),
    added("averaging-false", "averaging = false", "averaging:", remedy="300k images"),
    added(
        "checkpoint-zero",
        "checkpoint_seconds = 0",
        "checkpoint_seconds: 0",
        remedy="greater than 0",
    ),
    added("checkpoint-nan", "checkpoint_seconds = nan", "checkpoint_seconds: nan", remedy="finite"),
    added(
        "checkpoint-true",
        "checkpoint_seconds = true",
        "checkpoint_seconds: true",
        remedy="write a number",
    ),
    added("patience-inf", "patience_seconds = inf", "patience_seconds: inf", remedy="finite"),
    added(
        "patience-text",
        'patience_seconds = "5 min"',
        "patience_seconds: '5 min'",
        remedy="write a number",
    ),
    added("summary-number", "summary = 5", "summary: 5", remedy="in quotes"),
    added("date", "summary = 2026-01-01", "summary: datetime.date(2026, 1, 1)", remedy="in quotes"),
    evaluation("samples-one", "samples = 1", "evaluation.samples: 1", remedy="greater than"),
    evaluation(
        "samples-many", "samples = 100000", "evaluation.samples: 100000", remedy="test images"
    ),
    evaluation(
        "samples-float", "samples = 10.0", "evaluation.samples: 10.0", remedy="whole number"
    ),
    evaluation("sets-zero", "sample_sets = 0", "evaluation.sample_sets: 0", remedy="greater than"),
    evaluation("batch-zero", "batch_size = 0", "evaluation.batch_size: 0", remedy="greater than"),
    evaluation("curve-one", "curve = [1.0]", "evaluation.curve.0: 1.0", remedy="less than 1"),
    evaluation("curve-nan", "curve = [nan]", "evaluation.curve.0: nan", remedy="finite"),
    evaluation("curve-twice", "curve = [0.5, 0.5]", "evaluation.curve", "0.5", remedy="once"),
    evaluation("metrics-empty", "metrics = []", "evaluation.metrics", remedy="at least one"),
    evaluation("metrics-unknown", 'metrics = ["fib"]', "'fib'", remedy="did you mean 'fid'"),
    evaluation(
        "metrics-twice", 'metrics = ["fid", "fid"]', "evaluation.metrics", "'fid'", remedy="once"
    ),
    evaluation("features-unknown", 'features = "inceptoin"', "'inceptoin'", remedy="did you mean"),
    evaluation(
        "likelihood-zero", "likelihood_images = 0", "likelihood_images: 0", remedy="greater than"
    ),
    evaluation(
        "likelihood-many", "likelihood_images = 10000", "likelihood_images", remedy="test images"
    ),
    evaluation("speed-empty", "speed_batch_sizes = []", "speed_batch_sizes", remedy="at least one"),
    evaluation("speed-zero", "speed_batch_sizes = [0]", "speed_batch_sizes.0: 0", remedy="greater"),
    evaluation("speed-nan", "speed_seconds = nan", "speed_seconds: nan", remedy="finite"),
    evaluation(
        "robustness",
        'robustness = true\nfeatures = "pixels"',
        "evaluation.robustness",
        remedy="those with more",
    ),
]

NAMES = [
    changed("model-unknown", '["vae"]', '["vea"]', "'vea'", remedy="did you mean 'vae'"),
    changed("model-reference", '["vae"]', '["real"]', "'real'", remedy="references = true"),
    changed(
        "model-label-reference",
        '["vae"]',
        '[{model="vae", label="null"}]',
        "'null'",
        remedy="label",
    ),
    changed("model-path", '["vae"]', '["../vae"]', "'../vae'", remedy="'vae'"),
    changed("data-unknown", '["digits"]', '["digts"]', "'digts'", remedy="did you mean 'digits'"),
    changed("data-argument", '["digits"]', '["digits:1"]', "'digits'", remedy="takes no argument"),
    changed("data-colon", '["digits"]', '["digits:"]', "'digits'", remedy="write 'digits'"),
    changed("data-no-argument", '["digits"]', '["npz"]', "'npz'", remedy="npz:PATH"),
    changed("data-no-file", '["digits"]', '["npz:no.npz"]', "no file 'no.npz'", remedy="npz:PATH"),
    changed("data-nul", '["digits"]', '["npz:a\\u0000"]', "npz:a\\x00", remedy="name a file"),
    changed(
        "data-user", '["digits"]', '["npz:~nobody-here/a.npz"]', "no such user", remedy="in full"
    ),
    changed("density-unknown", '["digits"]', '["known-density:markow"]', "markow", remedy="markov"),
]


@cases(*READING, *KEYS, *NAMES)
def test_a_bad_benchmark_file_is_refused(case, tmp_path, monkeypatch, capfd):
    assert_refused(case, tmp_path, monkeypatch, capfd)


def test_a_byte_order_mark_does_no_harm(tmp_path, monkeypatch):
    """Editors on Windows write it."""
    from harness.planning.benchmark import read_benchmark

    monkeypatch.chdir(tmp_path)
    text_file("mine.toml", GOOD.encode("utf-8-sig"))(tmp_path)
    assert read_benchmark("mine.toml")[0].name == "mine"


def test_an_item_that_is_mistaken_leaves_its_list_none_too_short(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace('["vae"]', '[{model = "vae", devices = 0}]'))
    with pytest.raises(UserError) as refused:
        read_benchmark(str(path))
    (line,) = str(refused.value).splitlines()
    assert "models.0.devices: 0" in line
