"""Hugging Face's decoder-only models (GPT-2, Llama, Qwen 2): names and configuration.

GPT-2's kernels are in x out as ours, with query, key and value in one array; Llama's are out x in.
Both rotate halves of a head, as our 'halves'.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from flan_jax.errors import ConfigError, suggest
from flan_jax.interop import configs, state_dict
from flan_jax.interop.names import NameMap, Rule
from flan_jax.models.decoder import DecoderConfig, DecoderOnlyTransformer
from flan_jax.models.decoder_only import DecoderOnlyModel
from flan_jax.models.rotary import RotaryScaling

GPT2_TYPES, LLAMA_TYPES = ("gpt2",), ("llama", "qwen2")

_HEAD = "lm_head.weight"
_LAYER = "decoder/layers_{i}"


def _pair(ours: str, theirs: str) -> list[Rule]:
    """Rules of a norm."""
    return [Rule(f"{ours}/scale", f"{theirs}.weight"), Rule(f"{ours}/bias", f"{theirs}.bias")]


def _dense(ours: str, theirs: str, transpose: bool, part: Any = None) -> list[Rule]:
    """Rules of a projection."""
    return [
        Rule(f"{ours}/kernel", f"{theirs}.weight", transpose, part),
        Rule(f"{ours}/bias", f"{theirs}.bias", part=part),
    ]


def _with_head(
    name: str, rules: list[Rule], embedding: str, config: DecoderConfig, **more: Any
) -> NameMap:
    """The map with the output matrix, which is the embedding under another name where tied."""
    rules = [Rule("decoder/token_embedder/embedding", embedding), *rules]
    if config.logits_via_embedding:
        return NameMap(name, tuple(rules), aliases={_HEAD: embedding}, **more)
    head = Rule("decoder/logits_dense/kernel", _HEAD, transpose=True)
    return NameMap(name, (*rules, head), **more)


def _gpt2_rules() -> list[Rule]:
    layer = "transformer.h.{i}"
    rules = [
        Rule("decoder/position_embedder/embedding", "transformer.wpe.weight"),
        *_pair(f"{_LAYER}/pre_self_attention_layer_norm", f"{layer}.ln_1"),
        *_pair(f"{_LAYER}/pre_mlp_layer_norm", f"{layer}.ln_2"),
        *_pair("decoder/decoder_norm", "transformer.ln_f"),
        *_dense(f"{_LAYER}/self_attention/out", f"{layer}.attn.c_proj", False),
        *_dense(f"{_LAYER}/mlp/wi", f"{layer}.mlp.c_fc", False),
        *_dense(f"{_LAYER}/mlp/wo", f"{layer}.mlp.c_proj", False),
    ]
    for k, name in enumerate(("query", "key", "value")):
        ours = f"{_LAYER}/self_attention/{name}"
        rules += _dense(ours, f"{layer}.attn.c_attn", False, (k, 3))
    return rules


def _llama_rules() -> list[Rule]:
    layer = "model.layers.{i}"
    rules = [
        *_pair(f"{_LAYER}/pre_self_attention_layer_norm", f"{layer}.input_layernorm"),
        *_pair(f"{_LAYER}/pre_mlp_layer_norm", f"{layer}.post_attention_layernorm"),
        *_pair("decoder/decoder_norm", "model.norm"),
    ]
    attention = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "out": "o_proj"}
    for ours, theirs in attention.items():
        rules += _dense(f"{_LAYER}/self_attention/{ours}", f"{layer}.self_attn.{theirs}", True)
    for ours, theirs in {"wi_0": "gate_proj", "wi_1": "up_proj", "wo": "down_proj"}.items():
        rules += _dense(f"{_LAYER}/mlp/{ours}", f"{layer}.mlp.{theirs}", True)
    return rules


def gpt2_name_map(config: DecoderConfig, stored: Collection[str] = ()) -> NameMap:
    """Returns the names of a GPT-2 model's weights; `stored` is not needed to know them."""
    del stored
    return _with_head(
        "Hugging Face GPT-2",
        _gpt2_rules(),
        "transformer.wte.weight",
        config,
        # Causal masks, which old versions stored.
        unused=(r"transformer\.h\.\d+\.attn\.(bias|masked_bias)",),
        prefix="transformer.",
    )


