"""One layer of the decoder-only family: self-attention and feed-forward, in a row or in parallel.

The letters of the array names are listed in `layers.py`. Dropout and its masks are as in
`blocks.py`.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
from flax import linen as nn

from flan_jax.models.attention import Source
from flan_jax.models.blocks import Keep, add_block, by_head, dropped_sizes, stream
from flan_jax.models.decoder_config import DecoderConfig
from flan_jax.models.layers import Initializer, LayerNorm, MlpBlock, RMSNorm, mlp_kernel_init
from flan_jax.models.multi_head import MultiHeadAttention
from flan_jax.models.rotary import Rotation

# Keys and values, BxGxSxK each.
KeyValue = tuple[jax.Array, jax.Array]


def make_norm(cfg: DecoderConfig) -> nn.Module:
    """The kind of norm that the configuration names."""
    if cfg.norm == "rms":
        return RMSNorm(epsilon=cfg.norm_epsilon, dtype=cfg.compute_dtype)
    return LayerNorm(epsilon=cfg.norm_epsilon, dtype=cfg.compute_dtype, use_bias=cfg.norm_bias)


def kernel_init(cfg: DecoderConfig, residual: bool = False) -> Initializer:
    """Initializer of the feed-forward kernels; `residual` for one that writes to the stream."""
    if cfg.kernel_init == "t5":
        return mlp_kernel_init
    if cfg.kernel_init == "fan_in":
        return nn.initializers.variance_scaling(1.0, "fan_in", "normal")
    stddev = cfg.init_stddev
    if residual and cfg.kernel_init == "gpt2":
        stddev /= math.sqrt(2 * cfg.num_layers)
    return nn.initializers.normal(stddev)


class DecoderOnlyLayer(nn.Module):
    """Causal self-attention and feed-forward block, each added to the stream."""

    config: DecoderConfig

    def setup(self) -> None:
        """Creates the sub-modules; the parallel form has one norm for both blocks."""
        cfg = self.config
        if cfg.parallel_block:
            self.layer_norm = make_norm(cfg)
        else:
            self.pre_self_attention_layer_norm = make_norm(cfg)
            self.pre_mlp_layer_norm = make_norm(cfg)
        # None is variance 1/fan-in, where the query's may have to make up for missing scale.
        fan_in = cfg.kernel_init in ("t5", "fan_in")
        self.self_attention = MultiHeadAttention(
            cfg.num_heads,
            cfg.head_dim,
            cfg.emb_dim,
            cfg.dropout_rate,
            cfg.compute_dtype,
            cfg.lora,
            num_kv_heads=cfg.num_kv_heads,
            qkv_bias=cfg.use_bias or cfg.qkv_bias,
            out_bias=cfg.use_bias,
            scaled=cfg.attention_scale,
            rotary_style=cfg.rotary_style,
            in_init=None if fan_in else kernel_init(cfg),
            out_init=None if fan_in else kernel_init(cfg, residual=True),
        )
        self.mlp = MlpBlock(
            cfg.mlp_dim,
            cfg.mlp_activations,
            cfg.dropout_rate,
            cfg.compute_dtype,
            cfg.lora,
            cfg.use_bias,
            kernel_init(cfg),
            kernel_init(cfg, residual=True),
        )

    @staticmethod
    def dropout_sizes(cfg: DecoderConfig, length: int) -> dict[str, int]:
        """Channels of each dropout mask, for rows of `length` tokens."""
        sizes = {"self_weights": cfg.num_heads * length}
        if not cfg.parallel_block:
            sizes["self_out"] = cfg.emb_dim
        if cfg.mlp_dropout:
            sizes["mlp_hidden"] = cfg.mlp_dim
        sizes["block_out" if cfg.parallel_block else "mlp_out"] = cfg.emb_dim
        return dropped_sizes(sizes, cfg)

    def _run(
        self, x_BxTxD: jax.Array, keep: Keep, attention: Callable[[jax.Array], tuple[Any, Any]]
    ) -> tuple[jax.Array, Any]:
        """Maps BxTxD to BxTxD; also returns what `attention(normed) -> (output, more)` adds."""
        cfg = self.config
        x_BxTxD = stream(x_BxTxD)
        hidden_keep = keep.get("mlp_hidden") if keep else None
        if cfg.parallel_block:
            y_BxTxD = self.layer_norm(x_BxTxD)
            attended_BxTxD, more = attention(y_BxTxD)
            y_BxTxD = attended_BxTxD + self.mlp(y_BxTxD, hidden_keep)
            return add_block(x_BxTxD, y_BxTxD, keep, "block_out", cfg), more
        y_BxTxD, more = attention(self.pre_self_attention_layer_norm(x_BxTxD))
        x_BxTxD = add_block(x_BxTxD, y_BxTxD, keep, "self_out", cfg)
        y_BxTxD = self.mlp(self.pre_mlp_layer_norm(x_BxTxD), hidden_keep)
        return add_block(x_BxTxD, y_BxTxD, keep, "mlp_out", cfg), more

    def __call__(
        self,
        x_BxTxD: jax.Array,
        keep: Keep,
        mask: jax.Array,
        bias: jax.Array | None,
        rotation: Rotation | None,
    ) -> jax.Array:
        """Maps BxTxD to BxTxD; `keep` has the masks of `dropout_sizes`."""
        weights_keep = by_head(keep, "self_weights", self.config)

        def attention(y_BxTxD: jax.Array) -> tuple[jax.Array, None]:
            return self.self_attention(y_BxTxD, y_BxTxD, mask, bias, weights_keep, rotation), None

        return self._run(x_BxTxD, keep, attention)[0]

    def prefill(
        self,
        x_BxPxD: jax.Array,
        mask: jax.Array,
        bias: jax.Array | None,
        rotation: Rotation | None,
    ) -> tuple[jax.Array, KeyValue]:
        """Maps BxPxD to BxPxD without dropout; also returns keys and values of all positions."""

        def attention(y_BxPxD: jax.Array) -> tuple[jax.Array, KeyValue]:
            key, value = self.self_attention.project_key_value(y_BxPxD, rotation)
            source = Source(key, value, mask, bias)
            attended = self.self_attention.attend_cached(y_BxPxD, source, rotation=rotation)
            return attended, (key, value)

        return self._run(x_BxPxD, None, attention)

    def extend(
        self,
        x_NxTxD: jax.Array,
        prefix: Source,
        mask: jax.Array,
        bias: jax.Array | None,
        rotation: Rotation | None,
    ) -> jax.Array:
        """Maps positions NxTxD that follow a prefix to NxTxD; `mask` and `bias` are among them."""

        def attention(y_NxTxD: jax.Array) -> tuple[jax.Array, None]:
            own = Source(*self.self_attention.project_key_value(y_NxTxD, rotation), mask, bias)
            attended = self.self_attention.attend_cached(y_NxTxD, prefix, own, rotation=rotation)
            return attended, None

        return self._run(x_NxTxD, None, attention)[0]

    def step(
        self,
        x_Nx1xD: jax.Array,
        cache: KeyValue,
        prefix: Source,
        bias_1xHx1xM: jax.Array | None,
        rotation: Rotation | None,
        index: jax.Array,
        layer: jax.Array | None,
    ) -> tuple[jax.Array, KeyValue]:
        """Decodes one position; returns the output Nx1xD and the updated cache."""

        def attention(y_Nx1xD: jax.Array) -> tuple[jax.Array, KeyValue]:
            return self.self_attention.step(
                y_Nx1xD, cache, bias_1xHx1xM, index, layer, prefix, rotation
            )

        return self._run(x_Nx1xD, None, attention)
