"""Multi-head, grouped-query and multi-query attention: the projections around `attention.attend`.

The letters of the array names are listed in `layers.py`.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.typing import DTypeLike

from flan_jax.models.attention import KernelMask, Mask, Source, attend
from flan_jax.models.layers import (
    OUT_PROJECTION,
    PROJECTION,
    Dense,
    Initializer,
    constrain,
    drop,
)
from flan_jax.models.lora import LoraConfig
from flan_jax.models.rotary import Rotation, rotate


def write_position(
    cache: jax.Array, new_BxGx1xK: jax.Array, index: jax.Array, layer: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Writes one position into a key or value cache.

    Args:
        cache: BxGxMxK, or NxBxGxMxK when `layer` is given.
        new_BxGx1xK: key or value of the position.
        index: scalar int32 position.
        layer: scalar int32 layer for a stacked cache, else None.

    Returns:
        The whole updated cache, and this layer's BxGxMxK part of it.
    """
    zero = jnp.zeros_like(index)
    if layer is None:
        cache = lax.dynamic_update_slice(cache, new_BxGx1xK, (zero, zero, index, zero))
        return cache, cache
    cache = lax.dynamic_update_slice(cache, new_BxGx1xK[None], (layer, zero, zero, index, zero))
    return cache, lax.dynamic_index_in_dim(cache, layer, axis=0, keepdims=False)


