"""Hugging Face T5 weights as a parameter tree of ours.

Works on plain numpy arrays, so neither torch nor transformers is imported. Kernels are transposed
(theirs are out x in), nothing else changes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from flan_jax.errors import CheckpointError, ConfigError
from flan_jax.models.config import T5Config

Tree = dict[str, Any]

_ATTENTION = {"query": "q", "key": "k", "value": "v", "out": "o"}

# Copies of the shared table under other names, and a table some old files carry that no code reads.
_ALIASES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
_UNUSED = ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",)

_ACTIVATIONS = {
    "relu": ("relu",),
    "gated-gelu": ("gelu", "linear"),
    "gated-silu": ("silu", "linear"),
}


def config_from_hf(hf: Mapping[str, Any], **overrides: Any) -> T5Config:
    """Translates the fields of a Hugging Face T5 `config.json` (as a dict) to a T5Config.

    Raises:
        ConfigError: the feed-forward activation has no counterpart.
    """
    activation = hf.get("feed_forward_proj", "relu")
    if activation not in _ACTIVATIONS:
        raise ConfigError(
            f"feed_forward_proj is {activation!r}; expected one of {', '.join(_ACTIVATIONS)}."
        )
    fields = {
        "vocab_size": hf["vocab_size"],
        "emb_dim": hf["d_model"],
        "num_heads": hf["num_heads"],
        "head_dim": hf["d_kv"],
        "mlp_dim": hf["d_ff"],
        "num_encoder_layers": hf["num_layers"],
        "num_decoder_layers": hf.get("num_decoder_layers") or hf["num_layers"],
        "mlp_activations": _ACTIVATIONS[activation],
        "dropout_rate": hf.get("dropout_rate", 0.1),
        "logits_via_embedding": hf.get("tie_word_embeddings", True),
        "relpos_num_buckets": hf.get("relative_attention_num_buckets", 32),
        "relpos_max_distance": hf.get("relative_attention_max_distance", 128),
        "norm_epsilon": hf.get("layer_norm_epsilon", 1e-6),
    }
    return T5Config(**{**fields, **overrides})


def params_from_hf(state: Mapping[str, np.ndarray], config: T5Config) -> Tree:
    """Returns the unscanned parameter tree, float32 numpy, of a Hugging Face T5 state dict.

    Use `models.scan.to_scanned` on the result for a configuration with `scan_layers`.

    Args:
        state: arrays by their Hugging Face names.
        config: the model's configuration, for instance from `config_from_hf`.

    Raises:
        CheckpointError: a weight is missing, or one is left over.
    """
    reader = _Reader(state)
    shared = reader.take("shared.weight")
    tree: Tree = {
        "token_embedder": {"embedding": shared},
        "encoder": _stack(reader, config, "encoder", config.num_encoder_layers),
        "decoder": _stack(reader, config, "decoder", config.num_decoder_layers),
    }
    if config.logits_via_embedding:
        reader.skip("lm_head.weight", same_as=shared)
    else:
        tree["decoder"]["logits_dense"] = reader.kernel("lm_head")
    for name in _ALIASES:
        reader.skip(name, same_as=shared)
    for name in _UNUSED:
        reader.skip(name)
    reader.finish()
    return tree


def _stack(reader: "_Reader", config: T5Config, stack: str, num_layers: int) -> Tree:
    tree: Tree = {
        f"{stack}_norm": reader.scale(f"{stack}.final_layer_norm"),
        "relpos_bias": {
            "rel_embedding": reader.take(
                f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
            ).T
        },
    }
    gated = len(config.mlp_activations) > 1
    mlp = ("wi_0", "wi_1", "wo") if gated else ("wi", "wo")
    # Their sub-layers in order, with our names of the norm and the block.
    blocks = [("pre_attention_layer_norm", "attention", "SelfAttention", _ATTENTION)]
    if stack == "decoder":
        blocks = [
            ("pre_self_attention_layer_norm", "self_attention", "SelfAttention", _ATTENTION),
            (
                "pre_cross_attention_layer_norm",
                "encoder_decoder_attention",
                "EncDecAttention",
                _ATTENTION,
            ),
        ]
    blocks.append(("pre_mlp_layer_norm", "mlp", "DenseReluDense", {name: name for name in mlp}))
    for i in range(num_layers):
        layer = tree[f"layers_{i}"] = {}
        for j, (norm, block, theirs, kernels) in enumerate(blocks):
            prefix = f"{stack}.block.{i}.layer.{j}"
            layer[norm] = reader.scale(f"{prefix}.layer_norm")
            layer[block] = {
                ours: reader.kernel(f"{prefix}.{theirs}.{name}") for ours, name in kernels.items()
            }
    return tree


class _Reader:
    """Takes arrays out of a state dict once each, and says what was missing or left over."""

    def __init__(self, state: Mapping[str, np.ndarray]) -> None:
        self.left = dict(state)

    def take(self, name: str) -> np.ndarray:
        if name not in self.left:
            raise CheckpointError(
                f"the weights have no {name!r}. Do they belong to this model, with this number of "
                "layers and this kind of feed-forward block?"
            )
        return np.asarray(self.left.pop(name), np.float32)

    def kernel(self, name: str) -> Tree:
        return {"kernel": np.ascontiguousarray(self.take(f"{name}.weight").T)}

    def scale(self, name: str) -> Tree:
        return {"scale": self.take(f"{name}.weight")}

    def skip(self, name: str, same_as: np.ndarray | None = None) -> None:
        value = self.left.pop(name, None)
        if value is not None and same_as is not None and not np.array_equal(value, same_as):
            raise CheckpointError(
                f"{name!r} differs from 'shared.weight', which this configuration says it equals. "
                "Set logits_via_embedding to False for untied output weights."
            )

    def finish(self) -> None:
        if self.left:
            raise CheckpointError(
                f"{len(self.left)} weights have no place in this model: "
                f"{', '.join(sorted(self.left)[:5])}{', ...' if len(self.left) > 5 else ''}."
            )
