"""Our two layouts of layers over any source: one array a layer, or all layers in one array.

Unscanned, the layers are `decoder/layers_0/...`, `decoder/layers_1/...`; scanned, they are stacked
in `decoder/decoder/...` with the layer number at `scan_axis`. Here a source that has one of them is
read as the other, part by part.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from flan_jax.errors import CheckpointError
from flan_jax.interop.names import Bound, Place
from flan_jax.interop.source import Index, Source, extent, whole

Shapes = Mapping[str, tuple[int, ...]]

_STACKED = re.compile(r"(encoder|decoder)/\1/(.+)")
# Stack, number and rest of the name of an array of one layer.
LAYER = re.compile(r"(encoder|decoder)/layers_(\d+)/(.+)")
# One table for all layers in our models; some of theirs hold a table a layer.
_SHARED_IN_A_STACK = ("relpos_bias/rel_embedding",)


def layer_names(name: str, shape: Sequence[int], scan_axis: int) -> tuple[str, ...] | None:
    """Returns the unscanned names of a stacked array, layer by layer; None if it is not stacked."""
    match = _STACKED.fullmatch(name)
    if match is None:
        return None
    return tuple(f"{match[1]}/layers_{i}/{match[2]}" for i in range(shape[scan_axis]))


def unscanned(shapes: Shapes, scan_axis: int) -> dict[str, tuple[int, ...]]:
    """Returns the names and shapes of a model's arrays in the unscanned layout.

    Args:
      shapes: name -> shape, in either layout.
      scan_axis: axis of stacked arrays that counts layers.
    """
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        layers = layer_names(name, shape, scan_axis)
        if layers is None:
            found[name] = tuple(shape)
        else:
            found |= dict.fromkeys(layers, (*shape[:scan_axis], *shape[scan_axis + 1 :]))
    return found


def bind_same(source: Source, wanted: Shapes, scan_axis: int, prefix: str = "") -> Bound:
    """Finds our arrays in a source that has our names, in either layout: ours, or T5X's.

    Args:
      source: the arrays.
      wanted: our names of the unscanned layout -> shape.
      scan_axis: axis to look at first for the layers of stacked arrays; the other is tried too.
      prefix: in front of the names in the source. Arrays without it do not count.

    Raises:
      CheckpointError: a table that our layers share differs from layer to layer.
    """
    places: dict[str, Place] = {}
    used: set[str] = set()
    for name, shape in wanted.items():
        place = Place(prefix + name)
        if (match := LAYER.fullmatch(name)) and place.theirs not in source.arrays:
            stacked = f"{prefix}{match[1]}/{match[1]}/{match[3]}"
            number = int(match[2])
            if stacked in source.arrays:
                axis = _layer_axis(source.arrays[stacked].shape, shape, scan_axis)
                if number < source.arrays[stacked].shape[axis]:
                    place = Place(stacked, layer=(axis, number))
        elif place.theirs not in source.arrays:
            shared = _shared_table(source, name, shape, prefix, scan_axis)
            if shared is not None:
                place, others = shared
                used |= others
        if place.theirs in source.arrays:
            places[name] = place
            used.add(place.theirs)
    left = [n for n in source.arrays if n.startswith(prefix) and n not in used]
    bound = Bound(source, places, left, {name: prefix + name for name in wanted})
    bound.left += _layers_too_many(bound)
    return bound


def _layer_axis(stacked: tuple[int, ...], one: tuple[int, ...], scan_axis: int) -> int:
    """The axis whose removal gives the shape of one layer; `scan_axis` if none does."""
    for axis in (scan_axis, 1 - scan_axis):
        if len(stacked) > axis and (*stacked[:axis], *stacked[axis + 1 :]) == one:
            return axis
    return min(scan_axis, len(stacked) - 1)


def _layers_too_many(bound: Bound) -> list[str]:
    """Their stacked arrays of which only the first layers are used."""
    taken: dict[str, set[int]] = {}
    axes: dict[str, int] = {}
    for place in bound.places.values():
        if place.layer is not None:
            axes[place.theirs] = place.layer[0]
            taken.setdefault(place.theirs, set()).add(place.layer[1])
    return [
        f"{name} (layers from {len(numbers)} on)"
        for name, numbers in taken.items()
        if bound.source.arrays[name].shape[axes[name]] > len(numbers)
        and not name.endswith(_SHARED_IN_A_STACK)
    ]


def _shared_table(
    source: Source, name: str, shape: tuple[int, ...], prefix: str, scan_axis: int
) -> tuple[Place, set[str]] | None:
    """Finds a table that our layers share where the source has one a layer, all the same.

    Returns:
      Where the first one lies, and the names of all.
    """
    stack, _, rest = name.partition("/")
    if rest not in _SHARED_IN_A_STACK:
        return None
    stacked = f"{prefix}{stack}/{stack}/{rest}"
    single = re.compile(re.escape(f"{prefix}{stack}/") + r"layers_(\d+)/" + re.escape(rest))
    if stacked in source.arrays:
        axis = _layer_axis(source.arrays[stacked].shape, shape, scan_axis)
        tables = list(np.moveaxis(source.read(stacked), axis, 0))
        place, names = Place(stacked, layer=(axis, 0)), {stacked}
    else:
        names = {n for n in source.arrays if single.fullmatch(n)}
        if not names:
            return None
        tables = [source.read(n) for n in sorted(names)]
        place = Place(min(names))
    if any(not np.array_equal(table, tables[0]) for table in tables):
        raise CheckpointError(
            f"{source.where}: every layer of the {stack} has a table of relative positions of its "
            f"own ({len(tables)} that differ, as in umT5), and this model has one for the stack. "
            "There is no such model here."
        )
    return place, names


class Params:
    """A model's arrays, in its layout, read from a source part by part.

    Attributes:
      bound: the source under unscanned names.
      shapes: our names in the model's layout -> shape.
    """

    def __init__(self, bound: Bound, shapes: Shapes, scan_axis: int):
        """See the class.

        Args:
          bound: the source.
          shapes: of the arrays wanted.
          scan_axis: of the model.
        """
        self.bound = bound
        self.shapes = dict(shapes)
        self._scan_axis = scan_axis

    def read(self, name: str, index: Index, dtype: np.dtype) -> np.ndarray:
        """Returns a part of an array, cast.

        Args:
          name: in the model's layout.
          index: which part.
          dtype: of the result.
        """
        out = np.empty(extent(index), dtype)
        self.read_into(name, index, out)
        return out

    def read_into(self, name: str, index: Index, out: np.ndarray) -> None:
        """Reads a part of an array into `out`, casting to its dtype."""
        layers = layer_names(name, self.shapes[name], self._scan_axis)
        if layers is None:
            self.bound.read_into(name, index, out)
            return
        direct = self._same_stack(name, layers)
        if direct is not None:
            self.bound.source.read_into(direct, index, out)
            return
        axis = self._scan_axis
        of_layer = (*index[:axis], *index[axis + 1 :])
        for to, number in enumerate(range(index[axis].start, index[axis].stop)):
            self.bound.read_into(layers[number], of_layer, np.moveaxis(out, axis, 0)[to])

    def _same_stack(self, name: str, layers: Sequence[str]) -> str | None:
        """The source's name of a stack that is the one wanted, so that it is read as it is."""
        first = self.bound.places[layers[0]]
        if first.layer is None or first.layer[0] != self._scan_axis:
            return None
        same = self.bound.source.arrays[first.theirs].shape == self.shapes[name]
        return first.theirs if same else None

    def order(self) -> list[str]:
        """Returns the names so that arrays out of one stack come one after the other."""

        def key(name: str) -> tuple[str, str]:
            layers = layer_names(name, self.shapes[name], self._scan_axis)
            return self.bound.places[layers[0] if layers else name].theirs, name

        return sorted(self.shapes, key=key)

    def whole(self, name: str) -> np.ndarray:
        """Returns an array as stored in the source."""
        layers = layer_names(name, self.shapes[name], self._scan_axis)
        dtype = self.bound.dtype(layers[0] if layers else name)
        return self.read(name, whole(self.shapes[name]), dtype)
