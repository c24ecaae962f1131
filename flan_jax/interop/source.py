"""A source of named arrays: what every kind of checkpoint file looks like to the rest.

Names are '/'-joined. Nothing is read until it is asked for, and then only the part asked for where
the format allows it.
"""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

# One slice with start and stop for each dimension.
Index = tuple[slice, ...]


@dataclasses.dataclass(frozen=True)
class Stored:
    """Shape and dtype of an array in a checkpoint.

    Attributes:
      shape: as stored.
      dtype: a numpy dtype, bfloat16 included; a string where numpy has no such dtype or it is no
        dtype of weights (such as 'F8_E4M3').
    """

    shape: tuple[int, ...]
    dtype: Any

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


class Source(abc.ABC):
    """Arrays by name.

    Attributes:
      where: the path, for messages.
      arrays: name -> shape and dtype.
    """

    where: str
    arrays: Mapping[str, Stored]
    # The array read last as a whole, for those who take it apart layer by layer.
    _kept: tuple[str, np.ndarray] | None = None

    @abc.abstractmethod
    def read_into(self, name: str, index: Index, out: np.ndarray) -> None:
        """Reads a part of an array into `out`, casting to its dtype.

        Args:
          name: a key of `arrays`.
          index: which part.
          out: of the part's shape; may be any view.

        Raises:
          CheckpointError: the file is cut or unreadable.
        """

    def read(self, name: str) -> np.ndarray:
        """Returns a whole array, as stored."""
        stored = self.arrays[name]
        out = np.empty(stored.shape, stored.dtype)
        self.read_into(name, whole(stored.shape), out)
        return out

    def read_layer(self, name: str, axis: int, layer: int, index: Index, out: np.ndarray) -> None:
        """Reads a part of one layer of a stacked array into `out`.

        The layers of a stack lie together in the file, so the stack is read as a whole and kept
        until another one is asked for. Ask for the layers of a stack one after the other.

        Args:
          name: a key of `arrays`.
          axis: the axis that counts layers.
          layer: which one.
          index: which part of the layer.
          out: of the part's shape.
        """
        if self._kept is None or self._kept[0] != name:
            self._kept = None  # Let go of the last one before the next one is made.
            self._kept = (name, self.read(name))
        out[...] = np.moveaxis(self._kept[1], axis, 0)[layer][index]


class MemorySource(Source):
    """Arrays that are in memory already."""

    def __init__(self, arrays: Mapping[str, np.ndarray], where: str = "the state dict"):
        """Keeps the arrays.

        Args:
          arrays: by name.
          where: what messages call them.
        """
        self.where = where
        self._arrays = {name: np.asarray(array) for name, array in arrays.items()}
        self.arrays = {name: Stored(x.shape, x.dtype) for name, x in self._arrays.items()}

    def read_into(self, name: str, index: Index, out: np.ndarray) -> None:
        """See `Source`."""
        out[...] = self._arrays[name][index]


def whole(shape: tuple[int, ...]) -> Index:
    """Returns the index of a whole array."""
    return tuple(slice(0, size) for size in shape)


def plain(index: Any, shape: tuple[int, ...]) -> Index:
    """Returns slices with start and stop for slices as jax gives them, which may have neither."""
    return tuple(slice(*part.indices(size)[:2]) for part, size in zip(index, shape, strict=True))


def extent(index: Index) -> tuple[int, ...]:
    """Returns the shape of the part an index takes."""
    return tuple(part.stop - part.start for part in index)
