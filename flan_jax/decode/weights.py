"""The decoder's weights as steps of one token want them: gathered over fsdp once, not at each step.

A training layout cuts parameters over fsdp, and every product gathers its kernel. A step of
decoding has one token a row, so it would spend nearly all its time on gathering: for T5-XXL on 64
chips of v4 and 256 tokens, 357 GB a chip where the weights are 1.6 (docs/pods.md).
"""

from typing import TYPE_CHECKING, Any

import jax
from flax import linen as nn

from flan_jax import sharding

if TYPE_CHECKING:
    from flan_jax.models.base import BaseModel

_FSDP = "fsdp"
# The most that gathered weights may take of a device unasked; the smallest TPU has 15.75 GiB.
_MOST_BYTES = 4 << 30


def gather(model: "BaseModel", params: Any, wanted: bool | None) -> Any:
    """Returns `params` with the decoder's kernels whole over fsdp, in the compute dtype.

    They stay cut over the model axis. Products see the same numbers: they cast kernels to the
    compute dtype in any case.

    Args:
      model: names the axes of the parameters.
      params: its parameters.
      wanted: whether to gather; None gathers what takes at most 4 GiB of a device.
    """
    mesh, rules = jax.sharding.get_abstract_mesh(), nn.get_logical_axis_rules()
    if wanted is False or mesh.empty or not rules or mesh.shape.get(_FSDP, 1) == 1:
        return params
    kept = tuple((name, _without_fsdp(axes)) for name, axes in rules)
    dtype = model.config.compute_dtype

    def specs(path: Any, x: jax.Array, names: Any) -> Any:
        name = sharding.path_name(path)
        # The mesh's sizes are all that is read of it.
        placed: Any = sharding.place(name, x.shape, x.dtype, names, kept, mesh)  # type: ignore
        return placed

    placed = jax.tree_util.tree_map_with_path(
        specs, params["decoder"], model.logical_axes()["decoder"]
    )
    size = sum(
        jax.tree.leaves(
            jax.tree.map(
                lambda x, p: p.device_bytes * _dtype_of(p, x, dtype).itemsize // x.dtype.itemsize,
                params["decoder"],
                placed,
            )
        )
    )
    if wanted is None and size > _MOST_BYTES:
        return params

    def whole(x: jax.Array, place: sharding.Placement) -> jax.Array:
        x = x.astype(_dtype_of(place, x, dtype))
        return jax.lax.with_sharding_constraint(x, place.spec)

    decoder = jax.tree.map(whole, params["decoder"], placed)
    # Without the barrier the compiler may gather inside the loop after all, to save memory.
    return {**params, "decoder": jax.lax.optimization_barrier(decoder)}


def _dtype_of(place: sharding.Placement, x: jax.Array, dtype: Any) -> Any:
    """Kernels of layers are cast; norms, embeddings and the output projection work in float32."""
    in_layer = place.path.startswith(("decoder/", "layers_"))
    is_kernel = place.path.endswith("/kernel")
    return jax.numpy.dtype(dtype) if in_layer and is_kernel else x.dtype


def _without_fsdp(axes: Any) -> Any:
    if isinstance(axes, tuple):
        return tuple(axis for axis in axes if axis != _FSDP) or None
    return None if axes == _FSDP else axes
