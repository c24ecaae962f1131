"""Which example the n-th draw of a task is: each epoch a permutation of its own.

Where rows were prepared in several renderings an epoch takes one of each row, the next epoch the
next, in turn.
"""

from collections.abc import Sequence

import numpy as np

from flan_jax.data.order.permutation import derived, key_of, permuted


class Epochs:
    """Draws of K tasks as examples.

    Attributes:
      cycle_K: int64, draws after which each example of a task was drawn once: an epoch, or as many
        as there are renderings.
      rows_K: int64, draws of an epoch; the longest one, where renderings lack rows.
    """

    def __init__(self, names: Sequence[str], renderings: Sequence[np.ndarray], seed: int):
        """Groups the examples by rendering.

        Args:
          names: of the tasks; with the seed they decide the order.
          renderings: of each task, the number of the rendering of each example, int N; every task
            has at least one example.
          seed: of all orders.
        """
        members, sizes, firsts, task_of = [], [], [], []
        filled = 0
        for task, rendering_N in enumerate(renderings):
            order_N = np.argsort(rendering_N, kind="stable").astype(np.int32)
            members.append(order_N)
            _, counts = np.unique(np.asarray(rendering_N), return_counts=True)
            for count in counts.tolist():
                sizes.append(count)
                firsts.append(filled)
                task_of.append(task)
                filled += count
        self._member_X = np.concatenate(members)
        self._size_G, self._first_G = np.array(sizes), np.array(firsts)
        groups_K = np.bincount(task_of, minlength=len(names))
        self._groups_K = groups_K
        self._group_K = np.cumsum(groups_K) - groups_K
        self.cycle_K = np.array([len(each) for each in renderings])
        self.rows_K = np.maximum.reduceat(self._size_G, self._group_K)
        # Draws of a task's cycle before the group.
        self._before_G = self._first_G - self._first_G[self._group_K][task_of]
        self._key_K = np.array([key_of(seed, name, "epochs") for name in names], np.uint64)

    def examples(self, task_N: np.ndarray, draw_N: np.ndarray) -> np.ndarray:
        """Returns numbers of examples within their tasks.

        Args:
          task_N: numbers of tasks.
          draw_N: which draw of its task each is, from 0.
        """
        cycle_N, within_N = np.divmod(draw_N, self.cycle_K[task_N])
        turn_N = np.zeros_like(within_N)
        for turn in range(1, int(self._groups_K.max())):
            has_N = turn < self._groups_K[task_N]
            group_N = self._group_K[task_N] + np.where(has_N, turn, 0)
            turn_N += has_N & (within_N >= self._before_G[group_N])
        group_N = self._group_K[task_N] + turn_N
        epoch_N = cycle_N * self._groups_K[task_N] + turn_N
        key_N = derived(self._key_K[task_N], epoch_N)
        place_N = within_N - self._before_G[group_N]
        row_N = permuted(place_N, self._size_G[group_N], key_N)
        return self._member_X[self._first_G[group_N] + row_N]
