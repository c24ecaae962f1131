"""Carries parameters from a checkpoint of any kind onto a mesh, array by array.

Every device's part of an array is read where the format allows it, so host memory holds one array
at a time and never the model.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flan_jax.errors import ConfigError
from flan_jax.interop import families, names, stacks
from flan_jax.interop.opened import Opened
from flan_jax.interop.source import Index, extent, plain, whole
from flan_jax.interop.stacks import Params

Say = Callable[[str], None]
MEAN, INIT = "mean", "init"

# Arrays with a row or column for each token: how their names end, and that axis.
_TOKEN_AXES = {
    "token_embedder/embedding": 0,
    "logits_dense/kernel": -1,
    "logits_dense/bias": 0,
}


@dataclasses.dataclass(frozen=True)
class Partial:
    """What a checkpoint and a model may differ in. Each such array gets a line.

    Attributes:
      strict: whether the names must agree, but for `optional`.
      optional: names the checkpoint may lack; they keep their initial values.
      grow_vocabulary: what new rows of embeddings start from where the model has more tokens than
        the checkpoint: 'mean' (of all rows) or 'init' (their initial values); None refuses.
      initial: name -> initial value, of those that may keep one.
      elsewhere: name -> shape of the model's other arrays, which are read from another checkpoint:
        this one may have them.
    """

    strict: bool = True
    optional: Collection[str] = ()
    grow_vocabulary: str | None = None
    initial: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    elsewhere: stacks.Shapes = dataclasses.field(default_factory=dict)


def load(
    opened: Opened,
    wanted: Mapping[str, jax.ShapeDtypeStruct],
    config: Any,
    say: Say,
    partial: Partial | None = None,
) -> dict[str, jax.Array]:
    """Reads parameters onto their shardings.

    Args:
      opened: the checkpoint.
      wanted: name in the model's layout -> abstract array with a sharding. Values are cast.
      config: the network's configuration.
      say: receives a line for each array that is not simply read.
      partial: what may differ; None: nothing.

    Returns:
      Arrays under the names of `wanted`.

    Raises:
      CheckpointError: arrays are missing, left over, misshapen or damaged.
      ConfigError: config.json is of another network, or an initial value is needed and missing.
    """
    partial = partial or Partial()
    if opened.family is not None and config is not None:
        assert opened.config is not None
        theirs = opened.family.config_from_hf(opened.config)
        families.check_config(theirs, config, opened.source.where)
    scan_axis = getattr(config, "param_scan_axis", 1)
    shapes = {name: tuple(leaf.shape) for name, leaf in wanted.items()}
    everything = {**partial.elsewhere, **shapes}
    bound = opened.bind(stacks.unscanned(everything, scan_axis), scan_axis)
    fit = _fit(bound, shapes, scan_axis, partial)
    where = opened.source.where
    names.raise_for(where, fit.problems)
    for name in fit.kept:
        if name not in partial.initial:
            raise ConfigError(
                f"{where} lacks {name}, which may keep its initial value, and there is none."
            )
        say(f"{name} {shapes[name]}: not in {where}; keeps its initial value")
    for name in fit.left:
        say(f"{name}: left in {where}; the model has no place for it")
    params = Params(bound, {n: s for n, s in shapes.items() if n not in fit.kept}, scan_axis)
    found = {
        name: jax.device_put(partial.initial[name], wanted[name].sharding) for name in fit.kept
    }
    for name in params.order():
        if name in fit.grown:
            found[name] = _grown(params, name, wanted[name], fit.grown[name], partial, say)
        else:
            found[name] = _placed(wanted[name], lambda i, d, n=name: params.read(n, i, d))
    return {name: found[name] for name in wanted}


@dataclasses.dataclass(frozen=True)
class _Fit:
    """How a source and a model agree.

    Attributes:
      problems: a line for each array in the way.
      kept: arrays that keep their initial values.
      left: their arrays that are not read.
      grown: array -> size of its token axis in the source.
    """

    problems: list[str]
    kept: list[str]
    left: list[str]
    grown: dict[str, int]


def _fit(bound: names.Bound, shapes: stacks.Shapes, scan_axis: int, partial: Partial) -> _Fit:
    problems, kept, grown = [], [], {}
    for name, shape in shapes.items():
        of_layers = stacks.unscanned({name: shape}, scan_axis)
        absent = not any(layer in bound for layer in of_layers)
        if absent and (not partial.strict or name in partial.optional):
            kept.append(name)
            continue
        rows = _rows_to_grow(bound, name, shape)
        if rows is not None and partial.grow_vocabulary is not None:
            grown[name] = rows
            continue
        lines = [line for _, line in names.misfits(bound, of_layers)]
        if rows is not None:
            lines = [
                f"{line} (more tokens: utils.RestoreCheckpointConfig.grow_vocabulary = 'mean' or "
                "'init' says what the new rows start from)"
                for line in lines
            ]
        problems += lines
    if partial.strict:
        problems += [f"{name}: no place in this model" for name in bound.left]
    return _Fit(problems, kept, bound.left, grown)


def _rows_to_grow(bound: names.Bound, name: str, shape: tuple[int, ...]) -> int | None:
    """The size of the token axis in the source, where it alone differs and is the smaller one."""
    axis = _token_axis(name)
    if axis is None or name not in bound:
        return None
    stored = bound.shape(name)
    if len(stored) != len(shape) or stored[axis] >= shape[axis]:
        return None
    others = [i for i in range(len(shape)) if i != axis % len(shape)]
    return stored[axis] if all(stored[i] == shape[i] for i in others) else None


def _token_axis(name: str) -> int | None:
    return next((axis for end, axis in _TOKEN_AXES.items() if name.endswith(end)), None)


def _placed(leaf: jax.ShapeDtypeStruct, read: Callable[[Index, np.dtype], np.ndarray]) -> jax.Array:
    """Makes an array on its sharding; parts that several devices hold are read once."""
    parts: dict[Any, np.ndarray] = {}

    def callback(index: Any) -> np.ndarray:
        part = plain(index, leaf.shape)
        key = tuple((each.start, each.stop) for each in part)
        if key not in parts:
            parts[key] = read(part, np.dtype(leaf.dtype))
        return parts[key]

    array = jax.make_array_from_callback(leaf.shape, leaf.sharding, callback)
    # The host's copy goes before the next one comes.
    return array.block_until_ready()


def _grown(
    params: Params,
    name: str,
    leaf: jax.ShapeDtypeStruct,
    rows: int,
    partial: Partial,
    say: Say,
) -> jax.Array:
    """Reads an array with fewer tokens than the model has, and fills the rest."""
    axis = _token_axis(name)
    assert axis is not None
    axis %= len(leaf.shape)
    stored = (*leaf.shape[:axis], rows, *leaf.shape[axis + 1 :])
    mean = _mean(params, name, stored, axis) if partial.grow_vocabulary == MEAN else None

    def read(index: Index, dtype: np.dtype) -> np.ndarray:
        out = np.zeros(extent(index), dtype)
        part = index[axis]
        last = min(part.stop, rows)
        if part.start < last:
            read_rows: list[slice] = [slice(None)] * len(index)
            read_rows[axis] = slice(0, last - part.start)
            inner = (*index[:axis], slice(part.start, last), *index[axis + 1 :])
            params.read_into(name, inner, out[tuple(read_rows)])
        if mean is not None and part.stop > rows:
            new = slice(max(part.start, rows) - part.start, None)
            here = mean[(*index[:axis], *index[axis + 1 :])]
            np.moveaxis(out, axis, 0)[new] = here
        return out

    array = _placed(leaf, read)
    added = leaf.shape[axis] - rows
    if partial.grow_vocabulary == MEAN:
        say(f"{name} {stored} -> {leaf.shape}: {added} new tokens start from the mean of all")
        return array
    if name not in partial.initial:
        raise ConfigError(
            f"{name} has {added} new tokens that start from their initial values, and there are "
            "none here. Set utils.RestoreCheckpointConfig.grow_vocabulary = 'mean'."
        )
    say(f"{name} {stored} -> {leaf.shape}: {added} new tokens keep their initial values")

    def fill(read: jax.Array, initial: jax.Array) -> jax.Array:
        token = jax.lax.broadcasted_iota(jnp.int32, read.shape, axis)
        return jnp.where(token < rows, read, initial.astype(read.dtype))

    return jax.jit(fill, out_shardings=leaf.sharding)(array, partial.initial[name])


def _mean(params: Params, name: str, stored: tuple[int, ...], axis: int) -> np.ndarray:
    """The mean over all tokens, float32, without the token axis."""
    others = stored[:axis] + stored[axis + 1 :]
    total = np.zeros(others, np.float64)
    step = max(1, (1 << 24) // max(1, int(np.prod(others, dtype=np.int64))))
    for first in range(0, stored[axis], step):
        index = list(whole(stored))
        index[axis] = slice(first, min(first + step, stored[axis]))
        total += params.read(name, tuple(index), np.dtype(np.float32)).sum(axis, dtype=np.float64)
    return (total / stored[axis]).astype(np.float32)


def check_growth(value: str | None) -> None:
    """Raises ConfigError for a value of `grow_vocabulary` that is not known."""
    if value not in (None, MEAN, INIT):
        raise ConfigError(
            f"utils.RestoreCheckpointConfig.grow_vocabulary is {value!r}. Set 'mean' (new rows "
            "start from the mean of all), 'init' (they keep their initial values) or None."
        )
