"""Attention of all models: masks, relative position bias, and one attention routine.

The letters of the array names are listed in `layers.py`. Masks are boolean, True where a query may
look at a key. Relative bias needs no positions for packed rows: two tokens of one segment are as
far apart in the row as in the segment.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

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


def prefix_mask(query_BxQ: jax.Array, key_BxS: jax.Array) -> jax.Array:
    """Returns Bx1xQxS, True where both positions are marked (not 0): they see each other."""
    return (query_BxQ != 0)[:, None, :, None] & (key_BxS != 0)[:, None, None, :]


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

    def far_rows(self, position_BxQ: jax.Array, key_length: int) -> jax.Array:
        """Returns the bias BxHxQxS of causal queries at traced positions, keys from position 0."""
        assert not self.bidirectional, "bias of single rows is for causal decoding"
        # From the greatest distance on there is one bucket: a short table serves any position.
        value_HxP = self._by_distance(-np.arange(self.max_distance + 1))
        distance_BxQxS = position_BxQ[:, :, None] - jnp.arange(key_length)[None, None]
        distance_BxQxS = jnp.clip(distance_BxQxS, 0, self.max_distance)
        return jnp.moveaxis(jnp.take(value_HxP, distance_BxQxS, axis=1), 0, 1)


def relative_bias(config: Any, bidirectional: bool) -> RelativePositionBias:
    """The relative bias that a configuration describes."""
    return RelativePositionBias(
        config.num_heads, bidirectional, config.relpos_num_buckets, config.relpos_max_distance
    )


class Source(NamedTuple):
    """Keys and values that queries look at, of all heads or of G key-value heads.

    Attributes:
        key_BxGxSxK: keys.
        value_BxGxSxK: values.
        mask: boolean, broadcastable to NxHxQxS for queries NxHxQxK; None masks nothing.
        bias: float32, likewise.
    """

    key_BxGxSxK: jax.Array
    value_BxGxSxK: jax.Array
    mask: jax.Array | None = None
    bias: jax.Array | None = None


def attend(query_NxHxQxK: jax.Array, *sources: Source, scale: float | None = None) -> jax.Array:
    """Softmax attention over one or more sources; every attention of the models goes through here.

    Several sources act as one whose keys and values stand in a row, without copying them together.
    A source may have fewer heads than the queries, each then serving as many query heads as stand
    beside each other (grouped-query attention, or multi-query with one), and fewer rows, each then
    serving as many query rows (several outputs that share one prompt).

    Args:
        query_NxHxQxK: queries.
        *sources: what they look at; B divides N, and G divides H.
        scale: factor of the logits. T5 has none: its initial query kernel is divided by sqrt(K)
            instead.

    Returns:
        NxHxQxK in the dtype of the values. Logits and softmax are float32.
    """
    logits = [_source_logits(query_NxHxQxK, source, scale) for source in sources]
    weights = jax.nn.softmax(jnp.concatenate(logits, axis=-1), axis=-1)
    weights = weights.astype(sources[0].value_BxGxSxK.dtype)
    ends = np.cumsum([part.shape[-1] for part in logits])[:-1]
    mixed = [
        _mix(part, source.value_BxGxSxK)
        for part, source in zip(jnp.split(weights, ends, axis=-1), sources, strict=True)
    ]
    return functools.reduce(jnp.add, mixed)


def _source_logits(query_NxHxQxK: jax.Array, source: Source, scale: float | None) -> jax.Array:
    """Masked logits NxHxQxS, float32."""
    key = source.key_BxGxSxK
    if key.shape[:2] == query_NxHxQxK.shape[:2]:
        logits = jnp.einsum(
            "bhqk,bhsk->bhqs", query_NxHxQxK, key, preferred_element_type=jnp.float32
        )
    else:
        logits = jnp.einsum(
            "brgeqk,bgsk->brgeqs",
            _grouped(query_NxHxQxK, key),
            key,
            preferred_element_type=jnp.float32,
        ).reshape(*query_NxHxQxK.shape[:3], key.shape[2])
    if scale is not None:
        logits = logits * scale
    if source.bias is not None:
        logits = logits + source.bias
    if source.mask is not None:
        logits = jnp.where(source.mask, logits, MASKED_LOGIT)
    return logits


def _mix(weights_NxHxQxS: jax.Array, value_BxGxSxK: jax.Array) -> jax.Array:
    """Weighted sums NxHxQxK of values."""
    if value_BxGxSxK.shape[:2] == weights_NxHxQxS.shape[:2]:
        return jnp.einsum("bhqs,bhsk->bhqk", weights_NxHxQxS, value_BxGxSxK)
    weights = _grouped(weights_NxHxQxS, value_BxGxSxK)
    mixed = jnp.einsum("brgeqs,bgsk->brgeqk", weights, value_BxGxSxK)
    return mixed.reshape(*weights_NxHxQxS.shape[:3], value_BxGxSxK.shape[3])


def _grouped(x_NxHxQx: jax.Array, key_BxGxSxK: jax.Array) -> jax.Array:
    """NxHxQx... as B x N/B x G x H/G x Q x ..., rows and heads that share a key beside it."""
    rows, heads = key_BxGxSxK.shape[:2]
    N, H, *rest = x_NxHxQx.shape
    return x_NxHxQx.reshape(rows, N // rows, heads, H // heads, *rest)
