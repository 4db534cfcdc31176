"""Built-in model family: flow."""

from __future__ import annotations

from harness.hooks import ModelInfo, hookimpl


@hookimpl
def harness_models() -> list[ModelInfo]:
    """List the models of this family."""
    return [
        ModelInfo(
            name="realnvp",
            summary="Multi-scale affine couplings on dequantised pixels.",
            target="harness_flow.realnvp:RealNVP",
            type="flow",
        )
    ]