class MultiHeadAttention(nn.Module):
    """Query, key, value and output projections around `attend`; 2-D kernels.

    Attributes:
        num_heads: H.
        head_dim: K.
        emb_dim: D.
        dropout_rate: of the attention weights.
        dtype: as in `Dense`.
        lora: as in `Dense`.
        num_kv_heads: G, heads of keys and values, which divides H; None for H of them.
        qkv_bias: whether the first three projections add a bias.
        out_bias: whether the last one does.
        scaled: divide the logits by sqrt(K). False divides the initial query kernel instead.
        rotary_style: how a rotation pairs channels, see `rotary`.
        in_init: initializer of the first three kernels; None for variance 1/fan-in.
        out_init: the same of the last one.
        source_saved_as: name of keys and values for remat policies.
    """

    num_heads: int
    head_dim: int
    emb_dim: int
    dropout_rate: float
    dtype: DTypeLike = jnp.float32
    lora: LoraConfig | None = None
    num_kv_heads: int | None = None
    qkv_bias: bool = False
    out_bias: bool = False
    scaled: bool = False
    rotary_style: str = "halves"
    in_init: Initializer | None = None
    out_init: Initializer | None = None
    source_saved_as: str = PROJECTION

    def setup(self) -> None:
        """Creates the four projections."""
        fan_in = functools.partial(
            nn.initializers.variance_scaling, mode="fan_in", distribution="normal"
        )
        in_init, out_init = self.in_init or fan_in(1.0), self.out_init or fan_in(1.0)
        query_init = in_init
        if self.in_init is None and not self.scaled:
            # Variance 1/head_dim smaller is the 1/sqrt(K) that the attention logits lack.
            query_init = fan_in(1.0 / self.head_dim)
        axes, joined = ("embed", "joined_kv"), self.num_heads * self.head_dim
        kv_axes, kv_joined = axes, self._kv_heads * self.head_dim
        if self._kv_heads == 1:
            # One head: an axis of its own width, which is never split between devices. A part of a
            # head on each would have to be gathered before every product with the queries.
            kv_axes = ("embed", "kv")
        elif self._kv_heads < self.num_heads:
            kv_axes = ("embed", "joined_kv_heads")
        shared: Any = {"lora": self.lora, "use_bias": self.qkv_bias}
        self.query = Dense(joined, axes, self.dtype, query_init, **shared)
        source = {**shared, "saved_as": self.source_saved_as}
        self.key = Dense(kv_joined, kv_axes, self.dtype, in_init, **source)
        self.value = Dense(kv_joined, kv_axes, self.dtype, in_init, **source)
        self.out = Dense(
            self.emb_dim,
            ("joined_kv", "embed"),
            self.dtype,
            out_init,
            lora=self.lora,
            use_bias=self.out_bias,
            saved_as=OUT_PROJECTION,
        )

    @property
    def _kv_heads(self) -> int:
        return self.num_heads if self.num_kv_heads is None else self.num_kv_heads

    @property
    def _scale(self) -> float | None:
        return self.head_dim**-0.5 if self.scaled else None

    def _split(self, x_BxSxJ: jax.Array, num_heads: int) -> jax.Array:
        """BxSxJ to BxHxSxK."""
        x_BxSxHxK = x_BxSxJ.reshape(*x_BxSxJ.shape[:2], num_heads, self.head_dim)
        axis = "heads"
        if num_heads < self.num_heads:
            axis = "kv_heads" if num_heads > 1 else None
        x_BxSxHxK = constrain(x_BxSxHxK, "batch", "length", axis, "kv")
        return x_BxSxHxK.transpose(0, 2, 1, 3)

    def _project_out(self, x_BxHxQxK: jax.Array) -> jax.Array:
        """BxHxQxK to BxQxD."""
        x_BxQxHxK = x_BxHxQxK.transpose(0, 2, 1, 3)
        x_BxQxHxK = constrain(x_BxQxHxK, "batch", "length", "heads", "kv")
        joined = self.num_heads * self.head_dim
        return self.out(x_BxQxHxK.reshape(*x_BxQxHxK.shape[:2], joined))

    def _project_query(self, x_BxQxD: jax.Array, rotation: Rotation | None) -> jax.Array:
        """Returns queries BxHxQxK."""
        query = self._split(self.query(x_BxQxD), self.num_heads)
        return query if rotation is None else rotate(query, rotation, self.rotary_style)

    def project_key_value(
        self, x_BxSxD: jax.Array, rotation: Rotation | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Returns keys and values, each BxGxSxK; `rotation` turns the keys."""
        key = self._split(self.key(x_BxSxD), self._kv_heads)
        value = self._split(self.value(x_BxSxD), self._kv_heads)
        if rotation is not None:
            key = rotate(key, rotation, self.rotary_style)
        return key, value

    def __call__(
        self,
        x_BxQxD: jax.Array,
        source_BxSxD: jax.Array,
        mask: Mask | None,
        bias: jax.Array | None,
        keep_BxHxS: jax.Array | None = None,
        rotation: Rotation | None = None,
    ) -> jax.Array:
        """Attends from every position of `x` to `source`; returns BxQxD.

        `keep_BxHxS` is the dropout mask of the attention weights, the same for all queries;
        `rotation` belongs to the positions of `x` and of `source`, which are the same then.
        """
        query = self._project_query(x_BxQxD, rotation)
        key, value = self.project_key_value(source_BxSxD, rotation)
        factor_BxHxS = None
        if keep_BxHxS is not None:
            # Dropping a key's value is dropping its weight for all queries, on fewer elements.
            if isinstance(mask, KernelMask):
                factor_BxHxS = drop(jnp.ones((1, 1, 1)), keep_BxHxS, self.dropout_rate)
            else:
                # Heads that share a value lose different weights, so each needs its own.
                if (times := self.num_heads // self._kv_heads) > 1:
                    key, value = jnp.repeat(key, times, axis=1), jnp.repeat(value, times, axis=1)
                value = drop(value, keep_BxHxS[..., None], self.dropout_rate)
        source = Source(key, value, mask, bias, factor_BxHxS)
        return self._project_out(attend(query, source, scale=self._scale))

    def attend_cached(
        self, x_NxQxD: jax.Array, *sources: Source, rotation: Rotation | None = None
    ) -> jax.Array:
        """Attends from every position of `x` to keys and values computed before; returns NxQxD."""
        query = self._project_query(x_NxQxD, rotation)
        return self._project_out(attend(query, *sources, scale=self._scale))

    def step(
        self,
        x_Nx1xD: jax.Array,
        cache: tuple[jax.Array, jax.Array],
        bias_1xHx1xM: jax.Array | None,
        index: jax.Array,
        layer: jax.Array | None,
        prefix: Source | None = None,
        rotation: Rotation | None = None,
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """One decoding step of causal self-attention.

        Args:
            x_Nx1xD: the current position.
            cache: keys and values so far, as `write_position` takes them.
            bias_1xHx1xM: relative bias of this position towards those of the cache.
            index: scalar int32, where the current position goes in the cache.
            layer: scalar layer number for a stacked cache, else None.
            prefix: what stands before the positions of the cache.
            rotation: of the current position.

        Returns:
            The output Nx1xD and the updated cache.
        """
        new_key, new_value = self.project_key_value(x_Nx1xD, rotation)
        keys, key = write_position(cache[0], new_key, index, layer)
        values, value = write_position(cache[1], new_value, index, layer)
        mask = (jnp.arange(key.shape[2]) <= index)[None, None, None, :]
        sources = (Source(key, value, mask, bias_1xHx1xM),)
        if prefix is not None:
            sources = (prefix, *sources)
        return self.attend_cached(x_Nx1xD, *sources, rotation=rotation), (keys, values)
