"""Exact conversion between the two layouts of a layer stack.

Unscanned, the layers are `encoder/layers_0`, `encoder/layers_1`, ...; scanned, they are stacked in
`encoder/encoder` with the layer number at `param_scan_axis` of each array. The same for the
decoder, which may stand alone. Nothing else differs. Any tree of arrays with that structure
converts: parameters, gradients, optimizer moments of the parameters' shapes.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flan_jax.errors import CheckpointError

Tree = dict[str, Any]

_STACKS = ("encoder", "decoder")
_LAYER = re.compile(r"layers_(\d+)")


def to_scanned(tree: Mapping[str, Any], scan_axis: int = 1) -> Tree:
    """Stacks `layers_<i>` of each stack along `scan_axis`; numpy arrays stay numpy.

    Raises:
        CheckpointError: a stack has no `layers_0`, a number is missing, or layers differ in their
            arrays.
    """

    def convert(stack: str, node: Mapping[str, Any]) -> Tree:
        layers = {key: value for key, value in node.items() if _LAYER.fullmatch(key)}
        rest = {key: value for key, value in node.items() if key not in layers}
        expected = [f"layers_{i}" for i in range(len(layers))]
        if not layers or sorted(layers) != sorted(expected):
            raise CheckpointError(
                f"'{stack}' has {', '.join(sorted(node)) or 'nothing'}; expected layers_0 up to "
                "the last layer with no number missing. Is the tree in the scanned layout already?"
            )
        ordered = [layers[name] for name in expected]
        for name, layer in zip(expected, ordered, strict=True):
            if jax.tree.structure(layer) != jax.tree.structure(ordered[0]):
                raise CheckpointError(
                    f"'{stack}/{name}' has other arrays than '{stack}/layers_0', so the layers "
                    "cannot be stacked. Do only some of them have adapters? Merge these first."
                )
        rest[stack] = jax.tree.map(lambda *leaves: _stack(leaves, scan_axis), *ordered)
        return rest

    return _convert_stacks(tree, convert)


def to_unscanned(tree: Mapping[str, Any], scan_axis: int = 1) -> Tree:
    """Splits the stacked layers of each stack into `layers_<i>`; numpy arrays stay numpy.

    Raises:
        CheckpointError: a stack has no stacked layers, or its arrays disagree on their number.
    """

    def convert(stack: str, node: Mapping[str, Any]) -> Tree:
        if stack not in node:
            raise CheckpointError(
                f"'{stack}' has {', '.join(sorted(node)) or 'nothing'}; expected '{stack}/{stack}'."
                " Is the tree in the unscanned layout already?"
            )
        rest = {key: value for key, value in node.items() if key != stack}
        counts = {_length(leaf, scan_axis) for leaf in jax.tree.leaves(node[stack])}
        if len(counts) != 1:
            raise CheckpointError(
                f"the arrays of '{stack}/{stack}' have {sorted(counts)} layers at axis "
                f"{scan_axis}; expected one number. Was the tree made with another param_scan_axis?"
            )
        for i in range(counts.pop()):
            rest[f"layers_{i}"] = jax.tree.map(lambda x, i=i: _pick(x, i, scan_axis), node[stack])
        return rest

    return _convert_stacks(tree, convert)


def _convert_stacks(
    tree: Mapping[str, Any], convert: Callable[[str, Mapping[str, Any]], Tree]
) -> Tree:
    if "decoder" not in tree:
        raise CheckpointError(
            f"the tree has {', '.join(sorted(tree)) or 'nothing'} at the top; expected 'encoder' "
            "and 'decoder', or 'decoder'. Pass the parameter tree itself, or one moment of the "
            "optimizer."
        )
    return {key: convert(key, value) if key in _STACKS else value for key, value in tree.items()}


def _stack(leaves: tuple[Any, ...], axis: int) -> Any:
    if all(isinstance(leaf, np.ndarray) for leaf in leaves):
        return np.stack(leaves, axis)
    return jnp.stack(leaves, axis)


def _length(leaf: Any, axis: int) -> int:
    return leaf.shape[axis] if leaf.ndim > axis else 0


def _pick(leaf: Any, index: int, axis: int) -> Any:
    if isinstance(leaf, np.ndarray):
        return np.ascontiguousarray(np.take(leaf, index, axis))
    return jax.lax.index_in_dim(leaf, index, axis, keepdims=False)
