"""Whether all processes of a run have the same."""

import hashlib

import jax
import numpy as np
from jax.experimental import multihost_utils


def differing_processes(text: str) -> list[int]:
    """Returns the processes whose text is not that of process 0; none where a process is alone.

    All processes must call it, and all get the same answer.
    """
    if jax.process_count() == 1:
        return []
    here = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
    digest_PxB = np.asarray(multihost_utils.process_allgather(here))
    return np.flatnonzero((digest_PxB != digest_PxB[0]).any(axis=1)).tolist()
