"""Weights that are in memory under another library's names, as a parameter tree of ours."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from flan_jax import checkpoint_arrays
from flan_jax.interop import names, stacks
from flan_jax.interop.names import NameMap
from flan_jax.interop.source import MemorySource, whole
from flan_jax.models.base import BaseModel


def params_of(
    state: Mapping[str, np.ndarray], name_map: NameMap, model: BaseModel
) -> dict[str, Any]:
    """Returns the parameter tree of a model, float32 numpy, in the model's layout.

    Args:
      state: arrays by their names.
      name_map: of the family.
      model: says which parameters there are.

    Raises:
      CheckpointError: a weight is missing, left over or of another shape.
    """
    axis = model.config.param_scan_axis
    abstract = checkpoint_arrays.flat(model.abstract_params())
    shapes = {name: tuple(leaf.shape) for name, leaf in abstract.items()}
    wanted = stacks.unscanned(shapes, axis)
    bound = names.bind(MemorySource(state), name_map, list(wanted))
    lines = [line for _, line in names.misfits(bound, wanted)]
    lines += [f"{name}: no place in this model" for name in bound.left]
    names.raise_for(bound.source.where, lines)
    params = stacks.Params(bound, shapes, axis)
    float32 = np.dtype(np.float32)
    return checkpoint_arrays.nested(
        {name: params.read(name, whole(shape), float32) for name, shape in shapes.items()}
    )
