"""Neural spline flow of zuko as a plugin."""

from harness.hooks import ModelInfo, hookimpl


@hookimpl
def harness_models() -> list[ModelInfo]:
    """List the model of this plugin."""
    return [
        ModelInfo(
            name="zuko-nsf",
            summary="Spline couplings of zuko on dequantised pixels.",
            target="harness_zuko_nsf.nsf:ZukoNSF",
            type="flow",
        )
    ]
