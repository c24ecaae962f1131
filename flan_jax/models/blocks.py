"""One encoder layer and one decoder layer of T5, with T5X's parameter names.

The letters of the array names are listed in `layers.py`. Dropout sits where T5 has it: on attention
weights, on the hidden part of the feed-forward block, and on what each block adds to the stream. A
layer is handed its masks: drawing those of all layers at once keeps random number generators, which
take most of the compile time otherwise, out of the layers.
"""

from collections.abc import Mapping
from typing import Any

import jax
from flax import linen as nn

from flan_jax.models.attention import Source
from flan_jax.models.config import T5Config
from flan_jax.models.layers import (
    PROJECTION,
    SOURCE_PROJECTION,
    STREAM_AXES,
    MlpBlock,
    RMSNorm,
    constrain,
    drop,
    scatter_gradient,
)
from flan_jax.models.multi_head import MultiHeadAttention

# Dropout masks of a layer by site, BxC, True where an element is kept; None drops nothing.
Keep = Mapping[str, jax.Array] | None


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward block, each behind a norm and added to the stream."""

    config: T5Config

    def setup(self) -> None:
        """Creates the sub-modules under T5X's names."""
        cfg = self.config
        self.pre_attention_layer_norm = _norm(cfg)
        self.attention = _attention(cfg)
        self.pre_mlp_layer_norm = _norm(cfg)
        self.mlp = _mlp(cfg)

    @staticmethod
    def dropout_sizes(cfg: T5Config, length: int) -> dict[str, int]:
        """Channels of each dropout mask, for rows of `length` tokens."""
        sizes = {
            "attention_weights": cfg.num_heads * length,
            "attention_out": cfg.emb_dim,
            "mlp_hidden": cfg.mlp_dim,
            "mlp_out": cfg.emb_dim,
        }
        return dropped_sizes(sizes, cfg)

    def __call__(
        self, x_BxLxD: jax.Array, keep: Keep, mask: jax.Array, bias: jax.Array
    ) -> jax.Array:
        """Maps BxLxD to BxLxD; `keep` has the masks of `dropout_sizes`."""
        cfg = self.config
        x_BxLxD = stream(x_BxLxD)
        y_BxLxD = self.pre_attention_layer_norm(x_BxLxD)
        weights_keep = by_head(keep, "attention_weights", cfg)
        y_BxLxD = self.attention(y_BxLxD, y_BxLxD, mask, bias, weights_keep)
        x_BxLxD = add_block(x_BxLxD, y_BxLxD, keep, "attention_out", cfg)
        y_BxLxD = self.pre_mlp_layer_norm(x_BxLxD)
        y_BxLxD = self.mlp(y_BxLxD, keep["mlp_hidden"] if keep else None)
        return add_block(x_BxLxD, y_BxLxD, keep, "mlp_out", cfg)


