"""One encoder layer and one decoder layer of T5, with T5X's parameter names.

The letters of the array names are listed in `layers.py`. Dropout sits where T5 has it: on attention
weights, on the hidden part of the feed-forward block, and on what each block adds to the stream.
"""

import jax
from flax import linen as nn

from flan_jax.models.attention import MultiHeadAttention
from flan_jax.models.config import T5Config
from flan_jax.models.layers import MlpBlock, RMSNorm, constrain, shared_dropout


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
        self.drop = shared_dropout(cfg.dropout_rate)

    def __call__(
        self, x_BxLxD: jax.Array, mask: jax.Array, bias: jax.Array, deterministic: bool
    ) -> jax.Array:
        """Maps BxLxD to BxLxD."""
        x_BxLxD = _stream(x_BxLxD)
        y_BxLxD = self.pre_attention_layer_norm(x_BxLxD)
        y_BxLxD = self.attention(y_BxLxD, y_BxLxD, mask, bias, deterministic)
        x_BxLxD = _stream(x_BxLxD + self.drop(y_BxLxD, deterministic=deterministic))
        y_BxLxD = self.mlp(self.pre_mlp_layer_norm(x_BxLxD), deterministic)
        return _stream(x_BxLxD + self.drop(y_BxLxD, deterministic=deterministic))


class DecoderLayer(nn.Module):
    """Causal self-attention, cross-attention and feed-forward block."""

    config: T5Config

    def setup(self) -> None:
        """Creates the sub-modules under T5X's names."""
        cfg = self.config
        self.pre_self_attention_layer_norm = _norm(cfg)
        self.self_attention = _attention(cfg)
        self.pre_cross_attention_layer_norm = _norm(cfg)
        self.encoder_decoder_attention = _attention(cfg)
        self.pre_mlp_layer_norm = _norm(cfg)
        self.mlp = _mlp(cfg)
        self.drop = shared_dropout(cfg.dropout_rate)

    def __call__(
        self,
        x_BxTxD: jax.Array,
        encoded_BxLxD: jax.Array,
        self_mask: jax.Array,
        cross_mask: jax.Array,
        bias: jax.Array,
        deterministic: bool,
    ) -> jax.Array:
        """Maps BxTxD to BxTxD."""
        x_BxTxD = _stream(x_BxTxD)
        y_BxTxD = self.pre_self_attention_layer_norm(x_BxTxD)
        y_BxTxD = self.self_attention(y_BxTxD, y_BxTxD, self_mask, bias, deterministic)
        x_BxTxD = _stream(x_BxTxD + self.drop(y_BxTxD, deterministic=deterministic))
        y_BxTxD = self.pre_cross_attention_layer_norm(x_BxTxD)
        y_BxTxD = self.encoder_decoder_attention(
            y_BxTxD, encoded_BxLxD, cross_mask, None, deterministic
        )
        x_BxTxD = _stream(x_BxTxD + self.drop(y_BxTxD, deterministic=deterministic))
        y_BxTxD = self.mlp(self.pre_mlp_layer_norm(x_BxTxD), deterministic)
        return _stream(x_BxTxD + self.drop(y_BxTxD, deterministic=deterministic))

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
        x_Bx1xD = x_Bx1xD + self.encoder_decoder_attention.attend_cached(
            y_Bx1xD, *cross_cache, cross_mask
        )
        y_Bx1xD = self.mlp(self.pre_mlp_layer_norm(x_Bx1xD), deterministic=True)
        return x_Bx1xD + y_Bx1xD, self_cache


def _norm(cfg: T5Config) -> RMSNorm:
    return RMSNorm(epsilon=cfg.norm_epsilon, dtype=cfg.compute_dtype)


def _attention(cfg: T5Config) -> MultiHeadAttention:
    return MultiHeadAttention(
        cfg.num_heads, cfg.head_dim, cfg.emb_dim, cfg.dropout_rate, cfg.compute_dtype
    )


def _mlp(cfg: T5Config) -> MlpBlock:
    return MlpBlock(cfg.mlp_dim, cfg.mlp_activations, cfg.dropout_rate, cfg.compute_dtype)


def _stream(x_BxLxD: jax.Array) -> jax.Array:
    return constrain(x_BxLxD, "batch", "length", "embed")
