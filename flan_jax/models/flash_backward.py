"""The backward attention kernel: gradients of queries, keys, values and relative bias in one pass.

Tiles are key x query here: what is known of a query then lies along the lanes, as it is stored, and
of the four products with a tile of weights only that for the queries needs the tile transposed.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from flan_jax.models import flash_tiles as tiles
from flan_jax.models.flash_tiles import Blocks, Kernel
from flan_jax.models.masks import MASKED_LOGIT

# Fast memory of a core of the smallest chips, less what the inputs and the compiler take.
_MEMORY = 14 * 2**20

# Float32 tiles alive at once, and what sums over a whole length take for each of its elements: the
# sum, and two buffers of the result.
_LIVE_TILES = 7
_TILES = ((256, 512), (256, 256), (128, 256), (128, 128))


def blocks(
    query_length: int, key_length: int, width: int, itemsize: int
) -> tuple[Blocks, Blocks] | None:
    """How the kernel cuts queries and keys; None where the sums over whole lengths do not fit."""
    for query_size, key_size in _TILES:
        queries, keys = tiles.cut(query_length, query_size), tiles.cut(key_length, key_size)
        sums = (queries.total + 2 * keys.total) * width * (4 + 2 * itemsize)
        if sums + _LIVE_TILES * 4 * queries.size * keys.size <= _MEMORY:
            return queries, keys
    return None


def _visible(
    kernel: Kernel, ids: Any, flags: Any, iq: jax.Array, ik: jax.Array, shape: tuple[int, int]
) -> jax.Array | None:
    """The mask of a tile, key x query; None where all is seen."""
    row = lax.broadcasted_iota(jnp.int32, shape, 0) + ik * shape[0]
    mask = None
    if kernel.causal:
        column = lax.broadcasted_iota(jnp.int32, shape, 1) + iq * shape[1]
        mask = row <= column
        if flags is not None:
            mask = mask | (tiles.as_column(flags[1][0]) <= flags[0][0])
    if ids is not None:
        same = tiles.as_column(ids[1][0]) == ids[0][0]
        if kernel.open_keys:
            same = same | (row < kernel.open_keys)
        mask = same if mask is None else mask & same
    return mask


def _kernel(
    run_ref: Any,
    q_ref: Any,
    k_ref: Any,
    v_ref: Any,
    o_ref: Any,
    do_ref: Any,
    lse_ref: Any,
    more: dict[str, Any],
    dq_ref: Any,
    dk_ref: Any,
    dv_ref: Any,
    dbias_ref: Any,
    dq_sum_ref: Any,
    dk_sum_ref: Any,
    dv_sum_ref: Any,
    shifted_ref: Any,
    dshifted_ref: Any,
    *,
    kernel: Kernel,
    queries: Blocks,
    keys: Blocks,
    batch: int,
) -> None:
    b, e, ik, iq = (pl.program_id(axis) for axis in (1, 2, 3, 4))
    shape = (keys.size, queries.size)
    first_tile, last_tile = (
        (ik == 0) & (iq == 0),
        (ik == keys.count - 1) & (iq == queries.count - 1),
    )
    of_key = pl.ds(pl.multiple_of(ik * keys.size, tiles.LANES), keys.size)
    of_query = pl.ds(pl.multiple_of(iq * queries.size, tiles.LANES), queries.size)
    if shifted_ref is not None:
        # Without groups the rows of the batch follow each other, and share what is of the head.
        alone = kernel.group == 1

        @pl.when(first_tile & (b == 0) if alone else first_tile)
        def _() -> None:
            for head in range(kernel.heads):
                shifted_ref[head] = tiles.shifted_rows(more["bias"][0, 0, head : head + 1])
            dshifted_ref[...] = jnp.zeros_like(dshifted_ref)

    @pl.when(first_tile)
    def _() -> None:
        dq_sum_ref[...] = jnp.zeros_like(dq_sum_ref)

    @pl.when(first_tile & (e == 0))
    def _() -> None:
        dk_sum_ref[...] = jnp.zeros_like(dk_sum_ref)
        dv_sum_ref[...] = jnp.zeros_like(dv_sum_ref)

    @pl.when(run_ref[(b * queries.count + iq) * keys.count + ik] != 0)
    def _() -> None:
        mask = _visible(kernel, more.get("ids"), more.get("flags"), iq, ik, shape)
        q, k, v, do = q_ref[0], k_ref[0], v_ref[0], do_ref[0]
        scaled_q = q
        if kernel.scale != 1.0 and kernel.exact_scale:
            scaled_q = (q * kernel.scale).astype(q.dtype)
        o_do = o_ref[0].astype(jnp.float32) * do.astype(jnp.float32)
        dq, dk, dv = dq_sum_ref[of_query], dk_sum_ref[of_key], dv_sum_ref[of_key]
        for head in range(kernel.heads):
            lanes = tiles.head_lanes(kernel, head)
            logits = tiles.dot(k, tiles.only(lanes, scaled_q), 1, 1)
            if not kernel.exact_scale:
                logits = logits * kernel.scale
            if shifted_ref is not None:
                logits += tiles.toeplitz_tile(
                    shifted_ref.at[head], ik * keys.size, iq * queries.size, *shape
                )
            if mask is not None:
                logits = jnp.where(mask, logits, MASKED_LOGIT)
            if keys.total != kernel.key_length:
                row = lax.broadcasted_iota(jnp.int32, (keys.size, 1), 0) + ik * keys.size
                logits = jnp.where(row < kernel.key_length, logits, -jnp.inf)
            lse_1xQ = lse_ref[0, 0, head : head + 1]
            weights = jnp.exp(logits - lse_1xQ)
            do_head = tiles.only(lanes, do)
            do_mixed, do_value = do_head, do_head
            if mask is not None:
                # A row that sees nothing weighs all keys alike, whatever its logits are: its
                # weights come out as 1 for each key, and its logits have no gradient.
                dead_Qx1 = tiles.as_column(lse_1xQ) < tiles.DEAD_ROW
                do_value = jnp.where(dead_Qx1, jnp.zeros_like(do), do_head)
                do_mixed = jnp.where(
                    dead_Qx1, (do_head / kernel.key_length).astype(do.dtype), do_head
                )
            factor, value = None, v
            if "factor" in more:
                factor = tiles.as_column(more["factor"][0, 0, head : head + 1])
                value = (v * factor).astype(v.dtype)
            dmixed = tiles.dot(weights.astype(do.dtype), do_mixed, 1, 0)
            dv += dmixed if factor is None else dmixed * factor
            delta_1xQ = tiles.as_row(jnp.sum(tiles.only(lanes, o_do), axis=1, keepdims=True))
            if mask is not None:
                delta_1xQ = jnp.where(lse_1xQ < tiles.DEAD_ROW, 0.0, delta_1xQ)
            dlogits = weights * (tiles.dot(value, do_value, 1, 1) - delta_1xQ)
            if shifted_ref is not None:
                tiles.add_toeplitz_tile(
                    dshifted_ref.at[head], dlogits, ik * keys.size, iq * queries.size
                )
            rounded = dlogits.astype(k.dtype)
            dk += tiles.dot(rounded, tiles.only(lanes, q), 1, 0)
            dq += tiles.only(lanes, tiles.dot(rounded, k, 0, 0))
        dq_sum_ref[of_query], dk_sum_ref[of_key], dv_sum_ref[of_key] = dq, dk, dv

    @pl.when(last_tile)
    def _() -> None:
        dq_ref[0] = (dq_sum_ref[...] * kernel.scale).astype(dq_ref.dtype)

    @pl.when(last_tile & (e == kernel.group - 1))
    def _() -> None:
        dk_ref[0] = (dk_sum_ref[...] * kernel.scale).astype(dk_ref.dtype)
        dv_ref[0] = dv_sum_ref[...].astype(dv_ref.dtype)

    if shifted_ref is not None:

        @pl.when(last_tile & (b == batch - 1) if kernel.group == 1 else last_tile)
        def _() -> None:
            for head in range(kernel.heads):
                dbias_ref[0, 0, head : head + 1] = tiles.summed_rows(dshifted_ref[head])


def run(
    kernel: Kernel,
    queries: Blocks,
    keys: Blocks,
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    o: jax.Array,
    do: jax.Array,
    lse: jax.Array,
    more: dict[str, Any],
) -> Any:
    """Runs the kernel on padded arrays.

    Args:
        kernel: what is fixed.
        queries: from `blocks`.
        keys: likewise.
        q: queries BxQxJ, the heads beside each other.
        k: keys BxSxI.
        v: values BxSxI.
        o: output BxQxJ.
        do: its gradient.
        lse: float32 B x blocks of heads x heads x Q, from the forward kernel.
        more: as there, but for `bias`, which is by `query - key`.

    Returns:
        Gradients of q, k and v, and of the bias: float32 (1 or B) x blocks of heads x heads x P,
        to be added over the first axis; None without bias.
    """
    batch, length, channels = q.shape
    assert (queries.total, keys.total) == (length, k.shape[1])
    heads, width, group = kernel.heads, kernel.width, kernel.group
    count = channels // width
    more = dict(more)
    table = more.pop("run")

    def head(g: Any, e: Any) -> Any:
        return g if group == 1 else g * group + e

    q_spec = pl.BlockSpec((1, queries.size, width), lambda g, b, e, j, i, _: (b, i, head(g, e)))
    k_spec = pl.BlockSpec((1, keys.size, width), lambda g, b, e, j, i, _: (b, j, g))
    lse_spec = pl.BlockSpec(
        (1, 1, heads, queries.size), lambda g, b, e, j, i, _: (b, head(g, e), 0, i)
    )
    id_specs = (
        pl.BlockSpec((1, 1, queries.size), lambda g, b, e, j, i, _: (b, 0, i)),
        pl.BlockSpec((1, 1, keys.size), lambda g, b, e, j, i, _: (b, 0, j)),
    )
    period = more["bias"].shape[3] if "bias" in more else 0
    specs = {
        "bias": pl.BlockSpec((1, 1, heads, period), lambda g, b, e, j, i, _: (0, head(g, e), 0, 0)),
        "ids": id_specs,
        "flags": id_specs,
        "factor": pl.BlockSpec(
            (1, 1, heads, keys.size), lambda g, b, e, j, i, _: (b, head(g, e), 0, j)
        ),
    }
    shifted = pltpu.VMEM((heads, tiles.LANES, period), jnp.float32) if period else None
    dbias_spec = pl.BlockSpec(
        (1, 1, heads, period),
        lambda g, b, e, j, i, _: (0 if group == 1 else b, head(g, e), 0, 0),
    )
    dbias_shape = (1 if group == 1 else batch, count, heads, period)
    products = batch * count * heads * queries.total * keys.total
    return pl.pallas_call(
        functools.partial(_kernel, kernel=kernel, queries=queries, keys=keys, batch=batch),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=1,
            grid=(count // group, batch, group, keys.count, queries.count),
            in_specs=[
                q_spec,
                k_spec,
                k_spec,
                q_spec,
                q_spec,
                lse_spec,
                {name: specs[name] for name in more},
            ],
            out_specs=[
                # Whole lengths: each is written once, though its parts are added to in turns.
                pl.BlockSpec((1, length, width), lambda g, b, e, j, i, _: (b, 0, head(g, e))),
                pl.BlockSpec((1, keys.total, width), lambda g, b, e, j, i, _: (b, 0, g)),
                pl.BlockSpec((1, keys.total, width), lambda g, b, e, j, i, _: (b, 0, g)),
                dbias_spec if period else None,
            ],
            scratch_shapes=[
                pltpu.VMEM((length, width), jnp.float32),
                pltpu.VMEM((keys.total, width), jnp.float32),
                pltpu.VMEM((keys.total, width), jnp.float32),
                shifted,
                shifted,
            ],
        ),
        out_shape=[
            jax.ShapeDtypeStruct(q.shape, q.dtype),
            jax.ShapeDtypeStruct(k.shape, k.dtype),
            jax.ShapeDtypeStruct(v.shape, v.dtype),
            jax.ShapeDtypeStruct(dbias_shape, jnp.float32) if period else None,
        ],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "arbitrary", "arbitrary", "arbitrary", "arbitrary")
        ),
        cost_estimate=pl.CostEstimate(
            flops=10 * products * kernel.head_dim,
            transcendentals=products,
            bytes_accessed=(1 + 3 * keys.count) * q.nbytes + 2 * (k.nbytes + v.nbytes),
        ),
        interpret=kernel.interpret,
        name="attention_backward",
    )(table, q, k, v, o, do, lse, more)
