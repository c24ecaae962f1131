"""The forward attention kernel: one pass over the keys with a running softmax."""

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

_LARGEST_QUERY_BLOCK = 256
_LARGEST_KEY_BLOCK = 1024


def blocks(query_length: int, key_length: int, width: int) -> tuple[Blocks, Blocks]:
    """How the kernel cuts queries and keys."""
    narrow = max(1, width // tiles.LANES)
    return (
        tiles.cut(query_length, _LARGEST_QUERY_BLOCK // narrow),
        tiles.cut(key_length, _LARGEST_KEY_BLOCK),
    )


def _visible(
    kernel: Kernel, ids: Any, flags: Any, iq: jax.Array, ik: jax.Array, shape: tuple[int, int]
) -> jax.Array | None:
    """The mask of a tile, query x key; None where all is seen."""
    column = lax.broadcasted_iota(jnp.int32, shape, 1) + ik * shape[1]
    mask = None
    if kernel.causal:
        row = lax.broadcasted_iota(jnp.int32, shape, 0) + iq * shape[0]
        mask = column <= row
        if flags is not None:
            mask = mask | (flags[1][0] <= tiles.as_column(flags[0][0]))
    if ids is not None:
        same = tiles.as_column(ids[0][0]) == ids[1][0]
        if kernel.open_keys:
            same = same | (column < kernel.open_keys)
        mask = same if mask is None else mask & same
    return mask


def _kernel(
    run_ref: Any,
    q_ref: Any,
    k_ref: Any,
    v_ref: Any,
    more: dict[str, Any],
    o_ref: Any,
    lse_ref: Any,
    acc_ref: Any,
    max_ref: Any,
    sum_ref: Any,
    shifted_ref: Any,
    *,
    kernel: Kernel,
    queries: Blocks,
    keys: Blocks,
) -> None:
    b, iq, ik = (pl.program_id(axis) for axis in (1, 2, 3))
    shape = (queries.size, keys.size)
    if shifted_ref is not None:
        # Heads are the outermost axis: the rows of the batch share the tiles.
        @pl.when((b == 0) & (iq == 0) & (ik == 0))
        def _() -> None:
            for head in range(kernel.heads):
                shifted_ref[head] = tiles.shifted_rows(more["bias"][0, 0, head : head + 1])

    @pl.when(ik == 0)
    def _() -> None:
        acc_ref[...] = jnp.zeros_like(acc_ref)
        max_ref[...] = jnp.full_like(max_ref, -jnp.inf)
        sum_ref[...] = jnp.zeros_like(sum_ref)

    @pl.when(run_ref[(b * queries.count + iq) * keys.count + ik] != 0)
    def _() -> None:
        mask = _visible(kernel, more.get("ids"), more.get("flags"), iq, ik, shape)
        q, k, v = q_ref[0], k_ref[0], v_ref[0]
        if kernel.scale != 1.0 and kernel.exact_scale:
            q = (q * kernel.scale).astype(q.dtype)
        for head in range(kernel.heads):
            lanes = tiles.head_lanes(kernel, head)
            logits = tiles.dot(tiles.only(lanes, q), k, 1, 1)
            if not kernel.exact_scale:
                logits = logits * kernel.scale
            if shifted_ref is not None:
                logits += tiles.toeplitz_tile(
                    shifted_ref.at[head], iq * queries.size, ik * keys.size, *shape
                )
            if mask is not None:
                logits = jnp.where(mask, logits, MASKED_LOGIT)
            if keys.total != kernel.key_length:
                column = lax.broadcasted_iota(jnp.int32, (1, keys.size), 1) + ik * keys.size
                logits = jnp.where(column < kernel.key_length, logits, -jnp.inf)
            old_max = max_ref[head][:, :1]
            new_max = jnp.maximum(old_max, jnp.max(logits, axis=1, keepdims=True))
            weights = jnp.exp(logits - new_max)
            old = jnp.exp(old_max - new_max)
            new_sum = old * sum_ref[head][:, :1] + jnp.sum(weights, axis=1, keepdims=True)
            max_ref[head] = jnp.broadcast_to(new_max, max_ref.shape[1:])
            sum_ref[head] = jnp.broadcast_to(new_sum, sum_ref.shape[1:])
            value = v
            if "factor" in more:
                factor = tiles.as_column(more["factor"][0, 0, head : head + 1])
                value = (v * factor).astype(v.dtype)
            mixed = old * acc_ref[...] + tiles.dot(weights.astype(v.dtype), value, 1, 0)
            acc_ref[...] = mixed if lanes is None else jnp.where(lanes, mixed, acc_ref[...])

    @pl.when(ik == keys.count - 1)
    def _() -> None:
        out = acc_ref[...]
        for head in range(kernel.heads):
            lanes = tiles.head_lanes(kernel, head)
            total = sum_ref[head][:, :1]
            divided = out / total
            out = divided if lanes is None else jnp.where(lanes, divided, out)
            lse = max_ref[head][:, :1] + jnp.log(total)
            lse_ref[0, 0, head : head + 1] = tiles.as_row(lse)
        o_ref[0] = out.astype(o_ref.dtype)


def run(
    kernel: Kernel,
    queries: Blocks,
    keys: Blocks,
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
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
        more: by name what there is of: `run` from `tiles_to_run`; `bias` float32 1 x blocks of
            heads x heads x P, see `bias_width`; `ids` and `flags`, pairs of int32 Bx1xQ and Bx1xS;
            `factor` float32 B x blocks of heads x heads x S.

    Returns:
        The output BxQxJ and the log of each row's sum of weights, float32 B x blocks of heads x
        heads x Q.
    """
    batch, length, channels = q.shape
    assert (queries.total, keys.total) == (length, k.shape[1])
    count, heads, width = channels // kernel.width, kernel.heads, kernel.width
    group = kernel.group
    more = dict(more)
    table = more.pop("run")

    q_spec = pl.BlockSpec((1, queries.size, width), lambda h, b, i, j, _: (b, i, h))
    k_spec = pl.BlockSpec(
        (1, keys.size, width), lambda h, b, i, j, _: (b, j, h if group == 1 else lax.div(h, group))
    )
    id_specs = (
        pl.BlockSpec((1, 1, queries.size), lambda h, b, i, j, _: (b, 0, i)),
        pl.BlockSpec((1, 1, keys.size), lambda h, b, i, j, _: (b, 0, j)),
    )
    period = more["bias"].shape[3] if "bias" in more else 0
    specs = {
        "bias": pl.BlockSpec((1, 1, heads, period), lambda h, b, i, j, _: (0, h, 0, 0)),
        "ids": id_specs,
        "flags": id_specs,
        "factor": pl.BlockSpec((1, 1, heads, keys.size), lambda h, b, i, j, _: (b, h, 0, j)),
    }
    lse_spec = pl.BlockSpec((1, 1, heads, queries.size), lambda h, b, i, j, _: (b, h, 0, i))
    per_row = pltpu.VMEM((heads, queries.size, tiles.LANES), jnp.float32)
    shifted = pltpu.VMEM((heads, tiles.LANES, period), jnp.float32) if period else None
    products = batch * count * heads * queries.total * keys.total
    return pl.pallas_call(
        functools.partial(_kernel, kernel=kernel, queries=queries, keys=keys),
        grid_spec=pltpu.PrefetchScalarGridSpec(
            num_scalar_prefetch=1,
            grid=(count, batch, queries.count, keys.count),
            in_specs=[q_spec, k_spec, k_spec, {name: specs[name] for name in more}],
            out_specs=[q_spec, lse_spec],
            scratch_shapes=[
                pltpu.VMEM((queries.size, width), jnp.float32),
                per_row,
                per_row,
                shifted,
            ],
        ),
        out_shape=[
            jax.ShapeDtypeStruct(q.shape, v.dtype),
            jax.ShapeDtypeStruct((batch, count, heads, queries.total), jnp.float32),
        ],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "arbitrary", "arbitrary", "arbitrary")
        ),
        cost_estimate=pl.CostEstimate(
            flops=4 * products * kernel.head_dim,
            transcendentals=products,
            bytes_accessed=2 * q.nbytes + queries.count * (k.nbytes + v.nbytes),
        ),
        interpret=kernel.interpret,
        name="attention_forward",
    )(table, q, k, v, more)