def llama_name_map(config: DecoderConfig, stored: Collection[str] = ()) -> NameMap:
    """Returns the names of a Llama or Qwen 2 model's weights; `stored` is not needed."""
    del stored
    return _with_head(
        "Hugging Face Llama",
        _llama_rules(),
        "model.embed_tokens.weight",
        config,
        unused=(r"model\.(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq",),
    )


# ----------------------------------------------------------------------- configuration

_ACTIVATIONS = {
    "gelu_new": "gelu",
    "gelu_fast": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "gelu": "gelu_exact",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}


def config_from_hf(hf: Mapping[str, Any], **overrides: Any) -> DecoderConfig:
    """Translates the fields of a Hugging Face `config.json` (as a dict) to a DecoderConfig.

    Raises:
        ConfigError: a field is missing, or asks for something that has no counterpart.
    """
    model_type = hf.get("model_type")
    if model_type in GPT2_TYPES:
        fields = _gpt2_fields(hf)
    elif model_type in LLAMA_TYPES:
        fields = _llama_fields(hf)
    else:
        known = GPT2_TYPES + LLAMA_TYPES
        raise ConfigError(
            f"config.json: model_type is {model_type!r}; expected one of {', '.join(known)}."
            f"{suggest(str(model_type), known)}"
        )
    stddev = hf.get("initializer_range") or 0.02
    common = {
        "vocab_size": _given(hf, "vocab_size"),
        "attention_scale": True,
        "scale_tied_logits": False,
        "mlp_dropout": False,
        "init_stddev": stddev,
        "embedding_init_stddev": stddev,
    }
    return configs.make(DecoderConfig, {**common, **fields, **overrides})


def _gpt2_fields(hf: Mapping[str, Any]) -> dict[str, Any]:
    _refuse(hf, "scale_attn_weights", True)
    _refuse(hf, "scale_attn_by_inverse_layer_idx", False)
    _refuse(hf, "add_cross_attention", False)
    width, heads = _given(hf, "n_embd"), _given(hf, "n_head")
    return {
        "emb_dim": width,
        "num_heads": heads,
        "head_dim": _share(width, heads, "n_embd", "n_head"),
        "num_layers": _given(hf, "n_layer"),
        "mlp_dim": hf.get("n_inner") or 4 * width,
        "mlp_activations": (_activation(hf, "activation_function", "gelu_new"),),
        "dropout_rate": hf.get("resid_pdrop", 0.1),
        "attention_dropout": bool(hf.get("attn_pdrop", 0.1)),
        "norm": "layer",
        "norm_bias": True,
        "norm_epsilon": hf.get("layer_norm_epsilon", 1e-5),
        "use_bias": True,
        "positions": "learned",
        "max_positions": hf.get("n_positions", 1024),
        "logits_via_embedding": hf.get("tie_word_embeddings", True) is not False,
        "kernel_init": "gpt2",
    }


