"""Who talks to whom in a collective, and along which axis of the mesh."""

import functools
import re
from collections.abc import Mapping

import numpy as np

from flan_jax.plan.hlo import numbers

Groups = tuple[tuple[int, ...], ...]


@functools.lru_cache(maxsize=256)
def _iota_groups(shape: str, source: str, permutation: str | None) -> Groups:
    """`[8,8]<=[4,16]T(1,0)`: numbers 0.. of shape [4,16], transposed, as 8 groups of 8."""
    ids = np.arange(np.prod(numbers(source))).reshape(numbers(source))
    if permutation is not None:
        ids = ids.transpose(numbers(permutation))
    return tuple(map(tuple, ids.reshape(numbers(shape)).tolist()))


@functools.lru_cache(maxsize=256)
def _mesh_groups(mesh: str, axes: str, order: str | None) -> Groups:
    """`mesh['a'=8,'b'=8] {'a'}`: groups along the axes named, one for each place on the others."""
    named = [(name, int(size)) for name, size in re.findall(r"'([^']+)'=(\d+)", mesh)]
    sizes = [size for _, size in named]
    ids = _device_ids(order, int(np.prod(sizes))).reshape(sizes)
    picked, splits = [], []
    for text in re.findall(r"'[^']+'(?::\(\d+\)\d+)?", axes):
        name = text.split("'")[1]
        part = re.search(r":\((\d+)\)(\d+)", text)
        index = [n for n, _ in named].index(name)
        picked.append(index)
        splits.append((index, int(part.group(1)), int(part.group(2))) if part else None)
    if any(splits):
        return _split_axis_groups(ids, picked, splits)
    rest = [i for i in range(len(sizes)) if i not in picked]
    width = int(np.prod([sizes[i] for i in picked]))
    return tuple(map(tuple, ids.transpose([*rest, *picked]).reshape(-1, width).tolist()))


def _device_ids(order: str | None, count: int) -> np.ndarray:
    """Devices in the order of such a mesh: `[2,4]T(1,0)`, or listed one by one."""
    if order is None:
        return np.arange(count)
    iota = re.fullmatch(r"\[([\d,]+)\](?:T\(([\d,]+)\))?", order)
    if iota is None or np.prod(numbers(iota.group(1))) != count:
        return np.array(numbers(order))
    ids = np.arange(count).reshape(numbers(iota.group(1)))
    return ids.transpose(numbers(iota.group(2))) if iota.group(2) else ids


def _split_axis_groups(ids: np.ndarray, picked: list[int], splits: list) -> Groups:
    """`'a':(2)4` is the part of axis a of size 4 that stands behind a part of size 2."""
    shape: list[int] = []
    chosen: list[int] = []
    for axis, size in enumerate(ids.shape):
        parts = [split for split in splits if split is not None and split[0] == axis]
        if not parts:
            if axis in picked:
                chosen.append(len(shape))
            shape.append(size)
            continue
        _, before, width = parts[0]
        chosen.append(len(shape) + 1)
        shape += [before, width, size // (before * width)]
    cut = ids.reshape(shape)
    rest = [i for i in range(len(shape)) if i not in chosen]
    width = int(np.prod([shape[i] for i in chosen]))
    return tuple(map(tuple, cut.transpose([*rest, *chosen]).reshape(-1, width).tolist()))


def replica_groups(attributes: str) -> Groups:
    """The groups of a collective, in any of the three notations of XLA; () if there are none."""
    iota = re.search(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", attributes)
    if iota:
        return _iota_groups(*iota.groups())
    mesh = re.search(
        r"replica_groups=mesh\[([^\]]*)\](?:,\s*device_ids=\(((?:[^()]|\([^()]*\))*)\))?\s*\{([^}]*)\}",
        attributes,
    )
    if mesh:
        shape, order, axes = mesh.groups()
        return _mesh_groups(shape, axes, order)
    listed = re.search(r"replica_groups=\{((?:\{[\d,]*\},?)*)\}", attributes)
    if listed:
        return tuple(tuple(numbers(g)) for g in re.findall(r"\{([\d,]+)\}", listed.group(1)))
    return ()


def source_target_pairs(attributes: str) -> Groups:
    """The pairs (from, to) of a collective-permute."""
    found = re.search(r"source_target_pairs=\{((?:\{\d+,\d+\},?)*)\}", attributes)
    if not found:
        return ()
    return tuple((int(a), int(b)) for a, b in re.findall(r"\{(\d+),(\d+)\}", found.group(1)))


def mesh_axes(groups: Groups, mesh_shape: Mapping[str, int]) -> tuple[str, ...]:
    """The axes of the mesh along which the members of a group differ.

    Args:
      groups: numbers of devices in the order of the mesh.
      mesh_shape: size of each axis, outermost first.
    """
    names, sizes = list(mesh_shape), list(mesh_shape.values())
    varying: set[int] = set()
    for group in groups or (tuple(range(int(np.prod(sizes)))),):
        places = np.array(np.unravel_index(np.array(group), sizes))
        varying |= {int(i) for i in np.flatnonzero((places != places[:, :1]).any(axis=1))}
    return tuple(names[i] for i in sorted(varying))
