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
            tags=("steps", "external"),
            family="diffusion",
            paper="Ho, Jain and Abbeel, 2020, arXiv:2006.11239",
        )
    ]