class DecoderLayer(nn.Module):
    """Causal self-attention, cross-attention and feed-forward block."""

    config: T5Config

    def setup(self) -> None:
        """Creates the sub-modules under T5X's names."""
        cfg = self.config
        self.pre_self_attention_layer_norm = _norm(cfg)
        self.self_attention = _attention(cfg)
        self.pre_cross_attention_layer_norm = _norm(cfg)
        self.encoder_decoder_attention = _attention(cfg, SOURCE_PROJECTION)
        self.pre_mlp_layer_norm = _norm(cfg)
        self.mlp = _mlp(cfg)

    @staticmethod
    def dropout_sizes(cfg: T5Config, length: int, source_length: int) -> dict[str, int]:
        """Channels of each dropout mask, for targets of `length` and inputs of `source_length`."""
        sizes = {
            "self_weights": cfg.num_heads * length,
            "self_out": cfg.emb_dim,
            "cross_weights": cfg.num_heads * source_length,
            "cross_out": cfg.emb_dim,
            "mlp_hidden": cfg.mlp_dim,
            "mlp_out": cfg.emb_dim,
        }
        return dropped_sizes(sizes, cfg)

    def __call__(
        self,
        x_BxTxD: jax.Array,
        keep: Keep,
        encoded_BxLxD: jax.Array,
        self_mask: jax.Array,
        cross_mask: jax.Array,
        bias: jax.Array,
    ) -> jax.Array:
        """Maps BxTxD to BxTxD; `keep` has the masks of `dropout_sizes`."""
        cfg = self.config
        x_BxTxD = stream(x_BxTxD)
        y_BxTxD = self.pre_self_attention_layer_norm(x_BxTxD)
        weights_keep = by_head(keep, "self_weights", cfg)
        y_BxTxD = self.self_attention(y_BxTxD, y_BxTxD, self_mask, bias, weights_keep)
        x_BxTxD = add_block(x_BxTxD, y_BxTxD, keep, "self_out", cfg)
        y_BxTxD = self.pre_cross_attention_layer_norm(x_BxTxD)
        weights_keep = by_head(keep, "cross_weights", cfg)
        y_BxTxD = self.encoder_decoder_attention(
            y_BxTxD, scatter_gradient(encoded_BxLxD), cross_mask, None, weights_keep
        )
        x_BxTxD = add_block(x_BxTxD, y_BxTxD, keep, "cross_out", cfg)
        y_BxTxD = self.pre_mlp_layer_norm(x_BxTxD)
        y_BxTxD = self.mlp(y_BxTxD, keep["mlp_hidden"] if keep else None)
        return add_block(x_BxTxD, y_BxTxD, keep, "mlp_out", cfg)

    def cross_key_value(self, encoded_BxLxD: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the cross-attention keys and values BxHxLxK of this layer."""
        return self.encoder_decoder_attention.project_key_value(encoded_BxLxD)

    def step(
        self,
        x_Bx1xD: jax.Array,
        self_cache: tuple[jax.Array, jax.Array],
        cross_cache: tuple[jax.Array, jax.Array],
        cross_mask: jax.Array,
        bias_1xHx1xM: jax.Array,
        index: jax.Array,
        layer: jax.Array | None,
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """Decodes one position; returns the output Bx1xD and the updated self-attention cache."""
        y_Bx1xD = self.pre_self_attention_layer_norm(x_Bx1xD)
        y_Bx1xD, self_cache = self.self_attention.step(
            y_Bx1xD, self_cache, bias_1xHx1xM, index, layer
        )
        x_Bx1xD = x_Bx1xD + y_Bx1xD
        y_Bx1xD = self.pre_cross_attention_layer_norm(x_Bx1xD)
        source = Source(*cross_cache, cross_mask)
        x_Bx1xD = x_Bx1xD + self.encoder_decoder_attention.attend_cached(y_Bx1xD, source)
        y_Bx1xD = self.mlp(self.pre_mlp_layer_norm(x_Bx1xD))
        return x_Bx1xD + y_Bx1xD, self_cache


def _norm(cfg: T5Config) -> RMSNorm:
    return RMSNorm(epsilon=cfg.norm_epsilon, dtype=cfg.compute_dtype)


def _attention(cfg: T5Config, source_saved_as: str = PROJECTION) -> MultiHeadAttention:
    return MultiHeadAttention(
        cfg.num_heads,
        cfg.head_dim,
        cfg.emb_dim,
        cfg.dropout_rate,
        cfg.compute_dtype,
        cfg.lora,
        source_saved_as=source_saved_as,
    )


def _mlp(cfg: T5Config) -> MlpBlock:
    return MlpBlock(cfg.mlp_dim, cfg.mlp_activations, cfg.dropout_rate, cfg.compute_dtype, cfg.lora)


def stream(x_BxLxD: jax.Array) -> jax.Array:
    """Lays the residual stream out."""
    return constrain(x_BxLxD, *STREAM_AXES)


def add_block(x_BxLxD: jax.Array, y_BxLxD: jax.Array, keep: Keep, site: str, cfg: Any) -> jax.Array:
    """Adds a block's output to the stream, after the dropout of `site`."""
    if keep is not None:
        y_BxLxD = drop(y_BxLxD, keep[site][:, None, :], cfg.dropout_rate)
    return stream(x_BxLxD + y_BxLxD)


def dropped_sizes(sizes: dict[str, int], cfg: Any) -> dict[str, int]:
    """Leaves out the masks of attention weights where they are not dropped."""
    if cfg.attention_dropout:
        return sizes
    return {site: size for site, size in sizes.items() if not site.endswith("_weights")}


def by_head(keep: Keep, site: str, cfg: Any) -> jax.Array | None:
    """The mask of attention weights as BxHxS; None where they are not dropped."""
    if keep is None or site not in keep:
        return None
    return keep[site].reshape(keep[site].shape[0], cfg.num_heads, -1)
