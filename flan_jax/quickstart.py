"""`flan-jax quickstart`: trains MiniFLAN from nothing, evaluates it before and after, reports.

The last line printed is one JSON object, for scripts.
"""

import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

# Evaluation task of the recipe -> its name in the summary.
SUMMARY_TASKS = {
    "miniflan_seen": "seen",
    "miniflan_unseen": "unseen",
    "miniflan_held_out_phrasing": "held_out_phrasing",
}
METRIC = "exact_match"


def quickstart(
    model_dir: str | None = None,
    gin_bindings: Sequence[str] = (),
    gin_file: str = "runs/miniflan.gin",
) -> dict[str, Any]:
    """Runs the recipe and returns the summary that it also prints as the last line.

    Args:
      model_dir: where to write; by default a new folder under ./runs named after the time.
      gin_bindings: bindings that override the recipe's, such as `TRAIN_STEPS=10`.
      gin_file: the recipe.
    """
    started = time.perf_counter()
    folder = model_dir or str(pathlib.Path("runs", time.strftime("quickstart-%Y%m%d-%H%M%S")))
    folder = str(pathlib.Path(folder).absolute())

    from flan_jax import gin_utils, report, train

    gin_utils.parse([gin_file], [f"MODEL_DIR={folder!r}", *gin_bindings])
    result = train.train()
    page = report.write_report(folder)
    summary: dict[str, Any] = {
        name: {
            "before": _percent(result.first_evals, task),
            "after": _percent(result.evals, task),
        }
        for task, name in SUMMARY_TASKS.items()
    }
    print(_table(summary))
    summary |= {
        "train_seconds": round(result.train_s, 1),
        "total_seconds": round(time.perf_counter() - started, 1),
        "report": str(page),
    }
    print(f"Look at {page}")
    print(json.dumps(summary), flush=True)
    return summary


def _percent(evals: Mapping[str, Mapping[str, Any]], task: str) -> float:
    return round(float(evals[task][METRIC]), 1)


def _table(summary: Mapping[str, Mapping[str, float]]) -> str:
    lines = [f"{'exact match, %':24}{'before':>8}{'after':>8}"]
    for name, values in summary.items():
        label = name.replace("_", " ")
        lines.append(f"{label:24}{values['before']:8.1f}{values['after']:8.1f}")
    return "\n".join(lines)
