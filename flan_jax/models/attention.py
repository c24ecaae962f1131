"""Attention of the T5 family: masks, relative position bias, and one attention routine.

The letters of the array names are listed in `layers.py`. Masks are boolean, True where a query may
look at a key. Relative bias needs no positions for packed rows: two tokens of one segment are as
far apart in the row as in the segment.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jax.typing import DTypeLike

from flan_jax.models.layers import Dense, constrain, drop

# Logit of a forbidden key. A query that may see nothing gets equal weights, as in T5X, never NaN.
MASKED_LOGIT = -1e10


def padding_mask(query_BxQ: jax.Array, key_BxS: jax.Array) -> jax.Array:
    """Returns Bx1xQxS, True where both the query and the key token are not padding (id > 0)."""
    return ((query_BxQ > 0)[:, None, :, None]) & ((key_BxS > 0)[:, None, None, :])


def segment_mask(query_BxQ: jax.Array, key_BxS: jax.Array) -> jax.Array:
    """Returns Bx1xQxS, True where the query and the key belong to the same segment."""
    return query_BxQ[:, None, :, None] == key_BxS[:, None, None, :]


def causal_mask(length: int) -> jax.Array:
    """Returns 1x1xTxT, True where the key is not after the query."""
    position_T = jnp.arange(length)
    return (position_T[:, None] >= position_T[None, :])[None, None]


def relative_bucket(
    relative_position: np.ndarray, bidirectional: bool, num_buckets: int, max_distance: int
) -> np.ndarray:
    """Returns the int32 bucket of each `key position - query position`.

    The first half of the buckets holds one distance each, the rest grows logarithmically up to
    `max_distance` (Raffel et al. 2020; table of edges in spec palm.md section 7). Bidirectional
    tables keep their upper half for keys after the query; causal tables put those in bucket 0.
    """
    distance = -np.asarray(relative_position)
    offset = np.zeros_like(distance)
    if bidirectional:
        num_buckets //= 2
        offset = np.where(distance < 0, num_buckets, 0)
        distance = np.abs(distance)
    else:
        distance = np.maximum(distance, 0)
    exact = num_buckets // 2
    # Powers of two of `exact` sit on bucket edges, so the float32 machine epsilon that checkpoints
    # were trained with decides their bucket and has to be kept.
    ratio = distance.astype(np.float32) / exact + np.finfo(np.float32).eps
    growth = np.log(ratio) / math.log(max_distance / exact) * (num_buckets - exact)
    large = np.minimum(exact + growth.astype(np.int32), num_buckets - 1)
    return (offset + np.where(distance < exact, distance, large)).astype(np.int32)


class RelativePositionBias(nn.Module):
    """One learned bias per head and distance bucket, added to attention logits; float32."""

    num_heads: int
    bidirectional: bool
    num_buckets: int = 32
    max_distance: int = 128

    def setup(self) -> None:
        """Creates the table HxR."""
        init = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform")
        self.rel_embedding: Any = self.param(
            "rel_embedding",
            nn.with_logical_partitioning(init, ("heads", "relpos_buckets")),
            (self.num_heads, self.num_buckets),
            jnp.float32,
        )

    def _by_distance(self, relative_position: np.ndarray) -> jax.Array:
        """Table entries Hx(number of positions) for a constant vector of relative positions."""
        bucket = relative_bucket(
            relative_position, self.bidirectional, self.num_buckets, self.max_distance
        )
        return jnp.take(self.rel_embedding, jnp.asarray(bucket), axis=1, mode="clip")

    def __call__(self, query_length: int, key_length: int) -> jax.Array:
        """Returns the bias 1xHxQxS."""
        q, s = query_length, key_length
        # The bias depends on the distance only, so Q+S-1 values are looked up. Repeating them with
        # a period one longer than the row pitch shifts each row by one against the row before: the
        # layout is done by reshapes, forwards and backwards, where a QxS gather needs a scatter.
        value_HxP = self._by_distance(np.arange(-(q - 1), s))
        value_HxP = jnp.pad(value_HxP, ((0, 0), (0, 1)))
        period = q + s
        flat = jnp.tile(value_HxP, (1, q))[:, : q * (period - 1)]
        return flat.reshape(self.num_heads, q, period - 1)[None, :, :, q - 1 :]

    def row(self, query_index: jax.Array, key_length: int) -> jax.Array:
        """Returns the bias 1xHx1xS of one causal query at a traced position."""
        assert not self.bidirectional, "one-row bias is for causal decoding"
        value_HxP = self._by_distance(np.arange(-(key_length - 1), key_length))
        start = key_length - 1 - query_index
        row_HxS = lax.dynamic_slice_in_dim(value_HxP, start, key_length, axis=1)
        return row_HxS[None, :, None, :]


def attend(
    query_BxHxQxK: jax.Array,
    key_BxHxSxK: jax.Array,
    value_BxHxSxK: jax.Array,
    mask: jax.Array | None = None,
    bias: jax.Array | None = None,
) -> jax.Array:
    """Softmax attention; every attention of the models goes through here.

    T5 does not divide the logits by sqrt(K): the initial query kernel is divided instead.

    Args:
        query_BxHxQxK: queries.
        key_BxHxSxK: keys.
        value_BxHxSxK: values.
        mask: boolean, broadcastable to BxHxQxS.
        bias: float32, broadcastable to BxHxQxS.

    Returns:
        BxHxQxK in the dtype of the values. Logits and softmax are float32.
    """
    logits_BxHxQxS = jnp.einsum(
        "bhqk,bhsk->bhqs", query_BxHxQxK, key_BxHxSxK, preferred_element_type=jnp.float32
    )
    if bias is not None:
        logits_BxHxQxS = logits_BxHxQxS + bias
    if mask is not None:
        logits_BxHxQxS = jnp.where(mask, logits_BxHxQxS, MASKED_LOGIT)
    weights_BxHxQxS = jax.nn.softmax(logits_BxHxQxS, axis=-1).astype(value_BxHxSxK.dtype)
    return jnp.einsum("bhqs,bhsk->bhqk", weights_BxHxQxS, value_BxHxSxK)


def write_position(
    cache: jax.Array, new_BxHx1xK: jax.Array, index: jax.Array, layer: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Writes one position into a key or value cache.

    Args:
        cache: BxHxMxK, or NxBxHxMxK when `layer` is given.
        new_BxHx1xK: key or value of the position.
        index: scalar int32 position.
        layer: scalar int32 layer for a stacked cache, else None.

    Returns:
        The whole updated cache, and this layer's BxHxMxK part of it.
    """
    zero = jnp.zeros_like(index)
    if layer is None:
        cache = lax.dynamic_update_slice(cache, new_BxHx1xK, (zero, zero, index, zero))
        return cache, cache
    cache = lax.dynamic_update_slice(cache, new_BxHx1xK[None], (layer, zero, zero, index, zero))
    return cache, lax.dynamic_index_in_dim(cache, layer, axis=0, keepdims=False)


