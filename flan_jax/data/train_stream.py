"""Which stream a run trains on: its tasks' sources, or data prepared from them."""

from typing import Any

from flan_jax import agreement
from flan_jax.data.config import DatasetConfig
from flan_jax.data.layout import RowLayout
from flan_jax.data.live import TrainIterator
from flan_jax.data.order.iterator import PreparedIterator, local_rows
from flan_jax.errors import DataError


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
      DataError: the processes of the run have different prepared data.
    """
    if cfg.prepared_dir is None:
        return TrainIterator(cfg, layout=layout)
    stream = PreparedIterator(cfg, layout=layout, rows=local_rows(partitioner, cfg.batch_size))
    # Each process reads the rows of its own devices alone, maybe from a copy that is old.
    differing = agreement.differing_processes(stream.fingerprint)
    if differing:
        named = ", ".join(map(str, differing))
        raise DataError(
            f"The processes {named} have other rows in {cfg.prepared_dir} than process 0, so that "
            "some rows of a step would come twice and others never. Compare its manifest.json, the "
            "tasks' rates and the versions of flan-jax and NumPy on their hosts; give them the "
            "same copy."
        )
    return stream
