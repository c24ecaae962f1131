"""Counts over the batches of a training stream, and what is told of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flan_jax.data.config import DatasetConfig
from flan_jax.data.layout import RowLayout
from flan_jax.data.mixture import ResolvedMixture
from flan_jax.data.packing import CUT_EOS, TRUNCATED_INPUTS, TRUNCATED_TARGETS

COUNTS = (
    "examples",
    "input_tokens",
    "target_tokens",
    "truncated_inputs",
    "truncated_targets",
    "targets_without_eos",
)


def counted(
    task_E: np.ndarray, inputs_E: np.ndarray, targets_E: np.ndarray, flags_E: np.ndarray, tasks: int
) -> np.ndarray:
    """Returns `COUNTS` of E examples by task, int64 KxC.

    Args:
      task_E: task ids below `tasks`.
      inputs_E: tokens.
      targets_E: tokens.
      flags_E: of `packing.Example`.
      tasks: K.
    """
    counts_ExC = np.stack(
        [
            np.ones_like(task_E),
            inputs_E,
            targets_E,
            (flags_E & TRUNCATED_INPUTS) > 0,
            (flags_E & TRUNCATED_TARGETS) > 0,
            (flags_E & CUT_EOS) > 0,
        ],
        axis=1,
    )
    counts_KxC = np.zeros((tasks, len(COUNTS)), np.int64)
    np.add.at(counts_KxC, task_E, counts_ExC)
    return counts_KxC


def stats(
    counts_KxC: np.ndarray,
    batches: int,
    cfg: DatasetConfig,
    mixture: ResolvedMixture,
    groups: Sequence[str],
    layout: RowLayout,
) -> dict[str, Any]:
    """Returns counts over batches as JSON-able values.

    `encoder_fill` and `decoder_fill` are shares of the row cells that hold a token, in [0, 1];
    a task's are the cells its tokens take, so that they add up to the whole. `fill` is that of
    the fuller side, which is the one that ends a row. A decoder alone has no `encoder_fill`,
    and inputs count as its tokens.

    Args:
      counts_KxC: `COUNTS` by task, over all batches.
      batches: how many.
      cfg: the stream's.
      mixture: its tasks and rates.
      groups: of each task, the collection it belongs to; '' for none.
      layout: of the rows.
    """
    rows = batches * cfg.batch_size
    tasks = {}
    for share, counts, group in zip(mixture.shares, counts_KxC.tolist(), groups, strict=True):
        entry: dict[str, Any] = dict(zip(COUNTS, counts, strict=True))
        entry["rate"], entry["share"] = share.rate, share.share
        if group:
            entry["group"] = group
        tasks[share.name] = entry | _fill(entry, rows, cfg, layout)
    total: dict[str, Any] = dict(zip(COUNTS, counts_KxC.sum(axis=0).tolist(), strict=True))
    fill = _fill(total, rows, cfg, layout)
    return {
        "mixture": mixture.name,
        "split": cfg.split,
        "packed": bool(cfg.pack),
        "batches": batches,
        "rows": rows,
        **total,
        **fill,
        "fill": max(fill.values()),
        "examples_per_row": total["examples"] / max(1, rows),
        "tasks": tasks,
    }


def _fill(
    counts: dict[str, Any], rows: int, cfg: DatasetConfig, layout: RowLayout
) -> dict[str, float]:
    """Shares of the cells of so many rows that the counted tokens take."""
    inputs, targets = counts["input_tokens"], counts["target_tokens"]
    input_cells, target_cells = rows * cfg.input_length, rows * cfg.target_length
    if layout.decoder_only:
        return {"decoder_fill": (inputs + targets) / max(1, input_cells + target_cells)}
    return {
        "encoder_fill": inputs / max(1, input_cells),
        "decoder_fill": targets / max(1, target_cells),
    }
