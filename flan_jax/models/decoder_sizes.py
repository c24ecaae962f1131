"""Names and shapes of the published decoder-only models.

PaLM from arXiv 2204.02311 table 1; LaMDA 137B, which FLAN calls LaMDA-PT, from arXiv 2201.08239
section 3 (FLAN's paper names smaller LaMDA-PT, but their shapes are not published); GPT-3 from
arXiv 2005.14165 table 2.1; GPT-2 and Llama from their released configurations; T5X's from its
decoder-only examples. What the papers leave open is settled here so:

* PaLM: norms subtract the mean, as 'layer norm' says, and attention logits are divided by
  sqrt(head_dim), which its initial kernels of variance 1/fan-in ask for.
* LaMDA: tied embeddings, and T5's 32 buckets up to distance 128.
* GPT-3: the table gives the 1.3B model 24 heads of width 128 beside a width of 2,048, which would
  make 1.5B parameters; 16 heads make 1.3B. It gives the 13B model a width of 5,140 beside 40 heads
  of width 128, which make 5,120. 'GPT-3 6B' of the InstructGPT paper is the 6.7B model.
"""

from typing import Any

from flan_jax.errors import NotFoundError, suggest
from flan_jax.models.decoder_config import DecoderConfig
from flan_jax.models.rotary import RotaryScaling

# name: emb_dim, layers, mlp_dim, heads, head_dim
_PALM = {
    "8b": (4096, 32, 16384, 16, 256),
    "62b": (8192, 64, 32768, 32, 256),
    "540b": (18432, 118, 73728, 48, 256),
}
_LAMDA_PT = {"137b": (8192, 64, 65536, 128, 128)}
_GPT2 = {
    "small": (768, 12, 3072, 12, 64),
    "medium": (1024, 24, 4096, 16, 64),
    "large": (1280, 36, 5120, 20, 64),
    "xl": (1600, 48, 6400, 25, 64),
}
_GPT3 = {
    "125m": (768, 12, 3072, 12, 64),
    "350m": (1024, 24, 4096, 16, 64),
    "760m": (1536, 24, 6144, 16, 96),
    "1_3b": (2048, 24, 8192, 16, 128),
    "2_7b": (2560, 32, 10240, 32, 80),
    "6_7b": (4096, 32, 16384, 32, 128),
    "13b": (5120, 40, 20480, 40, 128),
    "175b": (12288, 96, 49152, 96, 128),
}
# Here and below also: heads of keys and values.
_LLAMA_2 = {
    "7b": (4096, 32, 11008, 32, 128, None),
    "13b": (5120, 40, 13824, 40, 128, None),
    "70b": (8192, 80, 28672, 64, 128, 8),
}
_LLAMA_3 = {
    "8b": (4096, 32, 14336, 32, 128, 8),
    "70b": (8192, 80, 28672, 64, 128, 8),
}
_LLAMA_3_2 = {
    "1b": (2048, 16, 8192, 32, 64, 8),
    "3b": (3072, 28, 8192, 24, 128, 8),
}
_T5X = {
    "base": (768, 12, 2048, 12, 64),
    "large": (1024, 24, 2816, 16, 64),
    "xl": (2048, 24, 5120, 32, 64),
    "xxl": (4096, 24, 10240, 64, 64),
}
# For tests and examples.
_TINY = {"tiny": (64, 2, 128, 4, 16)}
_TINY_GROUPED = {"tiny": (64, 2, 128, 4, 16, 2)}


def _family(prefix: str, shapes: dict[str, tuple[Any, ...]], **common: Any) -> dict[str, Any]:
    names = ("emb_dim", "num_layers", "mlp_dim", "num_heads", "head_dim", "num_kv_heads")
    return {
        f"{prefix}_{size}": {**common, **dict(zip(names, shape, strict=False))}
        for size, shape in shapes.items()
    }


_PALM_FIELDS = {
    "vocab_size": 256_000,
    "num_kv_heads": 1,
    "mlp_activations": ("silu", "linear"),
    "parallel_block": True,
    "norm": "layer",
    "positions": "rotary",
    "attention_scale": True,
    "kernel_init": "fan_in",
}
_LAMDA_FIELDS = {"vocab_size": 32_000}
_GPT_FIELDS = {
    "vocab_size": 50_257,
    "mlp_activations": ("gelu",),
    "mlp_dropout": False,
    "norm": "layer",
    "norm_bias": True,
    "norm_epsilon": 1e-5,
    "use_bias": True,
    "positions": "learned",
    "attention_scale": True,
    "scale_tied_logits": False,
    "kernel_init": "gpt2",
    "embedding_init_stddev": 0.02,
}
_LLAMA_FIELDS = {
    "mlp_activations": ("silu", "linear"),
    "mlp_dropout": False,
    "norm_epsilon": 1e-5,
    "positions": "rotary",
    "attention_scale": True,
    "logits_via_embedding": False,
    "scale_tied_logits": False,
    "kernel_init": "normal",
    "embedding_init_stddev": 0.02,
}
_LLAMA_3_FIELDS = {**_LLAMA_FIELDS, "vocab_size": 128_256, "rotary_base": 500_000.0}


def _scaled(factor: float) -> dict[str, Any]:
    """What Llama 3.1 and 3.2 add to 3: rows of 131,072 positions."""
    return {"rotary_scaling": RotaryScaling(factor=factor), "max_positions": 131_072}


DECODER_SIZES: dict[str, dict[str, Any]] = {
    **_family("palm", _PALM, **_PALM_FIELDS),
    **_family("lamda_pt", _LAMDA_PT, **_LAMDA_FIELDS),
    **_family("gpt2", _GPT2, **_GPT_FIELDS, max_positions=1024),
    **_family("gpt3", _GPT3, **_GPT_FIELDS, max_positions=2048),
    **_family("llama_2", _LLAMA_2, **_LLAMA_FIELDS, vocab_size=32_000, max_positions=4096),
    **_family("llama_3", _LLAMA_3, **_LLAMA_3_FIELDS, max_positions=8192),
    **_family("llama_3_1", _LLAMA_3, **_LLAMA_3_FIELDS, **_scaled(8.0)),
    **_family(
        "llama_3_2", _LLAMA_3_2, **_LLAMA_3_FIELDS | {"logits_via_embedding": True}, **_scaled(32.0)
    ),
    **_family("t5x_decoder", _T5X, vocab_size=32_128),
    **_family("palm", _TINY, **_PALM_FIELDS | {"vocab_size": 384}),
    **_family("lamda_pt", _TINY, **_LAMDA_FIELDS | {"vocab_size": 384}),
    **_family("gpt2", _TINY, **_GPT_FIELDS | {"vocab_size": 384}, max_positions=64),
    **_family("llama_3_2", _TINY_GROUPED, **_LLAMA_FIELDS, vocab_size=384),
    **_family("t5x_decoder", _TINY, vocab_size=384),
}


def decoder_config(name: str, **overrides: Any) -> DecoderConfig:
    """Returns the configuration of a named size, such as 'palm_8b' or 'llama_3_2_1b'.

    Args:
        name: a key of DECODER_SIZES.
        **overrides: fields of DecoderConfig to set differently.

    Raises:
        NotFoundError: the name is not in the table.
    """
    if name not in DECODER_SIZES:
        raise NotFoundError(
            f"no decoder-only model size {name!r}.{suggest(name, DECODER_SIZES)} Known: "
            f"{', '.join(DECODER_SIZES)}."
        )
    return DecoderConfig(**{**DECODER_SIZES[name], **overrides})
