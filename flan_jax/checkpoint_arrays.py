"""The stored form of a train state: named arrays in nested dicts, compared before they are read."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from flan_jax.errors import CheckpointError, suggest
from flan_jax.sharding import path_name

_MAX_LISTED = 12


def saved_arrays(directory: epath.PathLike, item: str) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Returns name -> (shape, dtype) of the arrays in an item of a checkpoint, without loading."""
    metadata = ocp.StandardCheckpointHandler().metadata(epath.Path(directory) / item)
    tree = getattr(metadata, "tree", metadata)
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda x: hasattr(x, "shape"))
    return {path_name(path): (tuple(leaf.shape), np.dtype(leaf.dtype)) for path, leaf in leaves}


def compare(
    saved: Mapping[str, tuple[tuple[int, ...], Any]],
    wanted: Mapping[str, Any],
    *,
    check_dtype: bool,
    check_names: bool = True,
) -> list[str]:
    """Returns a line per array in which a checkpoint and a model differ.

    Args:
      saved: name -> (shape, dtype) of the checkpoint.
      wanted: name -> array or `ShapeDtypeStruct` of the model.
      check_dtype: whether dtypes must agree.
      check_names: whether arrays that only one side has count.
    """
    lines = []
    for name, leaf in wanted.items():
        if name not in saved:
            if check_names:
                near = suggest(name, saved)
                lines.append(f"{name}: not in the checkpoint; model {tuple(leaf.shape)}.{near}")
            continue
        shape, dtype = saved[name]
        if shape != tuple(leaf.shape):
            lines.append(f"{name}: checkpoint {shape}, model {tuple(leaf.shape)}")
        elif check_dtype and dtype != np.dtype(leaf.dtype):
            lines.append(f"{name}: checkpoint {dtype.name}, model {np.dtype(leaf.dtype).name}")
    if check_names:
        lines += [f"{n}: only in the checkpoint, {saved[n][0]}" for n in saved if n not in wanted]
    return lines


def raise_if_different(directory: epath.Path, differences: list[str]) -> None:
    """Raises a CheckpointError that lists the differences, if there are any."""
    if not differences:
        return
    shown = "\n  ".join(differences[:_MAX_LISTED])
    more = len(differences) - _MAX_LISTED
    raise CheckpointError(
        f"{directory} is of another model or optimizer: {len(differences)} arrays differ.\n  "
        + shown
        + (f"\n  … and {more} more" if more > 0 else "")
        + "\nUse the configuration it was trained with: config.gin beside the checkpoint."
    )


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Returns name -> leaf, names being slash separated paths."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {prefix + path_name(path): leaf for path, leaf in leaves}


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Returns nested dicts: what is stored does not depend on Python classes of the state."""
    tree: dict[str, Any] = {}
    for name, leaf in flat.items():
        *parents, last = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = leaf
    return tree


def split(state: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the arrays of a state by name: the parameters, and everything else."""
    named = flat(state)
    params = {name: leaf for name, leaf in named.items() if name.startswith("params/")}
    assert params, f"a train state has a params field; found {sorted(named)[:5]}"
    return params, {name: leaf for name, leaf in named.items() if name not in params}


def with_shardings(abstract_tree: Any, shardings: Any) -> Any:
    """Returns the tree as `ShapeDtypeStruct` with shardings."""
    if isinstance(shardings, jax.sharding.Sharding):
        one = shardings
        shardings = jax.tree.map(lambda _: one, abstract_tree)
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        abstract_tree,
        shardings,
    )


def read(directory: epath.Path, item: str, target: Any) -> Any:
    """Loads an item of arrays onto the shardings of `target`, a tree of `ShapeDtypeStruct`."""
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as reader:
        return reader.restore(directory / item, args=ocp.args.StandardRestore(target))


def read_meta(directory: epath.Path) -> dict[str, Any]:
    """Loads the JSON item.

    Not through Orbax's `Checkpointer`, which waits for all processes: the first one may look at a
    checkpoint alone.
    """
    reader = ocp.JsonCheckpointHandler()
    return dict(reader.restore(directory / "meta", args=ocp.args.JsonRestore()))
