"""DDPM of diffusers as a plugin."""

from harness.hooks import ModelInfo, hookimpl


@hookimpl
def harness_models() -> list[ModelInfo]:
    """List the model of this plugin."""
    return [
        ModelInfo(
            name="diffusers-ddpm",
            summary="U-Net and DDPM scheduler of diffusers.",
            target="harness_diffusers_ddpm.ddpm:DiffusersDDPM",
            type="diffusion",
        )
    ]