def _llama_fields(hf: Mapping[str, Any]) -> dict[str, Any]:
    qwen = hf.get("model_type") == "qwen2"
    _refuse(hf, "mlp_bias", False)
    _refuse(hf, "attention_bias", False)
    _refuse(hf, "use_sliding_window", False)
    width, heads = _given(hf, "hidden_size"), _given(hf, "num_attention_heads")
    kv_heads = hf.get("num_key_value_heads") or heads
    base, scaling = _rotary(hf)
    return {
        "emb_dim": width,
        "num_heads": heads,
        "num_kv_heads": None if kv_heads == heads else kv_heads,
        "head_dim": hf.get("head_dim")
        or _share(width, heads, "hidden_size", "num_attention_heads"),
        "num_layers": _given(hf, "num_hidden_layers"),
        "mlp_dim": _given(hf, "intermediate_size"),
        "mlp_activations": (_activation(hf, "hidden_act", "silu"), "linear"),
        "dropout_rate": hf.get("attention_dropout", 0.0),
        "norm": "rms",
        "norm_epsilon": hf.get("rms_norm_eps", 1e-6),
        "qkv_bias": qwen,
        "positions": "rotary",
        "rotary_base": float(base),
        "rotary_scaling": scaling,
        "max_positions": hf.get("max_position_embeddings", 2048),
        "logits_via_embedding": bool(hf.get("tie_word_embeddings", False)),
        "kernel_init": "normal",
    }


def _rotary(hf: Mapping[str, Any]) -> tuple[float, RotaryScaling | None]:
    """Base and scaling; transformers 5 has both in `rope_parameters`, before it in two fields."""
    given = dict(hf.get("rope_parameters") or hf.get("rope_scaling") or {})
    base = given.get("rope_theta") or hf.get("rope_theta") or 10_000.0
    kind = given.get("rope_type") or given.get("type") or "default"
    if kind == "default":
        return base, None
    if kind != "llama3":
        raise ConfigError(
            f"config.json: the rotary positions are of kind {kind!r}; expected 'default' or "
            "'llama3'."
        )
    fields = {
        "factor": "factor",
        "low_freq_factor": "low_freq_factor",
        "high_freq_factor": "high_freq_factor",
        "original_length": "original_max_position_embeddings",
    }
    return base, RotaryScaling(**{ours: _given(given, theirs) for ours, theirs in fields.items()})


# Fields that a model must have for transformers to have a class for it.
_GPT2_ONLY: dict[str, Any] = {
    "norm": "layer",
    "norm_bias": True,
    "positions": "learned",
    "use_bias": True,
    "parallel_block": False,
    "attention_scale": True,
}
_LLAMA_ONLY: dict[str, Any] = {
    "norm": "rms",
    "positions": "rotary",
    "rotary_style": "halves",
    "use_bias": False,
    "parallel_block": False,
    "attention_scale": True,
}


def config_to_hf(config: DecoderConfig) -> dict[str, Any]:
    """Returns the `config.json` of a model: GPT-2's, Llama's or Qwen 2's.

    Raises:
        ConfigError: transformers has no such model that is read here.
    """
    differing = {
        name: [field for field, value in only.items() if getattr(config, field) != value]
        for name, only in (("GPT-2", _GPT2_ONLY), ("Llama", _LLAMA_ONLY))
    }
    if config.logits_via_embedding and config.scale_tied_logits:
        for fields in differing.values():
            fields.append("scale_tied_logits")
    nearest = min(differing, key=lambda name: len(differing[name]))
    theirs = {ours: name for name, ours in reversed(_ACTIVATIONS.items())}
    activations = config.mlp_activations
    shape = 1 if nearest == "GPT-2" else 2
    if (
        len(activations) != shape
        or activations[0] not in theirs
        or activations[1:] != (("linear",) * (shape - 1))
    ):
        differing[nearest].append("mlp_activations")
    if nearest == "GPT-2" and config.kv_heads != config.num_heads:
        differing[nearest].append("num_kv_heads")
    if nearest == "GPT-2" and config.num_heads * config.head_dim != config.emb_dim:
        differing[nearest].append("head_dim")
    if differing[nearest]:
        listed = ", ".join(f"{name} = {getattr(config, name)!r}" for name in differing[nearest])
        raise ConfigError(
            f"transformers has no model like this one: of those known here {nearest} is the "
            f"nearest, and has other values for {listed}. Export it with --format=t5x or "
            "--format=jax."
        )
    activation = theirs[activations[0]]
    return _to_gpt2(config, activation) if nearest == "GPT-2" else _to_llama(config, activation)


