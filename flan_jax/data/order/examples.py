"""All examples of a mixture's tasks by their lengths, and the n-th draw of each task."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flan_jax.data.layout import RowLayout
from flan_jax.data.order.epochs import Epochs

INPUTS, TARGETS = 0, 1


class Examples:
    """K tasks with X examples in all.

    Attributes:
      names: of the tasks.
      sizes_Xx2: int32 tokens of inputs and targets, 0 where a task has no inputs.
      first_K: where the examples of a task begin in it.
      flags_X: int8, see `packing.Example`.
      capacity: tokens of a row's two sides as `loads` has them.
      mean_Kx2: float64 mean of `loads`, in rows.
      variance_Kx2: float64, likewise.
      epochs: which example a draw is.
    """

    def __init__(
        self, tasks: Sequence[Any], lengths: tuple[int, int], layout: RowLayout, seed: int
    ):
        """Copies the lengths.

        Args:
          tasks: `PreparedTask`s, or what has their `name`, `features`, `lengths_NxF`, `flags_N` and
            `renderings_N`.
          lengths: most tokens of inputs and of targets.
          layout: whether they share a row.
          seed: of the order of each epoch.
        """
        self.names = tuple(task.name for task in tasks)
        counts_K = np.array([len(task.lengths_NxF) for task in tasks], np.int64)
        self.first_K = np.cumsum(counts_K) - counts_K
        self.sizes_Xx2 = np.zeros((int(counts_K.sum()), 2), np.int32)
        self.flags_X = np.empty(len(self.sizes_Xx2), np.int8)
        for task, first, count in zip(tasks, self.first_K, counts_K, strict=True):
            part = slice(first, first + count)
            columns = [INPUTS, TARGETS] if len(task.features) > 1 else [TARGETS]
            self.sizes_Xx2[part, columns] = task.lengths_NxF
            self.flags_X[part] = task.flags_N
        self._joint = layout.decoder_only
        # A row for both is a first side of the whole length, and a second one that nothing fills.
        self.capacity = (sum(lengths), 1) if self._joint else (max(1, lengths[0]), lengths[1])
        load_Xx2 = self.loads(np.arange(len(self.sizes_Xx2))) / np.array(self.capacity)
        self.mean_Kx2 = np.add.reduceat(load_Xx2, self.first_K) / counts_K[:, None]
        squares_Kx2 = np.add.reduceat(load_Xx2**2, self.first_K) / counts_K[:, None]
        self.variance_Kx2 = np.maximum(squares_Kx2 - self.mean_Kx2**2, 0.0)
        self.epochs = Epochs(self.names, [task.renderings_N for task in tasks], seed)

    def loads(self, number_S: np.ndarray) -> np.ndarray:
        """Returns the tokens that examples, numbered over all tasks, take of a row: int64 Sx2."""
        size_Sx2 = self.sizes_Xx2[number_S].astype(np.int64)
        if self._joint:
            size_Sx2[:, 0] += size_Sx2[:, 1]
            size_Sx2[:, 1] = 0
        return size_Sx2

    def numbers(self, task_S: np.ndarray, draw_S: np.ndarray) -> np.ndarray:
        """Returns the examples, numbered over all tasks, that are draws of tasks."""
        return self.first_K[task_S] + self.epochs.examples(task_S, draw_S)
