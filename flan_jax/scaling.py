"""`flan-jax scaling`: one run per number of training tasks, and the curve that comes of them.

Each run is a process of its own (`flan-jax train` with the same gin files), so a number that is
done is not trained again when the command is given once more, and one that was cut off resumes.
"""

import json
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import gin

from flan_jax import report, telemetry
from flan_jax.errors import ConfigError, FlanJaxError


@gin.configurable(module="scaling_script")
def scaling(
    model_dir: str = gin.REQUIRED,
    task_counts: Sequence[int] = gin.REQUIRED,
    count_macro: str = "NUM_TRAINING_TASKS",
    curves: Mapping[str, str] = gin.REQUIRED,
    metric: str = "exact_match",
    train_arguments: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Trains once per task count and plots the last evaluation against it.

    Args:
      model_dir: gets a folder `tasks_<n>` per run, `scaling.json` and `scaling.svg`.
      task_counts: numbers of training tasks, each at least 1.
      count_macro: the gin macro that a run takes its number from.
      curves: evaluation task -> name of its curve.
      metric: the metric plotted, in percent.
      train_arguments: gin flags of every run, as on the command line.

    Returns:
      One record per count: `num_tasks` and a value per curve.

    Raises:
      ConfigError: `task_counts` is empty or holds something below 1.
      FlanJaxError: a run failed; the numbers done before it are kept.
    """
    if not task_counts or any(not isinstance(n, int) or n < 1 for n in task_counts):
        raise ConfigError(
            f"scaling_script.scaling.task_counts is {task_counts!r}; expected numbers of tasks, "
            "such as (4, 16, 64)."
        )
    folder = pathlib.Path(model_dir)
    records = []
    for count in task_counts:
        run_dir = folder / f"tasks_{count}"
        scores = last_scores(run_dir, curves, metric)
        if scores is None:
            _train(run_dir, count, count_macro, train_arguments)
            scores = last_scores(run_dir, curves, metric)
        if scores is None:
            raise FlanJaxError(
                f"{run_dir} has no {metric} of {', '.join(curves)} after training. "
                "Does the recipe's infer_eval mixture hold these tasks?"
            )
        records.append({"num_tasks": count, **scores})
        print(format_table(records))
    (folder / "scaling.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    counts = [record["num_tasks"] for record in records]
    series = {name: (counts, [r[name] for r in records]) for name in curves.values()}
    plot = report.line_plot(f"{metric.replace('_', ' ')}, %", "training tasks", series, marker=True)
    (folder / "scaling.svg").write_text(plot, encoding="utf-8")
    print(f"Look at {folder / 'scaling.svg'}")
    return records


def last_scores(
    run_dir: pathlib.Path, curves: Mapping[str, str], metric: str
) -> dict[str, float] | None:
    """The curves' values at the end of a finished run; None for a run that has not finished."""
    metrics = telemetry.read_metrics(run_dir)
    if not any(each["kind"] == "event" and each.get("name") == "finished" for each in metrics):
        return None
    scores = {}
    for each in metrics:
        if each["kind"] == "infer_eval" and each["task"] in curves and metric in each:
            scores[curves[each["task"]]] = each[metric]
    return scores if len(scores) == len(curves) else None


def format_table(records: Sequence[Mapping[str, Any]]) -> str:
    """One row per task count, one column per curve."""
    names = [name for name in records[0] if name != "num_tasks"]
    lines = [f"{'training tasks':>15}" + "".join(f"{name:>20}" for name in names)]
    for record in records:
        values = "".join(f"{record[name]:20.1f}" for name in names)
        lines.append(f"{record['num_tasks']:15d}{values}")
    return "\n".join(lines)


def _train(run_dir: pathlib.Path, count: int, macro: str, arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "flan_jax.cli", "train", *arguments]
    command += [f"--gin.{macro}={count}", f"--model_dir={run_dir}"]
    print(f"training on {count} tasks in {run_dir}", flush=True)
    code = subprocess.run(command, check=False).returncode
    if code:
        raise FlanJaxError(
            f"The run on {count} tasks ended with exit code {code}; what it printed is above. "
            "Give the same command again to go on from here."
        )
