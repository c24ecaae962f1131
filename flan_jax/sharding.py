"""Logical axis names to shardings, with a report of what each device holds.

A parameter names its dimensions (`('embed', 'mlp')`), rules map names to mesh axes, and the result
is one `NamedSharding` per array. Nothing is decided silently: a name without a rule is an error,
and a dimension that stays whole is listed with the reason.
"""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import gin
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from flan_jax.errors import TopologyError, suggest

# (logical axis name, mesh axis, several mesh axes, or None for "keep whole").
AxisRules = Sequence[tuple[str, str | tuple[str, ...] | None]]

# Several rules for one name are tried in order, and a mesh axis serves one dimension of an array
# at most: activations (batch, length, embed) leave fsdp to the batch, kernels give it to embed.
_STANDARD_RULES: AxisRules = (
    ("batch", ("slice", "data", "fsdp")),
    ("vocab", "model"),
    ("mlp", "model"),
    ("heads", "model"),
    ("joined_kv", "model"),
    # Fewer heads of keys and values than queries have: split like those, which wants a model axis
    # of at most their number. The single head of multi-query attention is 'kv', whole everywhere.
    ("kv_heads", "model"),
    ("joined_kv_heads", "model"),
    ("embed", "fsdp"),
    ("kv", None),
    ("relpos_buckets", None),
    ("abspos_buckets", None),
    # Between blocks, rows are split along their length where tensor parallelism would have every
    # device of a group hold, normalise and save the same numbers (Megatron's sequence parallelism,
    # arXiv 2205.05198): its all-reduces become a reduce-scatter and an all-gather.
    ("stream_length", "model"),
    ("length", None),
    ("layers", None),
    ("stack", None),
    ("mlp_activations", None),
    ("prompt", None),
)


@gin.configurable(module="partitioning")
def standard_logical_axis_rules(additional_rules: AxisRules | None = None) -> AxisRules:
    """Returns the rules of the standard layout.

    Batch rows go over (slice, data, fsdp); vocabulary, heads and feed-forward width over model;
    model width over fsdp. Everything else is whole on each device.

    Args:
      additional_rules: rules placed before the standard ones, so they can add a name or override
        the mesh axis of one.
    """
    rules = [(name, _as_mesh_axes(axes)) for name, axes in additional_rules or ()]
    return (*rules, *_STANDARD_RULES)


def _as_mesh_axes(axes: Any) -> Any:
    """Gin files may write a list of mesh axes; flax compares tuples."""
    return tuple(axes) if isinstance(axes, list) else axes


