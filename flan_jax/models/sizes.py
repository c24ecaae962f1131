"""Names and shapes of the published T5 models, and their parameter counts.

Dimensions: T5 1.0 from Raffel et al. 2020 (arXiv 1910.10683) section 3.7, T5 1.1 from the released
T5X configurations, mT5 from Xue et al. 2020 (arXiv 2010.11934), ByT5 from Xue et al. 2021 (arXiv
2105.13626) table 1. Flan-T5 and LM-adapted T5 have the shapes of T5 1.1.
"""

from typing import Any

from flan_jax.errors import NotFoundError, suggest
from flan_jax.models.config import T5Config
from flan_jax.models.decoder_config import DecoderConfig

_GATED = ("gelu", "linear")

# name: emb_dim, encoder layers, decoder layers, mlp_dim, heads, head_dim
_T5_1_0 = {
    "small": (512, 6, 6, 2048, 8, 64),
    "base": (768, 12, 12, 3072, 12, 64),
    "large": (1024, 24, 24, 4096, 16, 64),
    "3b": (1024, 24, 24, 16384, 32, 128),
    "11b": (1024, 24, 24, 65536, 128, 128),
}
_T5_1_1 = {
    "small": (512, 8, 8, 1024, 6, 64),
    "base": (768, 12, 12, 2048, 12, 64),
    "large": (1024, 24, 24, 2816, 16, 64),
    "xl": (2048, 24, 24, 5120, 32, 64),
    "xxl": (4096, 24, 24, 10240, 64, 64),
}
_BYT5 = {
    "small": (1472, 12, 4, 3584, 6, 64),
    "base": (1536, 18, 6, 3968, 12, 64),
    "large": (1536, 36, 12, 3840, 16, 64),
    "xl": (2560, 36, 12, 6720, 32, 64),
    "xxl": (4672, 36, 12, 12352, 64, 64),
}
# For tests and examples; bytes as vocabulary.
_TINY = {"tiny": (64, 2, 2, 128, 4, 16)}


def _family(
    prefix: str, shapes: dict[str, tuple[int, ...]], **common: Any
) -> dict[str, dict[str, Any]]:
    return {
        f"{prefix}_{size}": {
            "emb_dim": emb_dim,
            "num_encoder_layers": encoder_layers,
            "num_decoder_layers": decoder_layers,
            "mlp_dim": mlp_dim,
            "num_heads": num_heads,
            "head_dim": head_dim,
            **common,
        }
        for size, (emb_dim, encoder_layers, decoder_layers, mlp_dim, num_heads, head_dim) in (
            shapes.items()
        )
    }


_RELU_TIED = {"mlp_activations": ("relu",), "logits_via_embedding": True}
_GELU_UNTIED = {"mlp_activations": _GATED, "logits_via_embedding": False}

SIZES: dict[str, dict[str, Any]] = {
    **_family("t5_1_0", _T5_1_0, vocab_size=32128, **_RELU_TIED),
    **_family("t5_1_1", _T5_1_1, vocab_size=32128, **_GELU_UNTIED),
    **_family("flan_t5", _T5_1_1, vocab_size=32128, **_GELU_UNTIED),
    **_family("mt5", _T5_1_1, vocab_size=250112, **_GELU_UNTIED),
    **_family("byt5", _BYT5, vocab_size=384, **_GELU_UNTIED),
    **_family("t5_1_0", _TINY, vocab_size=384, **_RELU_TIED),
    **_family("t5_1_1", _TINY, vocab_size=384, **_GELU_UNTIED),
}


def t5_config(name: str, **overrides: Any) -> T5Config:
    """Returns the configuration of a named size, such as 't5_1_1_small' or 'byt5_xxl'.

    Args:
        name: a key of SIZES.
        **overrides: fields of T5Config to set differently.

    Raises:
        NotFoundError: the name is not in the table.
    """
    if name not in SIZES:
        raise NotFoundError(
            f"no model size {name!r}.{suggest(name, SIZES)} Known: {', '.join(SIZES)}."
        )
    return T5Config(**{**SIZES[name], **overrides})


def count_params(config: T5Config | DecoderConfig) -> int:
    """Returns the number of parameters, by formula, without those of adapters.

    Scanned or not makes no difference.
    """
    if isinstance(config, DecoderConfig):
        return _count_decoder_only(config)
    d = config.emb_dim
    attention = 4 * d * config.num_heads * config.head_dim
    mlp = (len(config.mlp_activations) + 1) * d * config.mlp_dim
    encoder_layer = attention + mlp + 2 * d
    decoder_layer = 2 * attention + mlp + 3 * d
    embeddings = (1 if config.logits_via_embedding else 2) * config.vocab_size * d
    relative_bias = config.num_heads * config.relpos_num_buckets
    return (
        embeddings
        + config.num_encoder_layers * encoder_layer
        + config.num_decoder_layers * decoder_layer
        + 2 * relative_bias
        + 2 * d
        + config.prompt_length * d
    )


def _count_decoder_only(config: DecoderConfig) -> int:
    d, inner = config.emb_dim, config.mlp_dim
    joined, kv_joined = (heads * config.head_dim for heads in (config.num_heads, config.kv_heads))
    gates = len(config.mlp_activations)
    layer = 2 * d * joined + 2 * d * kv_joined + (gates + 1) * d * inner
    if config.use_bias or config.qkv_bias:
        layer += joined + 2 * kv_joined
    if config.use_bias:
        layer += d + gates * inner + d
    norm = 2 * d if config.norm_bias else d
    layer += norm if config.parallel_block else 2 * norm
    tables = {
        "relative": config.num_heads * config.relpos_num_buckets,
        "learned": config.max_positions * d,
    }
    embeddings = (1 if config.logits_via_embedding else 2) * config.vocab_size * d
    return embeddings + config.num_layers * layer + norm + tables.get(config.positions, 0)