class MultiHeadAttention(nn.Module):
    """Query, key, value and output projections around `attend`; 2-D kernels, no biases."""

    num_heads: int
    head_dim: int
    emb_dim: int
    dropout_rate: float
    dtype: DTypeLike = jnp.float32

    def setup(self) -> None:
        """Creates the four projections."""
        init = functools.partial(
            nn.initializers.variance_scaling, mode="fan_in", distribution="normal"
        )
        joined = self.num_heads * self.head_dim
        heads_in = ("embed", "joined_kv")
        # Variance 1/head_dim smaller is the 1/sqrt(K) that the attention logits lack.
        self.query = Dense(joined, heads_in, self.dtype, init(1.0 / self.head_dim))
        self.key = Dense(joined, heads_in, self.dtype, init(1.0))
        self.value = Dense(joined, heads_in, self.dtype, init(1.0))
        self.out = Dense(self.emb_dim, ("joined_kv", "embed"), self.dtype, init(1.0))

    def _split(self, x_BxSxJ: jax.Array) -> jax.Array:
        """BxSxJ to BxHxSxK."""
        x_BxSxHxK = x_BxSxJ.reshape(*x_BxSxJ.shape[:2], self.num_heads, self.head_dim)
        x_BxSxHxK = constrain(x_BxSxHxK, "batch", "length", "heads", "kv")
        return x_BxSxHxK.transpose(0, 2, 1, 3)

    def _project_out(self, x_BxHxQxK: jax.Array) -> jax.Array:
        """BxHxQxK to BxQxD."""
        x_BxQxHxK = x_BxHxQxK.transpose(0, 2, 1, 3)
        x_BxQxHxK = constrain(x_BxQxHxK, "batch", "length", "heads", "kv")
        joined = self.num_heads * self.head_dim
        return self.out(x_BxQxHxK.reshape(*x_BxQxHxK.shape[:2], joined))

    def project_key_value(self, x_BxSxD: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns keys and values, each BxHxSxK."""
        return self._split(self.key(x_BxSxD)), self._split(self.value(x_BxSxD))

    def __call__(
        self,
        x_BxQxD: jax.Array,
        source_BxSxD: jax.Array,
        mask: jax.Array | None,
        bias: jax.Array | None,
        keep_BxHxS: jax.Array | None = None,
    ) -> jax.Array:
        """Attends from every position of `x` to `source`; returns BxQxD.

        `keep_BxHxS` is the dropout mask of the attention weights, the same for all queries.
        """
        query = self._split(self.query(x_BxQxD))
        key, value = self.project_key_value(source_BxSxD)
        if keep_BxHxS is not None:
            # Dropping a key's value is dropping its weight for all queries, on fewer elements.
            value = drop(value, keep_BxHxS[..., None], self.dropout_rate)
        return self._project_out(attend(query, key, value, mask, bias))

    def attend_cached(
        self, x_Bx1xD: jax.Array, key_BxHxSxK: jax.Array, value_BxHxSxK: jax.Array, mask: jax.Array
    ) -> jax.Array:
        """One decoding step of cross-attention over keys and values computed before."""
        query = self._split(self.query(x_Bx1xD))
        return self._project_out(attend(query, key_BxHxSxK, value_BxHxSxK, mask))

    def step(
        self,
        x_Bx1xD: jax.Array,
        cache: tuple[jax.Array, jax.Array],
        bias_1xHx1xM: jax.Array,
        index: jax.Array,
        layer: jax.Array | None,
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """One decoding step of causal self-attention.

        Args:
            x_Bx1xD: the current position.
            cache: keys and values so far, as `write_position` takes them.
            bias_1xHx1xM: relative bias of this position.
            index: scalar int32, the current position.
            layer: scalar layer number for a stacked cache, else None.

        Returns:
            The output Bx1xD and the updated cache.
        """
        query = self._split(self.query(x_Bx1xD))
        new_key, new_value = self.project_key_value(x_Bx1xD)
        keys, key = write_position(cache[0], new_key, index, layer)
        values, value = write_position(cache[1], new_value, index, layer)
        mask = (jnp.arange(key.shape[2]) <= index)[None, None, None, :]
        return self._project_out(attend(query, key, value, mask, bias_1xHx1xM)), (keys, values)