@dataclasses.dataclass(frozen=True)
class Placement:
    """How one array lies on the mesh.

    Attributes:
      path: name of the array, slash separated.
      shape: global shape.
      dtype: name of the dtype.
      logical_axes: one name (or None: whole on purpose) per dimension.
      spec: mesh axes per dimension.
      total_bytes: size of the whole array.
      device_bytes: size of one device's part.
      reasons: why dimensions that could have been split are whole; empty if none.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    logical_axes: tuple[str | None, ...]
    spec: PartitionSpec
    total_bytes: int
    device_bytes: int
    reasons: tuple[str, ...]

    @property
    def replicated(self) -> bool:
        """True where every device holds the whole array."""
        return all(axes is None for axes in self.spec)

    def as_dict(self) -> dict[str, Any]:
        """Returns plain values, for JSON."""
        return dataclasses.asdict(self) | {
            "spec": [list(axes) if isinstance(axes, tuple) else axes for axes in self.spec],
            "replicated": self.replicated,
        }


def path_name(path: Sequence[Any]) -> str:
    """Returns a jax key path as 'params/encoder/layers_0/…'."""
    return "/".join(str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path)


def check_rules(rules: AxisRules, mesh: Mesh) -> AxisRules:
    """Returns `rules` as a tuple of pairs.

    Raises:
      TopologyError: a rule is not a pair, or names a mesh axis that does not exist.
    """
    checked = []
    for rule in rules:
        if len(rule) != 2 or not isinstance(rule[0], str):
            raise TopologyError(
                f"A logical axis rule is a pair (logical axis name, mesh axis or None); "
                f"found {rule!r} in logical_axis_rules."
            )
        name, axes = rule[0], _as_mesh_axes(rule[1])
        for axis in _axes_tuple(axes):
            if axis not in mesh.axis_names:
                raise TopologyError(
                    f"The rule for logical axis {name!r} names the mesh axis {axis!r}, but the "
                    f"mesh has {', '.join(mesh.axis_names)}." + suggest(str(axis), mesh.axis_names)
                )
        checked.append((name, axes))
    return tuple(checked)


def _axes_tuple(axes: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if axes is None:
        return ()
    return (axes,) if isinstance(axes, str) else tuple(axes)


def place(
    path: str,
    shape: Sequence[int],
    dtype: Any,
    logical_axes: Sequence[str | None] | None,
    rules: AxisRules,
    mesh: Mesh,
) -> Placement:
    """Decides how one array lies on the mesh.

    Rules are taken in order. A dimension takes a mesh axis of its rule if the axis is not yet used
    by this array and its size divides what is left of the dimension; otherwise the dimension is
    whole along that axis, the reason is kept, and later rules of the same name are tried. A rule
    that says None ends the search. Mesh axes of size 1 split nothing and are left out.

    Args:
      path: name of the array, used in messages.
      shape: global shape.
      dtype: dtype of the array.
      logical_axes: one name per dimension; None for a dimension kept whole on purpose. Arrays of
        one element may come without names.
      rules: checked rules.
      mesh: the device mesh.

    Raises:
      TopologyError: no names, wrong number of names, or a name without a rule.
    """
    shape = tuple(shape)
    names = _checked_names(path, shape, logical_axes, rules)
    used: set[str] = set()
    chosen: list[tuple[str, ...] | None] = [None] * len(shape)
    settled = [name is None for name in names]
    refused: list[tuple[int, str]] = []  # A rule wanted to split this dimension and could not.
    unsplit: list[tuple[int, str]] = []  # No rule wanted to.
    for rule_name, rule_axes in rules:
        for dim, name in enumerate(names):
            if name != rule_name or settled[dim]:
                continue
            if rule_axes is None:
                settled[dim] = True
                unsplit.append((dim, f"{name} is kept whole by its rule"))
            picked: list[str] = []
            for axis in _axes_tuple(rule_axes):
                size = mesh.shape[axis]
                left = shape[dim] // math.prod(mesh.shape[a] for a in picked)
                if size == 1:
                    unsplit.append((dim, f"{name} follows {axis}, which has size 1"))
                elif axis in used:
                    refused.append((dim, f"{name} is whole over {axis}, taken by another axis"))
                elif left % size:
                    refused.append(
                        (dim, f"{name} is whole over {axis}: {size} does not divide {left}")
                    )
                else:
                    picked.append(axis)
                    used.add(axis)
            if picked:
                chosen[dim], settled[dim] = tuple(picked), True
    if not used and math.prod(shape) > 1:
        refused += unsplit
        refused += [
            (d, f"dimension {d} has no axis name") for d, n in enumerate(names) if n is None
        ]
    reasons = tuple(dict.fromkeys(why for _, why in sorted(refused)))
    entries = [axes[0] if axes and len(axes) == 1 else axes for axes in chosen]
    parts = math.prod(mesh.shape[axis] for axis in used)
    total_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    return Placement(
        path=path,
        shape=shape,
        dtype=np.dtype(dtype).name,
        logical_axes=names,
        spec=PartitionSpec(*entries),
        total_bytes=total_bytes,
        device_bytes=total_bytes // parts,
        reasons=reasons,
    )


def _checked_names(
    path: str, shape: tuple[int, ...], logical_axes: Sequence[str | None] | None, rules: AxisRules
) -> tuple[str | None, ...]:
    """Returns one name per dimension, each with a rule."""
    names = None if logical_axes is None else tuple(logical_axes)
    if not names and math.prod(shape) == 1:
        return (None,) * len(shape)  # A scalar, or an optimizer's placeholder: nothing to split.
    if names is None or len(names) != len(shape):
        found = "no logical axes" if not names else f"{len(names)} logical axes {names}"
        raise TopologyError(
            f"{path} has shape {shape} but {found}: each of its {len(shape)} dimensions needs a "
            "logical axis name (None keeps a dimension whole). Name them where the parameter is "
            "created, with nn.with_logical_partitioning."
        )
    known = dict.fromkeys(name for name, _ in rules)
    for dim, name in enumerate(names):
        if name is not None and name not in known:
            raise TopologyError(
                f"{path}: dimension {dim} (size {shape[dim]}) has the logical axis {name!r}, for "
                f"which there is no rule.{suggest(str(name), known)} Add a pair ({name!r}, mesh "
                "axis or None) to standard_logical_axis_rules.additional_rules."
            )
    return names


def placements(
    abstract_tree: Any, axes_tree: Any, rules: AxisRules, mesh: Mesh
) -> tuple[list[Placement], Any]:
    """Places every array of a tree.

    Args:
      abstract_tree: pytree whose leaves have `shape` and `dtype`.
      axes_tree: pytree of the same structure whose leaves are tuples or PartitionSpecs of logical
        axis names.
      rules: checked rules.
      mesh: the device mesh.

    Returns:
      The placements in leaf order, and the tree structure.

    Raises:
      TopologyError: the trees differ in structure, or an array cannot be placed.
    """
    leaves, treedef = jax.tree_util.tree_flatten_with_path(abstract_tree)
    try:
        axes = treedef.flatten_up_to(axes_tree)
    except (ValueError, TypeError) as error:
        raise TopologyError(
            "The tree of logical axes does not have the structure of the tree of arrays: "
            f"{error}. Both must come from the same model and optimizer."
        ) from error
    placed = [
        place(path_name(path), leaf.shape, leaf.dtype, names, rules, mesh)
        for (path, leaf), names in zip(leaves, axes, strict=True)
    ]
    return placed, treedef


def tree_shardings(abstract_tree: Any, axes_tree: Any, rules: AxisRules, mesh: Mesh) -> Any:
    """Returns a tree of `NamedSharding` with the structure of `abstract_tree`; see `placements`."""
    placed, treedef = placements(abstract_tree, axes_tree, rules, mesh)
    return jax.tree_util.tree_unflatten(treedef, [NamedSharding(mesh, p.spec) for p in placed])


@dataclasses.dataclass(frozen=True)
class CoverageReport:
    """Where every array of a tree lies, and what that costs each device."""

    rows: tuple[Placement, ...]
    mesh_shape: Mapping[str, int]

    @property
    def total_bytes(self) -> int:
        """Bytes of all arrays, each counted once."""
        return sum(row.total_bytes for row in self.rows)

    @property
    def device_bytes(self) -> int:
        """Bytes one device holds."""
        return sum(row.device_bytes for row in self.rows)

    @property
    def replicated_bytes(self) -> int:
        """Bytes of one device that every other device holds too."""
        return sum(row.device_bytes for row in self.rows if row.replicated)

    def as_dicts(self) -> list[dict[str, Any]]:
        """Returns one dict per array, for JSON."""
        return [row.as_dict() for row in self.rows]


def format_report(report: CoverageReport, long: bool = False) -> str:
    """Returns a report as text: one line per kind of array, or per array if `long`.

    Arrays of one kind differ only in numbers of their path (`layers_0`, `layers_1`).
    """
    groups: dict[Any, list[Placement]] = {}
    for row in report.rows:
        name = row.path if long else re.sub(r"_\d+(?=/|$)", "_*", row.path)
        groups.setdefault((name, row.shape, row.dtype, row.spec, row.reasons), []).append(row)
    lines = [("array", "count", "shape", "dtype", "logical axes", "spec", "bytes/device", "")]
    for (name, shape, dtype, spec, reasons), rows in groups.items():
        lines.append(
            (
                name,
                str(len(rows)),
                "x".join(map(str, shape)) or "scalar",
                dtype,
                ",".join(axis or "-" for axis in rows[0].logical_axes),
                _spec_text(spec),
                f"{sum(row.device_bytes for row in rows):,}",
                "; ".join(reasons),
            )
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]) - 1)]
    text = [
        "  ".join([*(cell.ljust(w) for cell, w in zip(line, widths, strict=False)), line[-1]])
        for line in lines
    ]
    mesh = " x ".join(f"{axis} {size}" for axis, size in report.mesh_shape.items())
    text.append(
        f"{len(report.rows)} arrays on mesh {mesh}: {report.total_bytes:,} bytes in all, "
        f"{report.device_bytes:,} per device, of which {report.replicated_bytes:,} replicated"
    )
    return "\n".join(line.rstrip() for line in text)


def _spec_text(spec: PartitionSpec) -> str:
    """`model` per split dimension, `*` per whole one."""
    if all(axes is None for axes in spec):
        return "replicated"
    return ",".join("+".join(_axes_tuple(axes)) or "*" for axes in spec)
