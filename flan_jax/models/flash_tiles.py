"""What the attention kernels share: block sizes, tiles of the relative bias, tiles of the mask.

A kernel works on tiles whose rows are queries and whose columns are keys (forward) or the other way
round (backward). Lengths are multiples of LANES here; `flash` pads and cuts.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from flan_jax.models.masks import MASKED_LOGIT

LANES = 128

# Rows of logits below this see no key.
DEAD_ROW = 0.9 * MASKED_LOGIT


@dataclasses.dataclass(frozen=True)
class Kernel:
    """What is known of a call when it is compiled.

    Attributes:
        head_dim: K.
        width: channels of a block: one head, or several narrow ones that fill the lanes.
        group: query heads to a key head; above 1 a block is one head.
        scale: factor of the logits.
        causal: keys after the query are hidden.
        aligned: queries and keys are the same positions, and a query sees itself or nothing.
        open_keys: so many keys at the front are seen by all queries.
        query_length: Q, without padding.
        key_length: S, without padding.
        interpret: run by JAX instead of compiled for TPU.
    """

    head_dim: int
    width: int
    group: int
    scale: float
    causal: bool
    aligned: bool
    open_keys: int
    query_length: int
    key_length: int
    interpret: bool

    @property
    def heads(self) -> int:
        """Heads of a block."""
        return self.width // self.head_dim

    @property
    def exact_scale(self) -> bool:
        """Whether scaling the queries rounds nothing, so that it need not be done on logits."""
        return math.frexp(self.scale)[0] == 0.5


@dataclasses.dataclass(frozen=True)
class Blocks:
    """How a length is cut: `count` blocks of `size`, which hold it and less than a block more."""

    size: int
    count: int

    @property
    def total(self) -> int:
        """The padded length."""
        return self.size * self.count


def cut(length: int, largest: int) -> Blocks:
    """The fewest equal blocks of at most `largest`, each a multiple of LANES."""
    count = -(-length // largest)
    size = -(-length // (count * LANES)) * LANES
    return Blocks(size, -(-length // size))


def dot(a: jax.Array, b: jax.Array, a_axis: int, b_axis: int) -> jax.Array:
    """Product over one axis of each, float32; float32 operands are not rounded."""
    precision = lax.Precision.HIGHEST if a.dtype == jnp.float32 else lax.Precision.DEFAULT
    return lax.dot_general(
        a,
        b,
        (((a_axis,), (b_axis,)), ((), ())),
        precision=precision,
        preferred_element_type=jnp.float32,
    )


def as_column(row_1xN: jax.Array) -> jax.Array:
    """1xN to Nx1, by square transposes, which the vector unit can do."""
    parts = [
        jnp.broadcast_to(row_1xN[:, i : i + LANES], (LANES, LANES)).T[:, :1]
        for i in range(0, row_1xN.shape[1], LANES)
    ]
    return jnp.concatenate(parts, axis=0)


def as_row(column_Nx1: jax.Array) -> jax.Array:
    """Nx1 to 1xN."""
    parts = [
        jnp.broadcast_to(column_Nx1[i : i + LANES], (LANES, LANES)).T[:1]
        for i in range(0, column_Nx1.shape[0], LANES)
    ]
    return jnp.concatenate(parts, axis=1)


def head_lanes(kernel: Kernel, head: int) -> jax.Array | None:
    """1xW, True on the channels of one head of a block; None where it is the only one."""
    if kernel.heads == 1:
        return None
    lane = lax.broadcasted_iota(jnp.int32, (1, kernel.width), 1)
    return (lane >= head * kernel.head_dim) & (lane < (head + 1) * kernel.head_dim)


def only(lanes: jax.Array | None, x: jax.Array) -> jax.Array:
    """`x` with the channels of other heads set to 0.

    Products over all channels then need no shifts between lanes, and cost the matrix unit, which
    is 128 wide, no more than those over one narrow head.
    """
    return x if lanes is None else jnp.where(lanes, x, jnp.zeros_like(x))


def shifted_rows(vector_1xP: jax.Array) -> jax.Array:
    """128xP whose row r is the vector turned right by r.

    All tiles of a Toeplitz matrix are slices of it at multiples of LANES.
    """
    x = jnp.broadcast_to(vector_1xP, (8, vector_1xP.shape[1]))
    row = lax.broadcasted_iota(jnp.int32, x.shape, 0)
    for bit in (1, 2, 4):
        x = jnp.where((row & bit) != 0, pltpu.roll(x, bit, 1), x)
    while x.shape[0] < LANES:
        x = jnp.concatenate([x, pltpu.roll(x, x.shape[0], 1)], axis=0)
    return x


def summed_rows(x_128xP: jax.Array) -> jax.Array:
    """1xP, the transpose of `shifted_rows`: row r turned left by r, and all added."""
    x, period = x_128xP, x_128xP.shape[1]
    while x.shape[0] > 8:
        half = x.shape[0] // 2
        x = x[:half] + pltpu.roll(x[half:], period - half, 1)
    row = lax.broadcasted_iota(jnp.int32, x.shape, 0)
    for bit in (1, 2, 4):
        x = jnp.where((row & bit) != 0, pltpu.roll(x, period - bit, 1), x)
    return jnp.sum(x, axis=0, keepdims=True)


def bias_width(max_distance: int) -> int:
    """Entries of a bias vector: by `key - query` from -width/2, constant from `max_distance` on.

    Tiles that are further than that from the diagonal equal the last ones that are kept.
    """
    return 2 * LANES * (-(-max_distance // LANES) + 2)


def _slices(
    shifted_ref: Any, row_start: Any, column_start: Any, num_rows: int, num_columns: int
) -> Iterator[tuple[int, int, Any]]:
    """Yields row, column and place in `shifted_rows` of each 128x128 part of a tile."""
    middle = shifted_ref.shape[1] // (2 * LANES)
    for row in range(0, num_rows, LANES):
        for column in range(0, num_columns, LANES):
            off = lax.div(column_start + column - row_start - row, LANES)
            off = jnp.clip(off, 1 - middle, middle - 1) + middle
            yield row, column, pl.ds(pl.multiple_of(off * LANES, LANES), LANES)


def toeplitz_tile(
    shifted_ref: Any, row_start: Any, column_start: Any, num_rows: int, num_columns: int
) -> jax.Array:
    """A tile of the Toeplitz matrix whose `shifted_rows` are given."""
    parts: dict[int, list[jax.Array]] = {}
    slices = _slices(shifted_ref, row_start, column_start, num_rows, num_columns)
    for row, _, place in slices:
        parts.setdefault(row, []).append(shifted_ref[:, place])
    rows = [jnp.concatenate(row, axis=1) for row in parts.values()]
    return jnp.concatenate(rows, axis=0)


def add_toeplitz_tile(shifted_ref: Any, tile: jax.Array, row_start: Any, column_start: Any) -> None:
    """Adds a tile to where `toeplitz_tile` reads it."""
    for row, column, place in _slices(shifted_ref, row_start, column_start, *tile.shape):
        shifted_ref[:, place] += tile[row : row + LANES, column : column + LANES]


def tiles_to_run(
    kernel: Kernel, batch: int, more: Mapping[str, Any], queries: Blocks, keys: Blocks
) -> jax.Array:
    """Which tiles are not masked as a whole: int32, (batch x query blocks x key blocks), flat.

    A block with a query that sees nothing runs all its tiles, since that one weighs all keys.

    Args:
        kernel: what is fixed.
        batch: rows.
        more: `ids` and `flags` as the kernels take them.
        queries: how the queries are cut.
        keys: how the keys are cut.
    """
    shape = (batch, queries.count, keys.count)
    run = jnp.ones(shape, bool)
    if not kernel.aligned or queries.count * keys.count == 1:
        return run.astype(jnp.int32).reshape(-1)
    query_start = jnp.arange(queries.count)[None, :, None] * queries.size
    key_start = jnp.arange(keys.count)[None, None] * keys.size
    if kernel.causal:
        below = key_start < query_start + queries.size
        if "flags" in more:
            query_marks = _blocked(more["flags"][0], queries).max(axis=2)
            key_marks = _blocked(more["flags"][1], keys).min(axis=2)
            below = below | (key_marks[:, None] <= query_marks[:, :, None])
        run = run & below
    if "ids" in more:
        query_id, key_id = (
            _blocked(x, b) for x, b in zip(more["ids"], (queries, keys), strict=True)
        )
        overlap = (query_id.min(2)[:, :, None] <= key_id.max(2)[:, None]) & (
            key_id.min(2)[:, None] <= query_id.max(2)[:, :, None]
        )
        run = run & (overlap | (key_start < kernel.open_keys))
        length = kernel.query_length
        dead = more["ids"][0][:, :, :length] != more["ids"][1][:, :, :length]
        dead = jnp.pad(dead, ((0, 0), (0, 0), (0, queries.total - length)))
        run = run | _blocked(dead, queries).any(2)[:, :, None]
    return run.astype(jnp.int32).reshape(-1)


def _blocked(x_Bx1xT: jax.Array, blocks: Blocks) -> jax.Array:
    """Bx1xT to B x blocks x positions of a block."""
    return x_Bx1xT.reshape(x_Bx1xT.shape[0], blocks.count, blocks.size)
