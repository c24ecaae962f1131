"""Which stream a run trains on: its tasks' sources, or data prepared from them."""

from typing import Any

from flan_jax.data.config import DatasetConfig
from flan_jax.data.layout import RowLayout
from flan_jax.data.live import TrainIterator
from flan_jax.data.order.iterator import PreparedIterator, local_rows


def open_stream(
    cfg: DatasetConfig, layout: RowLayout, partitioner: Any
) -> TrainIterator | PreparedIterator:
    """Returns the training stream of a configuration.

    Args:
      cfg: what to train on; with `prepared_dir` prepared examples are read.
      layout: the model's `row_layout`.
      partitioner: `mesh.PjitPartitioner`, which knows the rows of this host's devices.

    Raises:
      NotFoundError, ConfigError, DataError: as the stream's class.
    """
    if cfg.prepared_dir is None:
        return TrainIterator(cfg, layout=layout)
    return PreparedIterator(cfg, layout=layout, rows=local_rows(partitioner, cfg.batch_size))
