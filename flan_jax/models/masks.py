"""Which keys a query may look at: as boolean arrays, and as the ids that such an array is made of.

The letters of the array names are listed in `layers.py`. Boolean masks are True where a query may
look at a key.
"""

import jax
import jax.numpy as jnp
from flax import struct

# Logit of a forbidden key. A query that may see nothing gets equal weights, as in T5X, never NaN.
MASKED_LOGIT = -1e10

# Ids of padding: unlike each other, so that it neither sees nor is seen.
_PADDED_QUERY, _PADDED_KEY = -1, -2


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


@struct.dataclass
class Visibility:
    """A mask as a few numbers for each position instead of one for each pair.

    A query sees a key that has its id, or that is one of the first `open_keys`; if `causal`, the
    key also may not be after the query, unless both positions are marked as prefix.

    Attributes:
        query_id_BxQ: int32; None where ids hide nothing.
        key_id_BxS: int32, None with it.
        prefix_BxT: not 0 where positions see each other both ways; None for none. Only if causal.
        query_length: Q.
        key_length: S.
        aligned: whether queries and keys are the same positions of the same row.
        causal: whether keys after the query are hidden; only if aligned.
        open_keys: so many keys at the front are seen whatever their id.
    """

    query_id_BxQ: jax.Array | None
    key_id_BxS: jax.Array | None
    prefix_BxT: jax.Array | None = None
    query_length: int = struct.field(pytree_node=False, kw_only=True)
    key_length: int = struct.field(pytree_node=False, kw_only=True)
    aligned: bool = struct.field(pytree_node=False, default=False)
    causal: bool = struct.field(pytree_node=False, default=False)
    open_keys: int = struct.field(pytree_node=False, default=0)

    def array(self) -> jax.Array:
        """Returns the boolean mask Bx1xQxS; B is 1 where all rows are alike."""
        mask = None
        if self.causal:
            mask = causal_mask(self.query_length)
            if self.prefix_BxT is not None:
                mask = mask | prefix_mask(self.prefix_BxT, self.prefix_BxT)
        if self.query_id_BxQ is not None and self.key_id_BxS is not None:
            same = segment_mask(self.query_id_BxQ, self.key_id_BxS)
            if self.open_keys:
                same = same | (jnp.arange(self.key_length) < self.open_keys)[None, None, None]
            mask = same if mask is None else mask & same
        if mask is None:
            return jnp.ones((1, 1, self.query_length, self.key_length), bool)
        return mask


def of_tokens(
    query_BxQ: jax.Array,
    key_BxS: jax.Array,
    query_segment_BxQ: jax.Array | None = None,
    key_segment_BxS: jax.Array | None = None,
    aligned: bool = False,
    causal: bool = False,
) -> Visibility:
    """What an encoder-decoder sees: tokens that are not padding (id > 0), of the same segment."""
    query_id = 1 if query_segment_BxQ is None else query_segment_BxQ
    key_id = 1 if key_segment_BxS is None else key_segment_BxS
    return Visibility(
        jnp.where(query_BxQ > 0, query_id, _PADDED_QUERY).astype(jnp.int32),
        jnp.where(key_BxS > 0, key_id, _PADDED_KEY).astype(jnp.int32),
        query_length=query_BxQ.shape[1],
        key_length=key_BxS.shape[1],
        aligned=aligned,
        causal=causal,
    )


def of_row(
    length: int,
    segment_BxT: jax.Array | None = None,
    prefix_BxT: jax.Array | None = None,
    open_keys: int = 0,
) -> Visibility:
    """What a decoder alone sees: what is not after a position, of its segment; padding too."""
    return Visibility(
        segment_BxT,
        segment_BxT,
        prefix_BxT,
        query_length=length,
        key_length=length,
        aligned=True,
        causal=True,
        open_keys=open_keys if segment_BxT is not None else 0,
    )
