"""Trees of logical axis names, parallel to trees of arrays.

A leaf is a plain tuple with one entry per array dimension: the dimension's logical name, or None
for a dimension that has no name and is never sharded. `()` belongs to a scalar. JAX treats a tuple
as a container, so code that walks such a tree passes `is_leaf=is_axes` or uses `map_axes`.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax

Axes: TypeAlias = tuple[str | None, ...]
PyTree: TypeAlias = Any


def is_axes(node: object) -> bool:
    """Whether `node` is a leaf of an axes tree. NamedTuples are containers, not leaves."""
    return type(node) is tuple and all(n is None or isinstance(n, str) for n in node)


def map_axes(function: Callable[..., Any], axes_tree: PyTree, *trees: PyTree) -> PyTree:
    """`jax.tree.map(function, axes_tree, *trees)` with axis-name tuples as leaves."""
    return jax.tree.map(function, axes_tree, *trees, is_leaf=is_axes)
