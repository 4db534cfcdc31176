"""A plugin of three models and their data, of kinds other than labelled images."""

from __future__ import annotations

from harness.hooks import DatasetInfo, ModelInfo, hookimpl


@hookimpl
def harness_models() -> list[ModelInfo]:
    return [
        ModelInfo("bigram", "Characters given the last.", "support.tiny_text:Bigram", type="toy"),
        ModelInfo(
            "next-frame", "Frames given the last.", "support.tiny_video:NextFrame", type="toy"
        ),
        ModelInfo("restorer", "Images given images.", "support.tiny_pairs:Restorer", type="toy"),
    ]


@hookimpl
def harness_datasets() -> list[DatasetInfo]:
    return [
        DatasetInfo("tiny-text", "Texts of a small grammar.", "support.tiny_text:load"),
        DatasetInfo("tiny-video", "Dots that move.", "support.tiny_video:load"),
        DatasetInfo("tiny-pairs", "Negatives with wrong pixels.", "support.tiny_pairs:load"),
    ]
