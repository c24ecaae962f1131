"""Attention by the TPU kernels: padding, gradient rule, and the split over a device mesh.

Logits and weights never leave the chip's fast memory. The relative bias is handed over as a vector
by distance and spread out inside the kernels, the mask as ids. Lengths, heads and dtypes are those
of the caller; what the tiles want is padded here and cut off again.

The letters of the array names are listed in `layers.py`; J joins all heads of the queries, I those
of the keys.
"""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import AxisType, PartitionSpec
from jax.typing import DTypeLike

from flan_jax.models import flash_backward, flash_forward, flash_tiles
from flan_jax.models.flash_tiles import LANES, Blocks, Kernel
from flan_jax.models.masks import Visibility

# Names by which a remat policy knows the output, and what the backward kernel needs beside it.
ATTENTION = "attention"
ATTENTION_SUMS = "attention_sums"


@dataclasses.dataclass(frozen=True)
class _Split:
    """How a call lies on the current mesh.

    Attributes:
        batch: mesh axes of the rows; empty for none.
        heads: mesh axes of the query heads.
        shared_keys: the key heads are whole on each device though query heads are split.
    """

    batch: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    shared_keys: bool = False


@dataclasses.dataclass(frozen=True)
class _Call:
    """The part of a call that is no array."""

    head_dim: int
    group: int
    scale: float
    causal: bool
    aligned: bool
    open_keys: int
    interpret: bool
    split: _Split


def attend(
    query_BxHxQxK: jax.Array,
    key_BxGxSxK: jax.Array,
    value_BxGxSxK: jax.Array,
    visible: Visibility,
    bias_NxHxP: jax.Array | None = None,
    factor_BxHxS: jax.Array | None = None,
    scale: float | None = None,
    interpret: bool = False,
) -> jax.Array:
    """Softmax attention, as `attention.attend`; returns BxHxQxK in the dtype of the values.

    Args:
        query_BxHxQxK: queries.
        key_BxGxSxK: keys; G divides H.
        value_BxGxSxK: values.
        visible: which keys each query sees.
        bias_NxHxP: float32 bias by distance as `spread_bias` makes it.
        factor_BxHxS: float factor of each value, for each query head on its own (dropout).
        scale: factor of the logits; None for 1.
        interpret: run the kernels by JAX, on any device.
    """
    B, H, Q, K = query_BxHxQxK.shape
    G = key_BxGxSxK.shape[1]
    split = _split(B, H, G)
    call = _Call(
        head_dim=K,
        group=H // G,
        scale=1.0 if scale is None else scale,
        causal=visible.causal,
        aligned=visible.aligned,
        open_keys=visible.open_keys,
        interpret=interpret,
        split=split,
    )
    more: dict[str, Any] = {}
    if visible.query_id_BxQ is not None:
        more["ids"] = (visible.query_id_BxQ, visible.key_id_BxS)
    if visible.prefix_BxT is not None:
        more["prefix"] = visible.prefix_BxT
    if factor_BxHxS is not None:
        more["factor"] = factor_BxHxS.astype(jnp.float32)
    if bias_NxHxP is not None and bias_NxHxP.shape[0] != _count(split.batch):
        bias_NxHxP = jnp.broadcast_to(bias_NxHxP[:1], (_count(split.batch), *bias_NxHxP.shape[1:]))
    out_BxQxJ: Any = _flash(
        call, _joined(query_BxHxQxK), _joined(key_BxGxSxK), _joined(value_BxGxSxK), bias_NxHxP, more
    )
    return out_BxQxJ.reshape(B, Q, H, K).transpose(0, 2, 1, 3)


