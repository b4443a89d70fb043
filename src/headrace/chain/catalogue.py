"""What the names in a job or node file mean on a chain."""

from headrace.chain.contracts import ProviderRegistry, Token
from headrace.terms.jobfile import Catalogue, Gpu


def read_catalogue(token: Token, registry: ProviderRegistry) -> Catalogue:
    """The token's decimals and the Registry's GPU models, as they are now."""
    return Catalogue(
        decimals=token.decimals(),
        gpus={
            name: Gpu(index, vram_gib)
            for index, (name, vram_gib) in enumerate(registry.gpu_models())
        },
    )
