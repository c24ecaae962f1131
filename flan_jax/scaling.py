"""`flan-jax scaling`: several runs, compared by their last evaluation in a plot and a table.

The runs are one per number of training tasks (a curve), or any that are named (bars). Each is a
process of its own (`flan-jax train` with the same gin files), so a run that is done is not trained
again when the command is given once more, and one that was cut off resumes.
"""

import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import gin

from flan_jax import gin_trust, report, telemetry
from flan_jax.errors import ConfigError, FlanJaxError


@gin.configurable(module="scaling_script")
def scaling(
    model_dir: str = gin.REQUIRED,
    task_counts: Sequence[int] = (),
    count_macro: str = "NUM_TRAINING_TASKS",
    curves: Mapping[str, str] = gin.REQUIRED,
    metric: str = "exact_match",
    train_arguments: Sequence[str] = (),
    runs: Mapping[str, Sequence[str]] | None = None,
) -> list[dict[str, Any]]:
    """Trains once per task count, or once per named run, and plots the last evaluation.

    Args:
      model_dir: gets a folder per run, `tasks_<n>` or the run's name, `scaling.json` (the records
        returned) and `scaling.svg`: lines over the task counts, or bars per evaluation task.
      task_counts: numbers of training tasks, each at least 1; or give `runs`.
      count_macro: the gin macro that a run takes its number from.
      curves: evaluation task -> name of its curve or its group of bars.
      metric: the metric plotted, in percent.
      train_arguments: gin flags of every run, as on the command line.
      runs: name -> gin flags of this run, behind those of every run. Names are of letters, digits,
        '_', '-' and '.'.

    Returns:
      One record per run: `num_tasks` or `run`, and a value per curve.

    Raises:
      ConfigError: neither or both of `task_counts` and `runs`; a count below 1; a name that cannot
        be a folder's.
      FlanJaxError: a run failed; those done before it are kept.
    """
    named = _named_runs(task_counts, count_macro, runs or {})
    folder = pathlib.Path(model_dir)
    records = []
    for name, (label, flags) in named.items():
        run_dir = folder / name
        scores = last_scores(run_dir, curves, metric)
        if scores is None:
            _train(run_dir, (*train_arguments, *flags))
            scores = last_scores(run_dir, curves, metric)
        if scores is None:
            raise FlanJaxError(
                f"{run_dir} has no {metric} of {', '.join(curves)} after training. "
                "Does the recipe's infer_eval mixture hold these tasks?"
            )
        records.append({**label, **scores})
        print(format_table(records))
    (folder / "scaling.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    title = f"{metric.replace('_', ' ')}, %"
    names = list(curves.values())
    if runs:
        bars = {r["run"].replace("_", " "): [r[name] for name in names] for r in records}
        plot = report.bar_plot(title, [_two_lines(name) for name in names], bars)
    else:
        counts = [record["num_tasks"] for record in records]
        series = {name: (counts, [r[name] for r in records]) for name in names}
        plot = report.line_plot(title, "training tasks", series, marker=True)
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
    if len(scores) != len(curves):
        return None
    return {name: scores[name] for name in curves.values()}


def format_table(records: Sequence[Mapping[str, Any]]) -> str:
    """One row per run, one column per curve."""
    first, *names = records[0]
    title = {"num_tasks": "training tasks"}.get(first, first)
    widths = {name: max(20, len(name) + 2) for name in names}
    lines = [f"{title:>15}" + "".join(f"{name:>{width}}" for name, width in widths.items())]
    for record in records:
        values = "".join(f"{record[name]:{width}.1f}" for name, width in widths.items())
        lines.append(f"{record[first]:>15}{values}")
    return "\n".join(lines)


def _named_runs(
    task_counts: Sequence[int], macro: str, runs: Mapping[str, Sequence[str]]
) -> dict[str, tuple[dict[str, Any], tuple[str, ...]]]:
    """Folder of each run -> (what its record starts with, its gin flags)."""
    where = "scaling_script.scaling"
    if bool(task_counts) == bool(runs):
        raise ConfigError(
            f"{where} needs either task_counts, such as (4, 16, 64), or runs, such as "
            "{'long': ('--gin.TRAIN_STEPS=2000',)}; "
            f"found task_counts {task_counts!r} and runs {dict(runs)!r}."
        )
    if any(not isinstance(count, int) or count < 1 for count in task_counts):
        raise ConfigError(
            f"{where}.task_counts is {task_counts!r}; expected numbers of tasks, "
            "such as (4, 16, 64)."
        )
    for name, flags in runs.items():
        if not re.fullmatch(r"\w[\w.-]*", name) or isinstance(flags, str):
            raise ConfigError(
                f"{where}.runs[{name!r}] is {flags!r}; expected a name of letters, digits, '_', "
                "'-' and '.', and a tuple of gin flags."
            )
    if runs:
        return {name: ({"run": name}, tuple(flags)) for name, flags in runs.items()}
    return {
        f"tasks_{count}": ({"num_tasks": count}, (f"--gin.{macro}={count}",))
        for count in task_counts
    }


def _two_lines(name: str) -> str:
    """Breaks a name at its comma, so that names fit side by side."""
    return name.replace(", ", ",\n", 1)


def _train(run_dir: pathlib.Path, arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "flan_jax.cli", "train", *arguments]
    command += [f"--model_dir={run_dir}", *gin_trust.child_flags(arguments)]
    print(f"training {run_dir.name} in {run_dir}", flush=True)
    environment = gin_trust.child_environment()
    code = subprocess.run(command, check=False, env=environment).returncode
    if code:
        raise FlanJaxError(
            f"The run {run_dir.name} ended with exit code {code}; what it printed is above. "
            "Give the same command again to go on from here."
        )