def _to_gpt2(config: DecoderConfig, activation: str) -> dict[str, Any]:
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": config.vocab_size,
        "n_embd": config.emb_dim,
        "n_head": config.num_heads,
        "n_layer": config.num_layers,
        "n_inner": config.mlp_dim,
        "n_positions": config.max_positions,
        "activation_function": activation,
        "attn_pdrop": config.dropout_rate if config.attention_dropout else 0.0,
        "resid_pdrop": config.dropout_rate,
        "embd_pdrop": config.dropout_rate,
        "layer_norm_epsilon": config.norm_epsilon,
        "initializer_range": config.init_stddev,
        "tie_word_embeddings": config.logits_via_embedding,
    }


def _to_llama(config: DecoderConfig, activation: str) -> dict[str, Any]:
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": config.rotary_base}
    scaling = config.rotary_scaling
    if scaling is not None:
        rope |= {
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low_freq_factor,
            "high_freq_factor": scaling.high_freq_factor,
            "original_max_position_embeddings": scaling.original_length,
        }
    name = "Qwen2" if config.qkv_bias else "Llama"
    return {
        "architectures": [f"{name}ForCausalLM"],
        "model_type": name.lower(),
        "vocab_size": config.vocab_size,
        "hidden_size": config.emb_dim,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "num_hidden_layers": config.num_layers,
        "intermediate_size": config.mlp_dim,
        "hidden_act": activation,
        "attention_dropout": config.dropout_rate if config.attention_dropout else 0.0,
        "rms_norm_eps": config.norm_epsilon,
        "max_position_embeddings": config.max_positions,
        "initializer_range": config.init_stddev,
        # transformers 5 reads the first, 4 the two others.
        "rope_parameters": rope,
        "rope_theta": config.rotary_base,
        "rope_scaling": None if scaling is None else rope,
        "tie_word_embeddings": config.logits_via_embedding,
    }


def options_from_hf(hf: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a `config.json` says of our model besides its network."""
    bos = hf.get("bos_token_id")
    known = isinstance(bos, int) and 0 <= bos < int(_given(hf, "vocab_size"))
    return {"bos_id": bos if known else 0}


def _given(hf: Mapping[str, Any], field: str) -> Any:
    if hf.get(field) is None:
        raise ConfigError(f"config.json has no {field!r}.{suggest(field, hf)}")
    return hf[field]


def _share(width: int, heads: int, width_name: str, heads_name: str) -> int:
    if width % heads:
        raise ConfigError(
            f"config.json: {width_name} is {width} and {heads_name} {heads}; expected a multiple."
        )
    return width // heads


def _activation(hf: Mapping[str, Any], field: str, default: str) -> str:
    name = hf.get(field) or default
    if name not in _ACTIVATIONS:
        raise ConfigError(
            f"config.json: {field} is {name!r}; expected one of {', '.join(_ACTIVATIONS)}."
            f"{suggest(name, _ACTIVATIONS)}"
        )
    return _ACTIVATIONS[name]


def _refuse(hf: Mapping[str, Any], field: str, wanted: bool) -> None:
    if hf.get(field, wanted) not in (wanted, None):
        raise ConfigError(
            f"config.json: {field} is {hf[field]!r}; only {wanted} has a counterpart here."
        )


# ------------------------------------------------------------------------------ weights


def params_from_hf(state: Mapping[str, np.ndarray], config: DecoderConfig) -> dict[str, Any]:
    """Returns the parameter tree, float32 numpy, of a Hugging Face state dict.

    Args:
        state: arrays by their Hugging Face names.
        config: the model's configuration, for instance from `config_from_hf`; with `scan_layers`
            the tree is of that layout.

    Raises:
        CheckpointError: weights are missing, left over or misshapen.
    """
    name_map = (gpt2_name_map if config.positions == "learned" else llama_name_map)(config)
    return state_dict.params_of(state, name_map, DecoderOnlyModel(DecoderOnlyTransformer(config)))
