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
            tags=("likelihood", "latent", "external"),
            family="flow",
            paper="Durkan, Bekasov, Murray and Papamakarios, 2019, arXiv:1906.04032",
        )
    ]
