"""The last step of preparing: one index of all shards, and the manifest."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from etils import epath

from flan_jax.data.prepared import layout, manifest, shards
from flan_jax.data.prepared.manifest import Manifest, TaskEntry


def write_manifest(folder: Any, tasks: Sequence[TaskEntry], **fields: Any) -> Manifest:
    """Writes the index of all tasks and the manifest, and returns it.

    Args:
      folder: of the prepared data set, with the tasks' shards.
      tasks: in any order.
      **fields: the other fields of `Manifest`, but for the index.
    """
    tasks = sorted(tasks, key=lambda task: task.name)
    count = len(layout.index_rows(tuple(fields["features"])))
    parts = [np.zeros((count, 0), np.int32)]
    for task in tasks:
        for shard in task.shards:
            with (epath.Path(folder) / shard.index.path).open("rb") as file:
                parts.append(np.load(file, allow_pickle=False))
    index = shards.write_index(folder, layout.INDEX, np.concatenate(parts, axis=1))
    made = Manifest(tasks=tuple(tasks), index=index, **fields)
    layout.write_whole(epath.Path(folder) / layout.MANIFEST, manifest.to_bytes(made))
    return made
