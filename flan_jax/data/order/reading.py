"""Rows of a step as a batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flan_jax.data.config import LOSS_WEIGHTS, DatasetConfig
from flan_jax.data.layout import RowLayout
from flan_jax.data.order.plan import Plan
from flan_jax.data.packing import Example, Row, assemble
from flan_jax.data.prepared import PreparedTask, open_prepared
from flan_jax.errors import DataError

_NONE = np.zeros(0, np.int32)


class BatchReader:
    """step -> host batch, whoever asks: it can be pickled and used by several threads."""

    def __init__(
        self,
        plan: Plan,
        tasks: Sequence[PreparedTask],
        cfg: DatasetConfig,
        layout: RowLayout,
        rows: tuple[int, int] | None = None,
    ):
        """Keeps what to read.

        Args:
          plan: the rows of each step.
          tasks: in the order of the plan's.
          cfg: lengths and batch size.
          layout: the model's.
          rows: first row and the one behind the last that are read; the others of a batch are left
            empty. None reads all.
        """
        self._plan, self._tasks, self._cfg, self._layout = plan, tasks, cfg, layout
        self._first, self._stop = rows or (0, cfg.batch_size)

    def __getstate__(self) -> dict[str, Any]:
        # Each process opens files of its own.
        return {**self.__dict__, "_tasks": [task.entry for task in self._tasks]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        folder = self._cfg.prepared_dir
        by_name = {task.name: task for task in open_prepared(folder).tasks}
        self._tasks = []
        for entry in state["_tasks"]:
            task = by_name.get(entry.name)
            if task is None or task.entry.shards != entry.shards:
                raise DataError(
                    f"The prepared data in {folder} are no longer those that the run began with: "
                    f"the task {entry.name!r} is another one. Prepare into another folder while a "
                    "run reads this one."
                )
            self._tasks.append(task)

    def __call__(self, step: int) -> dict[str, np.ndarray]:
        """Returns the batch of a step: T5X's features, rows x length, int32.

        Raises:
          DataError: a shard cannot be read, or the stream has ended.
        """
        cfg = self._cfg
        self._plan.prepare_next(step)
        return assemble(
            self.rows(step),
            cfg.batch_size,
            cfg.input_length,
            cfg.target_length,
            cfg.pack,
            self._layout,
        )

    def rows(self, step: int) -> list[Row]:
        """Returns the examples of a step's rows; those not to be read are empty."""
        found = self._plan.step_rows(step, self._first, self._stop)
        examples: list[Example | None] = [None] * len(found.task_S)
        flags_S = self._plan.examples.flags_X[found.number_S].tolist()
        order_S = np.argsort(found.task_S, kind="stable")
        bounds = np.flatnonzero(np.diff(found.task_S[order_S])) + 1
        for slots in np.split(order_S, bounds):
            if not len(slots):
                continue
            task = int(found.task_S[slots[0]])
            read = self._tasks[task].read(found.example_S[slots].tolist())
            for slot, features in zip(slots.tolist(), read, strict=True):
                examples[slot] = Example(
                    task,
                    features.get("inputs", _NONE),
                    features["targets"],
                    flags_S[slot],
                    features.get(LOSS_WEIGHTS),
                )
        rows: list[Row] = [[] for _ in range(self._stop)]
        for row, example in zip(found.row_S.tolist(), examples, strict=True):
            assert example is not None
            rows[row].append(example)
        return rows