def fits(query_length: int, key_length: int, head_dim: int, dtype: DTypeLike) -> bool:
    """Whether the backward kernel has room for the sums over whole rows of such lengths."""
    width = -(-head_dim // LANES) * LANES
    itemsize = jnp.dtype(dtype).itemsize
    return flash_backward.blocks(query_length, key_length, width, itemsize) is not None


def bias_length(max_distance: int) -> int:
    """P of a bias that is constant from a distance on."""
    return flash_tiles.bias_width(max_distance)


def spread_bias(bias_HxP: jax.Array, batch: int) -> jax.Array:
    """A copy of the bias for each part of the batch, NxHxP.

    Each part adds up its own gradient over all layers, and they are summed over the mesh once.
    """
    heads = bias_HxP.shape[0]
    split = _split(batch, heads, heads)
    bias = jnp.broadcast_to(bias_HxP[None], (_count(split.batch), *bias_HxP.shape))
    if not split.batch and not split.heads:
        return bias
    return lax.with_sharding_constraint(bias, PartitionSpec(split.batch, split.heads))


def _joined(x_BxHxSxK: jax.Array) -> jax.Array:
    B, H, S, K = x_BxHxSxK.shape
    return x_BxHxSxK.transpose(0, 2, 1, 3).reshape(B, S, H * K)


# ---------------------------------------------------------------------------------------------
# Gradient rule and mesh


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _flash(call: _Call, q: Any, k: Any, v: Any, bias: Any, more: Any) -> jax.Array:
    return _forward(call, q, k, v, bias, more)[0]


def _flash_fwd(call: _Call, q: Any, k: Any, v: Any, bias: Any, more: Any) -> tuple[Any, Any]:
    o, lse = _forward(call, q, k, v, bias, more)
    o, lse = checkpoint_name(o, ATTENTION), checkpoint_name(lse, ATTENTION_SUMS)
    return o, (q, k, v, bias, more, o, lse)


def _flash_bwd(call: _Call, saved: Any, do: jax.Array) -> tuple[Any, ...]:
    q, k, v, bias, more, o, lse = saved
    x, keys, vector, rest = _specs(call, bias, more)
    run = functools.partial(_local_backward, call)
    ins = (x, keys, keys, vector, rest, x, PartitionSpec(*x[:1], x[2]), x)
    run = _mapped(call, run, ins, (x, keys, keys, vector))
    dq, dk, dv, dbias = run(q, k, v, bias, more, o, lse, do)
    return dq, dk, dv, dbias, None


_flash.defvjp(_flash_fwd, _flash_bwd)


def _forward(call: _Call, q: Any, k: Any, v: Any, bias: Any, more: Any) -> Any:
    x, keys, vector, rest = _specs(call, bias, more)
    run = functools.partial(_local_forward, call)
    lse_spec = PartitionSpec(*x[:1], x[2])
    return _mapped(call, run, (x, keys, keys, vector, rest), (x, lse_spec))(q, k, v, bias, more)


def _specs(call: _Call, bias: Any, more: Any) -> Any:
    """Partition specs of queries, keys, bias and the rest."""
    split = call.split
    batch, heads = split.batch or None, split.heads or None
    rows = PartitionSpec(batch)
    rest = {"ids": (rows, rows), "prefix": rows, "factor": PartitionSpec(batch, heads)}
    return (
        PartitionSpec(batch, None, heads),
        PartitionSpec(batch, None, None if split.shared_keys else heads),
        None if bias is None else PartitionSpec(batch, heads),
        {name: rest[name] for name in more},
    )


def _mapped(call: _Call, run: Any, in_specs: Any, out_specs: Any) -> Any:
    """A kernel call does not split itself over devices: here it runs on the part of each."""
    if not call.split.batch and not call.split.heads and not _auto_axes():
        return run
    return jax.shard_map(run, in_specs=in_specs, out_specs=out_specs, check_vma=False)


def _auto_axes() -> dict[str, int]:
    """Sizes of the current mesh's axes that the compiler would split arrays over."""
    mesh = jax.sharding.get_abstract_mesh()
    kinds = zip(mesh.axis_names, mesh.axis_types, strict=True)
    return {name: mesh.shape[name] for name, kind in kinds if kind != AxisType.Manual}


def _count(axes: tuple[str, ...]) -> int:
    sizes = _auto_axes()
    return math.prod(sizes[axis] for axis in axes)


def _split(batch: int, heads: int, kv_heads: int) -> _Split:
    """Follows the logical axis rules; what does not divide stays whole."""
    sizes = _auto_axes()

    def axes(name: str) -> tuple[str, ...]:
        spec = nn.logical_to_mesh_axes((name,))
        found = spec[0] if spec is not None and len(spec) else None
        found = (found,) if isinstance(found, str) else found or ()
        return tuple(axis for axis in found if sizes.get(axis, 1) > 1)

    rows = axes("batch")
    if batch % _count(rows):
        rows = ()
    columns = tuple(axis for axis in axes("heads") if axis not in rows)
    parts = _count(columns)
    if heads % parts:
        return _Split(rows)
    if kv_heads % parts == 0:
        return _Split(rows, columns)
    if (heads // kv_heads) % (heads // parts) == 0:
        # The query heads of a device belong to one key head.
        return _Split(rows, columns, shared_keys=True)
    return _Split(rows)


def _own_head(call: _Call, q: jax.Array, k: jax.Array) -> tuple[_Call, Any]:
    """With whole keys: the call of this device, and where its one key head begins."""
    heads = q.shape[2] // call.head_dim
    device = lax.axis_index(call.split.heads)
    start = lax.div(device * heads, call.group) * call.head_dim
    return dataclasses.replace(call, group=heads, split=_Split()), start


# ---------------------------------------------------------------------------------------------
# One device


def _local_forward(call: _Call, q: Any, k: Any, v: Any, bias: Any, more: Any) -> Any:
    if call.split.shared_keys:
        call, start = _own_head(call, q, k)
        k, v = (lax.dynamic_slice_in_dim(x, start, call.head_dim, axis=2) for x in (k, v))
    Q, S = q.shape[1], k.shape[1]
    kernel = _kernel(call, q, k)
    queries, keys = flash_forward.blocks(Q, S, kernel.width)
    arrays = _arrays(kernel, more, queries, keys, q.shape[0])
    if bias is not None:
        arrays["bias"] = _by_block(kernel, bias)
    q, k, v = _padded(call, kernel, (q, queries), (k, keys), (v, keys))
    o, lse = flash_forward.run(kernel, queries, keys, q, k, v, arrays)
    lse = lse.reshape(lse.shape[0], -1, lse.shape[3])
    return _unpadded(call, kernel, o, Q), lse[:, :, :Q]


def _local_backward(
    call: _Call, q: Any, k: Any, v: Any, bias: Any, more: Any, o: Any, lse: Any, do: Any
) -> Any:
    split, whole_k, start = call.split, k, None
    if split.shared_keys:
        call, start = _own_head(call, q, k)
        k, v = (lax.dynamic_slice_in_dim(x, start, call.head_dim, axis=2) for x in (k, v))
    Q, S = q.shape[1], k.shape[1]
    kernel = _kernel(call, q, k)
    cut = flash_backward.blocks(Q, S, kernel.width, q.dtype.itemsize)
    assert cut is not None, "`fits` tells which lengths are too long"
    queries, keys = cut
    arrays = _arrays(kernel, more, queries, keys, q.shape[0])
    if bias is not None:
        arrays["bias"] = _by_block(kernel, _mirrored(bias))
    q, k, v, o, do = _padded(
        call, kernel, (q, queries), (k, keys), (v, keys), (o, queries), (do, queries)
    )
    lse = _by_block(kernel, _pad(lse, 2, queries.total))
    dq, dk, dv, dbias = flash_backward.run(kernel, queries, keys, q, k, v, o, do, lse, arrays)
    if bias is not None:
        dbias = _mirrored(jnp.sum(dbias, axis=0).reshape(bias.shape))
    dq, dk, dv = _unpadded(call, kernel, dq, Q), *(_unpadded(call, kernel, x, S) for x in (dk, dv))
    if start is not None:
        # Other devices have gradients of this key head, and of the others.
        dk, dv = (
            lax.psum(
                lax.dynamic_update_slice_in_dim(
                    jnp.zeros(whole_k.shape, jnp.float32), x.astype(jnp.float32), start, axis=2
                ),
                split.heads,
            ).astype(x.dtype)
            for x in (dk, dv)
        )
    return dq, dk, dv, dbias


def _kernel(call: _Call, q: jax.Array, k: jax.Array) -> Kernel:
    """Narrow heads lie beside each other in a block; where they cannot, each fills it alone."""
    K, heads = call.head_dim, q.shape[2] // call.head_dim
    width = LANES
    if K % LANES == 0 or call.group > 1 or LANES % K or heads % (LANES // K):
        K = width = -(-K // LANES) * LANES
    return Kernel(
        head_dim=K,
        width=width,
        group=call.group,
        scale=call.scale,
        causal=call.causal,
        aligned=call.aligned,
        open_keys=call.open_keys,
        query_length=q.shape[1],
        key_length=k.shape[1],
        interpret=call.interpret,
    )


def _arrays(kernel: Kernel, more: Any, queries: Blocks, keys: Blocks, batch: int) -> Any:
    """What the kernels take beside queries, keys and values; the bias comes extra."""
    arrays: dict[str, Any] = {}
    if "ids" in more:
        query_id, key_id = more["ids"]
        arrays["ids"] = (
            _pad(query_id, 1, queries.total)[:, None],
            _pad(key_id, 1, keys.total)[:, None],
        )
    if "prefix" in more:
        # Both marked becomes one comparison: the key's number is at most the query's.
        marked = more["prefix"] != 0
        arrays["flags"] = (
            _pad(jnp.where(marked, 1, -1), 1, queries.total)[:, None],
            _pad(jnp.where(marked, 0, 2), 1, keys.total)[:, None],
        )
    if "factor" in more:
        arrays["factor"] = _by_block(kernel, _pad(more["factor"], 2, keys.total))
    arrays["run"] = flash_tiles.tiles_to_run(kernel, batch, arrays, queries, keys)
    return arrays


def _by_block(kernel: Kernel, x_BxHxT: jax.Array) -> jax.Array:
    """BxHxT to B x blocks of heads x heads x T."""
    B, H, T = x_BxHxT.shape
    return x_BxHxT.reshape(B, H // kernel.heads, kernel.heads, T)


def _mirrored(bias_NxHxP: jax.Array) -> jax.Array:
    """The bias by `query - key` from that by `key - query`, and the other way round."""
    return jnp.roll(bias_NxHxP[:, :, ::-1], 1, axis=2)


def _pad(x: jax.Array, axis: int, length: int) -> jax.Array:
    """Zeros at the end of an axis."""
    pads = [(0, 0)] * x.ndim
    pads[axis] = (0, length - x.shape[axis])
    return jnp.pad(x, pads) if pads[axis][1] else x


def _padded(call: _Call, kernel: Kernel, *pairs: tuple[jax.Array, Blocks]) -> list[jax.Array]:
    """Pads lengths and, where the kernel's head is wider, each head of BxTxJ."""
    padded = []
    for x_BxTxJ, blocks in pairs:
        x = _pad(x_BxTxJ, 1, blocks.total)
        if kernel.head_dim != call.head_dim:
            x = x.reshape(*x.shape[:2], -1, call.head_dim)
            x = _pad(x, 3, kernel.head_dim).reshape(*x.shape[:2], -1)
        padded.append(x)
    return padded


def _unpadded(call: _Call, kernel: Kernel, x: jax.Array, length: int) -> jax.Array:
    x = x[:, :length]
    if kernel.head_dim != call.head_dim:
        x = x.reshape(*x.shape[:2], -1, kernel.head_dim)[..., : call.head_dim]
        x = x.reshape(*x.shape[:2], -1)
    return x
