"""Budgets and hyper-parameters that nobody should have written."""

import json

from support.refusals import Case, assert_refused, cases, text_file

FILE = """
name = "mine"
datasets = ["digits"]
models = ["vae"]
budget = {budget}
"""


def budget(name, text, complaint, remedy):
    content = FILE.format(budget=json.dumps(text))
    says = ("mine.toml: budget: ", complaint)
    return Case(name, ("plan", "mine.toml"), says, remedy, text_file("mine.toml", content))


BUDGETS = [
    budget("empty", "", "''", "5k steps"),
    budget("blank", " \t", "' \\t'", "5k steps"),
    budget("no-unit", "90", "'90' has no unit", "90s"),
    budget("no-number", "steps", "'steps'", "5k steps"),
    budget("negative", "-1s", "'-1s'", "positive number"),
    budget("zero", "0 steps", "'0 steps'", "positive and finite"),
    budget("zero-seconds", "0.0s", "'0.0s'", "positive and finite"),
    budget("infinite", "inf s", "'inf s'", "positive number"),
    budget("nan", "nan s", "'nan s'", "positive number"),
    budget("overflow", "1e400 steps", "'1e400 steps'", "positive and finite"),
    budget("overflow-far", "1e999999999999 steps", "1e999999999999", "5k steps"),
    budget("underflow", "1e-400 s", "'1e-400 s'", "positive and finite"),
    budget("fraction", "0.5 steps", "'0.5 steps'", "whole numbers"),
    budget("beyond-doubles", f"{2**53 + 1} steps", "9007199254740993", "below 2**53"),
    budget("parsecs", "5 parsecs", "unknown unit 'parsecs'", "device-seconds"),
    budget("misspelt", "5 stpes", "unknown unit 'stpes'", 'did you mean "steps"'),
    budget("m", "5 m", "ambiguous", "min"),
    budget("rate", "2 TFLOP/s", "is a rate", "2 PFLOP"),
    budget("comma", "1,000 steps", "'1,000 steps'", "one number with one unit"),
    budget("two", "5 s or 6 steps", "one number", "one unit"),
    budget("hexadecimal", "0x10 steps", "'0x10 steps'", "one number with one unit"),
    budget("arabic-digits", "٣ steps", "'٣ steps'", "positive number"),
    budget("superscript", "5² steps", "'5² steps'", "5k steps"),
    budget("full-width", "５ steps", "'５ steps'", "positive number"),
    budget("minus-sign", "−5 steps", "'−5 steps'", "positive number"),
    budget("newline", "5\nparsecs", "'5\\nparsecs'", "5k steps"),
    budget("control", "5 \x1b[31m", "'5 \\x1b[31m'", "5k steps"),
    budget("long-number", "9" * 10_000 + " s", "999", "5k steps"),
    budget("long-unit", "5 " + "s" * 10_000, "sss", "5k steps"),
    budget("underscores", "1__0_ steps", "'1__0_ steps'", "5k steps"),
]


def setting(name, text, complaint, remedy, model="vae"):
    content = FILE.format(budget='"5 steps"').replace('"vae"', f'"{model}"')
    command = ("plan", "mine.toml", "--set", text)
    return Case(name, command, (complaint,), remedy, text_file("mine.toml", content))


SETTINGS = [
    setting("no-value", "vae.latent", "'vae.latent' is not a setting", "MODEL.KEY=VALUE"),
    setting("empty", "", "'' is not a setting", "MODEL.KEY=VALUE"),
    setting("no-model", "latent=5", "'latent=5' is not a setting", "MODEL.KEY=VALUE"),
    setting("no-key", "vae.=5", "'vae.=5' is not a setting", "MODEL.KEY=VALUE"),
    setting("only-equals", "=", "'=' is not a setting", "MODEL.KEY=VALUE"),
    setting("long", "x" * 10_000, "is not a setting", "MODEL.KEY=VALUE"),
    setting("unknown-model", "vea.latent=5", "vea.latent", "did you mean 'vae'"),
    setting("absent-model", "ddpm.channels=5", "no model 'ddpm'", "it has: vae"),
    setting("unknown-key", "vae.latnet=5", "vae).latnet", "did you mean 'latent'"),
    setting("unknown-far", "vae.zzz=5", "vae).zzz", "there are:"),
    setting("text", "vae.latent=many", "latent: 'many'", "whole number"),
    setting("quoted", 'vae.latent="5"', "latent: '5'", "whole number"),
    setting("fraction", "vae.latent=1.5", "latent: 1.5", "whole number"),
    setting("true", "vae.latent=true", "latent: true", "whole number"),
    setting("list", "vae.latent=[5]", "latent: [5]", "whole number"),
    setting("table", "vae.latent={a = 5}", "latent: {'a': 5}", "whole number"),
    setting("zero-batch", "vae.batch_size=0", "batch_size: 0", "whole number from 1"),
    setting("negative-batch", "vae.batch_size=-5", "batch_size: -5", "whole number from 1"),
    setting("huge-batch", f"vae.batch_size={10**30}", "batch_size", "whole number"),
    setting("digits", "vae.batch_size=" + "9" * 5_000, "batch_size", "whole number"),
    setting("nan", "vae.learning_rate=nan", "learning_rate: nan", "finite number"),
    setting("infinite", "vae.learning_rate=inf", "learning_rate: inf", "finite number"),
    setting("text-rate", "vae.learning_rate=fast", "learning_rate: 'fast'", "write a number"),
    setting("control", "vae.learning_rate=\x1b[2J", "learning_rate: '\\x1b[2J'", "write a number"),
    setting("brackets", "vae.latent=" + "[" * 5_000, "latent: '[[[", "whole number"),
    setting("choice", "ddpm.sampler=ddmi", "sampler: 'ddmi'", "'ddim'", model="ddpm"),
]


@cases(*BUDGETS)
def test_a_bad_budget_is_refused(case, tmp_path, monkeypatch, capfd):
    assert_refused(case, tmp_path, monkeypatch, capfd)


@cases(*SETTINGS)
def test_a_bad_setting_is_refused(case, tmp_path, monkeypatch, capfd):
    assert_refused(case, tmp_path, monkeypatch, capfd)
