"""What is in a batch, for the one that ended a run: the tasks of each row and a hash to find it by.

The hash is of the tokens in all features of a row, so it is the same on any number of hosts, and a
row can be looked for in the data or met again in another run.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

_TASKS = "decoder_task_ids"
_SEGMENTS = "decoder_segment_ids"
_WEIGHTS = "decoder_loss_weights"


def rows_here(batch: Mapping[str, Any]) -> dict[int, dict[str, np.ndarray]]:
    """Returns row number -> feature -> values (length T), of the rows this process holds.

    Args:
      batch: arrays BxT, of numpy or of JAX on any devices.
    """
    rows: dict[int, dict[str, np.ndarray]] = {}
    for name, array in batch.items():
        if hasattr(array, "addressable_shards"):
            blocks = [
                (shard.index[0].start or 0, np.asarray(shard.data))
                for shard in array.addressable_shards
            ]
        else:
            blocks = [(0, np.asarray(array))]
        for first, values_bxT in blocks:
            for offset, values_T in enumerate(values_bxT):
                rows.setdefault(first + offset, {})[name] = values_T
    return dict(sorted(rows.items()))


def row_hash(row: Mapping[str, np.ndarray]) -> str:
    """Returns the first 16 hexadecimal digits of the SHA-256 of a row's features."""
    digest = hashlib.sha256()
    for name in sorted(row):
        digest.update(name.encode() + b"\0" + np.ascontiguousarray(row[name], "<i4").tobytes())
    return digest.hexdigest()[:16]


def describe(
    batch: Mapping[str, Any],
    task_names: Sequence[str],
    only: Collection[int] | None = None,
    most: int = 64,
) -> dict[str, Any]:
    """Returns what a batch is made of, as a JSON value.

    Args:
      batch: of a step; its `decoder_task_ids` are indices into `task_names`.
      task_names: of the run.
      only: numbers of the rows to tell of; all by default.
      most: rows listed at most.

    Returns:
      `tasks`: name -> number of its examples; `rows`: for each row its number in the batch, its
      `sha256` and its examples, each with the task and how many target tokens count;
      `rows_not_listed` where there are more. Rows of other hosts are theirs to tell.
    """
    rows = rows_here(batch)
    wanted = [number for number in rows if only is None or number in only]
    examples = {number: _examples(rows[number], task_names) for number in wanted}
    counts: dict[str, int] = {}
    for found in examples.values():
        for example in found:
            counts[example["task"]] = counts.get(example["task"], 0) + 1
    told: dict[str, Any] = {
        "tasks": dict(sorted(counts.items())),
        "rows": [
            {"row": number, "sha256": row_hash(rows[number]), "examples": examples[number]}
            for number in wanted[:most]
        ],
    }
    if len(wanted) > most:
        told["rows_not_listed"] = len(wanted) - most
    return told


def _examples(row: Mapping[str, np.ndarray], task_names: Sequence[str]) -> list[dict[str, Any]]:
    """The examples of a row in order; of an unpacked row the only one."""
    if _TASKS not in row:
        return []
    weights_T = np.asarray(row.get(_WEIGHTS, np.ones_like(row[_TASKS]))) != 0
    segments_T = np.asarray(row.get(_SEGMENTS, weights_T))
    found = []
    for segment in dict.fromkeys(segments_T[segments_T != 0].tolist()):
        inside_T = segments_T == segment
        task = int(row[_TASKS][np.argmax(inside_T)])
        name = task_names[task] if task < len(task_names) else f"task {task}"
        found.append({"task": name, "target_tokens": int((weights_T & inside_T).sum())})
    return found


def format_rows(told: Mapping[str, Any], most: int = 4) -> str:
    """Writes the rows of `describe` as one line."""
    parts = []
    for row in told["rows"][:most]:
        tasks = ", ".join(dict.fromkeys(example["task"] for example in row["examples"]))
        parts.append(f"row {row['row']} ({row['sha256']}: {tasks or 'no task'})")
    hidden = max(0, len(told["rows"]) - most) + told.get("rows_not_listed", 0)
    return "; ".join(parts) + (f"; {hidden} more" if hidden > 0 else "")
