"""Preprocessors that work on many rows at once.

A TensorFlow operation costs microseconds to start, however little it does, so a pipeline that maps
one row after the other spends its time on starting them. A `RowStep` is written for a batch of rows
instead. seqio calls it as any other preprocessor, rows in and rows out; our own stream, when all of
a task's last steps are RowSteps, hands batches from one to the next (`flan_jax.data.batched`).
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

Batch = Mapping[str, Any]

# Rows of a batch where seqio gives rows one by one.
_ROWS = 64


class RowStep:
    """A seqio preprocessor: a function of a batch of rows.

    Args:
      on_batch: a dict of tensors and ragged tensors with B rows -> the same of the rows that come
        out, B or fewer. It may take `output_features` and `sequence_length` as keywords, as seqio's
        preprocessors do. What it does to a row may not depend on the other rows.
      reads_texts: whether it looks at the texts of the task's output features alone. As the last
        step, it is then traced once for all tasks of the same features.
    """

    def __init__(self, on_batch: Callable[..., Batch], *, reads_texts: bool = False):
        self.on_batch = on_batch
        self.reads_texts = reads_texts
        self._accepted = set(inspect.signature(on_batch).parameters)

    def bind(self, output_features: Any, sequence_length: Any) -> Callable[[Batch], Batch]:
        """Returns the function of a batch alone.

        Args:
          output_features: the task's.
          sequence_length: most tokens by feature, or None.
        """
        offered = {"output_features": output_features, "sequence_length": sequence_length}
        given = {name: value for name, value in offered.items() if name in self._accepted}
        return lambda batch: self.on_batch(batch, **given)

    def __call__(self, dataset, output_features=None, sequence_length=None):
        """What seqio calls: a dataset of rows in, one of rows out, in the same order."""
        import tensorflow as tf

        function = self.bind(output_features, sequence_length)
        batches = dataset.ragged_batch(_ROWS).map(function, num_parallel_calls=tf.data.AUTOTUNE)
        return batches.unbatch()
