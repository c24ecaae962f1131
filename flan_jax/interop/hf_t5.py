"""Hugging Face's T5 family (T5 1.0, 1.1, Flan, mT5, ByT5, UL2): names and configuration.

Their kernels are out x in, ours in x out; nothing else differs.
"""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from flan_jax.errors import ConfigError, suggest
from flan_jax.interop import configs, state_dict
from flan_jax.interop.names import NameMap, Rule
from flan_jax.models.config import T5Config
from flan_jax.models.encoder_decoder import EncoderDecoderModel
from flan_jax.models.t5 import Transformer

MODEL_TYPES = ("t5", "mt5")

_SHARED, _HEAD = "shared.weight", "lm_head.weight"
_ATTENTION = {"query": "q", "key": "k", "value": "v", "out": "o"}
_MLP = ("wi", "wi_0", "wi_1", "wo")


def _block(stack: str, number: int, norm: str, ours: str, theirs: str, kernels: Any) -> list[Rule]:
    """Rules of a sub-layer: its norm and its kernels."""
    layer, block = f"{stack}/layers_{{i}}", f"{stack}.block.{{i}}.layer.{number}"
    return [
        Rule(f"{layer}/{norm}/scale", f"{block}.layer_norm.weight"),
        *(
            Rule(f"{layer}/{ours}/{a}/kernel", f"{block}.{theirs}.{b}.weight", transpose=True)
            for a, b in kernels.items()
        ),
    ]


def _stack(stack: str) -> list[Rule]:
    first = "attention" if stack == "encoder" else "self_attention"
    rules = _block(stack, 0, f"pre_{first}_layer_norm", first, "SelfAttention", _ATTENTION)
    if stack == "decoder":
        norm, ours = "pre_cross_attention_layer_norm", "encoder_decoder_attention"
        rules += _block(stack, 1, norm, ours, "EncDecAttention", _ATTENTION)
    last = 1 if stack == "encoder" else 2
    mlp = {name: name for name in _MLP}
    rules += _block(stack, last, "pre_mlp_layer_norm", "mlp", "DenseReluDense", mlp)
    bias = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    return [
        *rules,
        Rule(f"{stack}/{stack}_norm/scale", f"{stack}.final_layer_norm.weight"),
        Rule(f"{stack}/relpos_bias/rel_embedding", bias, transpose=True),
    ]


_RULES = (
    Rule("token_embedder/embedding", _SHARED),
    *_stack("encoder"),
    *_stack("decoder"),
)
# Copies of the shared table under other names, and a table some old files carry that no code reads.
_ALIASES = {"encoder.embed_tokens.weight": _SHARED, "decoder.embed_tokens.weight": _SHARED}
_UNUSED = (r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",)


def name_map(config: T5Config, stored: Collection[str] = (_HEAD,)) -> NameMap:
    """Returns the names of a model's weights.

    Args:
      config: of the model.
      stored: names in the file. Without an output matrix, the shared table serves as one.
    """
    head, aliases = (), dict(_ALIASES)
    if config.logits_via_embedding:
        aliases[_HEAD] = _SHARED
    else:
        theirs = _HEAD if _HEAD in stored else _SHARED
        head = (Rule("decoder/logits_dense/kernel", theirs, transpose=True),)
    return NameMap("Hugging Face T5", (*_RULES, *head), aliases, _UNUSED)


# ----------------------------------------------------------------------- configuration

# config.json's name of a field; those that need more than a copy follow in the functions.
_FIELDS = {
    "vocab_size": "vocab_size",
    "emb_dim": "d_model",
    "num_heads": "num_heads",
    "head_dim": "d_kv",
    "mlp_dim": "d_ff",
    "num_encoder_layers": "num_layers",
    "num_decoder_layers": "num_decoder_layers",
    "dropout_rate": "dropout_rate",
    "relpos_num_buckets": "relative_attention_num_buckets",
    "relpos_max_distance": "relative_attention_max_distance",
    "norm_epsilon": "layer_norm_epsilon",
}
# What transformers takes where a config.json does not say.
_DEFAULTS = {
    "dropout_rate": 0.1,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "layer_norm_epsilon": 1e-6,
}
_ACTIVATIONS = {
    "relu": ("relu",),
    "gated-gelu": ("gelu", "linear"),
    "gated-silu": ("silu", "linear"),
}


def config_from_hf(hf: Mapping[str, Any], **overrides: Any) -> T5Config:
    """Translates the fields of a Hugging Face T5 `config.json` (as a dict) to a T5Config.

    Raises:
      ConfigError: a field is missing, or the feed-forward activation has no counterpart.
    """
    is_mt5 = hf.get("model_type") == "mt5"
    activation = hf.get("feed_forward_proj", "gated-gelu" if is_mt5 else "relu")
    if activation not in _ACTIVATIONS:
        raise ConfigError(
            f"config.json: feed_forward_proj is {activation!r}; expected one of "
            f"{', '.join(_ACTIVATIONS)}."
        )
    given = {**_DEFAULTS, **{name: value for name, value in hf.items() if value is not None}}
    given.setdefault("num_decoder_layers", given.get("num_layers"))
    if missing := [theirs for theirs in _FIELDS.values() if given.get(theirs) is None]:
        raise ConfigError(
            f"config.json has no {missing[0]!r}.{suggest(missing[0], hf)} Is it that of a T5 model?"
        )
    fields = {ours: given[theirs] for ours, theirs in _FIELDS.items()}
    # An output matrix of its own goes with logits that are not scaled. Files written by
    # transformers 5 say `tie_word_embeddings: true` always, and the scaling by itself.
    scaled = hf.get("scale_decoder_outputs", hf.get("tie_word_embeddings", True) is not False)
    fields["logits_via_embedding"] = bool(scaled) and not is_mt5
    fields["mlp_activations"] = _ACTIVATIONS[activation]
    return configs.make(T5Config, {**fields, **overrides})


def config_to_hf(config: T5Config) -> dict[str, Any]:
    """Returns the `config.json` of a model.

    Raises:
      ConfigError: transformers has no such feed-forward block.
    """
    names_of = {ours: theirs for theirs, ours in _ACTIVATIONS.items()}
    if config.mlp_activations not in names_of:
        raise ConfigError(
            f"network.T5Config.mlp_activations is {config.mlp_activations}; transformers' T5 has "
            f"{', '.join(map(str, names_of))} only, so this model cannot be exported to it."
        )
    fields = dataclasses.asdict(config)
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "is_encoder_decoder": True,
        **{theirs: fields[ours] for ours, theirs in _FIELDS.items()},
        "feed_forward_proj": names_of[config.mlp_activations],
        "tie_word_embeddings": config.logits_via_embedding,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }


# ------------------------------------------------------------------------------ weights


def params_from_hf(state: Mapping[str, np.ndarray], config: T5Config) -> dict[str, Any]:
    """Returns the parameter tree, float32 numpy, of a Hugging Face T5 state dict.

    Args:
      state: arrays by their Hugging Face names.
      config: the model's configuration, for instance from `config_from_hf`; with `scan_layers` the
        tree is of that layout.

    Raises:
      CheckpointError: weights are missing, left over or misshapen.
    """
    model = EncoderDecoderModel(Transformer(config))
    return state_dict.params_of(state, name_map(config, state), model)
