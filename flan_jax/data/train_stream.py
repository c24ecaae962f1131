"""Which stream a run trains on: its tasks' sources, or data prepared from them."""

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

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
    _check_processes_agree(stream.digest, cfg.prepared_dir)
    return stream


def _check_processes_agree(digest: bytes, folder: str) -> None:
    """Compares the digests of all processes: each reads the rows of its own devices alone.

    Where hosts have copies of the data, one of them may be old.
    """
    if jax.process_count() == 1:
        return
    here = np.frombuffer(digest, np.uint8)
    digest_PxB = np.asarray(multihost_utils.process_allgather(here))
    differing = np.flatnonzero((digest_PxB != digest_PxB[0]).any(axis=1)).tolist()
    if differing:
        named = ", ".join(map(str, differing))
        raise DataError(
            f"The processes {named} have other rows in {folder} than process 0, so that some rows "
            "of a step would come twice and others never. Compare its manifest.json, the tasks' "
            "rates and the versions of flan-jax and NumPy on their hosts; give them the same copy."
        )
