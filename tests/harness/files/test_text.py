"""What a row holds can be written, and read by people, whatever a plugin says."""

import os

from support.stored import TRIAL

from harness.files.text import LONGEST, storable
from harness.row import Measurement, Row

BYTES = os.fsdecode(b"/data/caf\xe9/\xff")


def test_bytes_of_a_path_that_are_no_text_are_written_out():
    row = TRIAL.row(
        "error",
        f"FileNotFoundError: {BYTES}",
        provenance={"command": ["run", "--results", BYTES], BYTES: 1},
        metrics={"fid": Measurement(value=None, reason=f"no {BYTES}")},
    )
    again = Row.model_validate_json(row.model_dump_json())
    assert again == row
    assert again.reason == r"FileNotFoundError: /data/caf\xe9/\xff"
    assert again.provenance["command"][2] == r"/data/caf\xe9/\xff"
    assert again.metrics["fid"].reason == r"no /data/caf\xe9/\xff"


def test_surrogates_that_are_no_bytes_are_written_out_too():
    assert storable("\ud83d and \udc7f") == r"\ud83d and \udc7f"
    assert storable("caf\xe9 \U0001f600") == "caf\xe9 \U0001f600"


def test_a_reason_of_megabytes_keeps_its_beginning_and_its_end():
    reason = "ValueError: begins " + "x" * 3_000_000 + " ends (model.py:7)"
    row = TRIAL.row(
        "error",
        reason,
        provenance={"restored": [reason], "command": ["harness"]},
        metrics={"fid": Measurement(value=1.0, reason=reason)},
    )
    for text in (row.reason, row.metrics["fid"].reason, row.provenance["restored"][0]):
        assert text.startswith("ValueError: begins xx") and text.endswith("xx ends (model.py:7)")
        assert f"{len(reason) - LONGEST:,} characters are left out" in text
        assert len(text) < LONGEST + 60
    assert storable("y" * LONGEST) == "y" * LONGEST
