"""Attention of all models: relative position bias, and one attention routine with two ways to run.

Either XLA runs it, on boolean masks and biases for each pair of query and key, or on TPU the
kernels of `flash.py` do, which make both from a few numbers for each position; `lay_out` chooses.
Relative bias needs no positions for packed rows: two tokens of one segment are as far apart in the
row as in the segment.

The letters of the array names are listed in `layers.py`.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import struct
from jax import lax

from flan_jax.errors import ConfigError
from flan_jax.models.config import ATTENTION_KERNELS
from flan_jax.models.masks import MASKED_LOGIT, Visibility

# Shortest side for which 'auto' takes the kernels: they work on multiples of it.
_SHORTEST = 128
# Their matrix units take float32 from hand-written kernels only.
_WITHOUT_KERNELS = ("TPU v2", "TPU v3")


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

    def by_distance(self, length: int) -> jax.Array:
        """Returns the bias HxP at `key - query` from -P/2, where P is `length`."""
        return self._by_distance(np.arange(-(length // 2), length - length // 2))

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


@struct.dataclass
class KernelMask:
    """A mask for the kernels of `flash.py`; interpreted ones are run by JAX, on any device."""

    visible: Visibility
    interpreted: bool = struct.field(pytree_node=False, default=False)


# What `lay_out` makes of a `Visibility`.
Mask = jax.Array | KernelMask


def lay_out(
    kernel: str, visible: Visibility, config: Any, batch: int, bias: RelativePositionBias | None
) -> tuple[Mask, jax.Array | None]:
    """Makes mask and bias for `attend`, once for all layers.

    Args:
        kernel: who runs attention: 'xla', 'pallas', 'pallas_interpret', or 'auto', which takes the
            kernels where the devices of the current mesh (without one the default devices) are
            TPUs from v4 on and the rows are neither short nor too long for them.
        visible: which keys each query sees.
        config: of the network; its `head_dim` and `compute_dtype` are read.
        batch: rows.
        bias: the relative bias, if there is one.

    Returns:
        For XLA a boolean mask, True where a query may look at a key, and the bias 1xHxQxS; for the
        kernels what they take.

    Raises:
        ConfigError: the rows are too long for the kernels, and they were asked for by name.
    """
    if not _takes_kernel(kernel, visible, config):
        size = (visible.query_length, visible.key_length)
        return visible.array(), None if bias is None else bias(*size)
    # Imported here: it takes a third of a second, which most commands need not spend.
    from flan_jax.models import flash

    mask = KernelMask(visible, interpreted=kernel == "pallas_interpret")
    if bias is None:
        return mask, None
    vector_HxP = bias.by_distance(flash.bias_length(bias.max_distance))
    return mask, flash.spread_bias(vector_HxP, batch)


def _takes_kernel(kernel: str, visible: Visibility, config: Any) -> bool:
    assert kernel in ATTENTION_KERNELS, kernel
    if kernel == "xla":
        return False
    lengths = (visible.query_length, visible.key_length)
    if kernel == "auto":
        mesh = jax.sharding.get_abstract_mesh()
        device = None if mesh.empty else mesh.abstract_device
        if device is None:
            device = jax.devices()[0]
        if device.platform != "tpu" or device.device_kind in _WITHOUT_KERNELS:
            return False
        if min(lengths) < _SHORTEST:
            return False
    from flan_jax.models import flash

    if flash.fits(*lengths, config.head_dim, config.compute_dtype):
        return True
    if kernel == "auto":
        return False
    raise ConfigError(
        f"network.{type(config).__name__}.attention_kernel is {kernel!r}, and rows of {lengths[0]} "
        f"queries and {lengths[1]} keys are too long for it with head_dim {config.head_dim} and "
        f"dtype {config.dtype!r}. Set attention_kernel = 'auto', which leaves them to XLA."
    )


class Source(NamedTuple):
    """Keys and values that queries look at, of all heads or of G key-value heads.

    Attributes:
        key_BxGxSxK: keys.
        value_BxGxSxK: values.
        mask: boolean, broadcastable to NxHxQxS for queries NxHxQxK; None masks nothing. Or a
            `KernelMask`.
        bias: float32, likewise; beside a `KernelMask` what `lay_out` made with it.
        factor_BxHxS: float32 factor of each value for each query head; only with a `KernelMask`.
    """

    key_BxGxSxK: jax.Array
    value_BxGxSxK: jax.Array
    mask: Mask | None = None
    bias: jax.Array | None = None
    factor_BxHxS: jax.Array | None = None


def attend(query_NxHxQxK: jax.Array, *sources: Source, scale: float | None = None) -> jax.Array:
    """Softmax attention over one or more sources; every attention of the models goes through here.

    Several sources act as one whose keys and values stand in a row, without copying them together.
    A source may have fewer heads than the queries, each then serving as many query heads as stand
    beside each other (grouped-query attention, or multi-query with one), and fewer rows, each then
    serving as many query rows (several outputs that share one prompt). A source with a
    `KernelMask` stands alone and has as many rows.

    Args:
        query_NxHxQxK: queries.
        *sources: what they look at; B divides N, and G divides H.
        scale: factor of the logits. T5 has none: its initial query kernel is divided by sqrt(K)
            instead.

    Returns:
        NxHxQxK in the dtype of the values. Logits and softmax are float32.
    """
    mask = sources[0].mask
    if isinstance(mask, KernelMask):
        from flan_jax.models import flash

        assert len(sources) == 1, "kernels run over one source"
        key, value, _, bias, factor = sources[0]
        return flash.attend(
            query_NxHxQxK, key, value, mask.visible, bias, factor, scale, mask.interpreted
        )
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
        assert not isinstance(source.mask, KernelMask), "kernels run over one source"
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
