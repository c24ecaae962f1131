"""Evaluates tasks: decoding or scoring with each task's own metrics, and teacher-forced loss.

A task that fails is reported by name, and the others go on; `raise_failures` then ends the command
with an error.
"""

import dataclasses
import functools
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath

from flan_jax import step as step_lib
from flan_jax import telemetry
from flan_jax.data import eval_data
from flan_jax.data.config import DatasetConfig, derive_seed
from flan_jax.data.mixture import ResolvedMixture, resolve
from flan_jax.decode.config import DecodeConfig
from flan_jax.errors import DataError, FlanJaxError
from flan_jax.eval import metrics as metrics_lib
from flan_jax.eval import whole_files
from flan_jax.eval.examples import TaskRows, read_rows
from flan_jax.eval.predictions import (
    Prediction,
    Predictor,
    Score,
    whole_batch,
    with_end_token,
)
from flan_jax.eval.progress import Progress, Say
from flan_jax.losses import LossSums
from flan_jax.mesh import PjitPartitioner
from flan_jax.models.base import BaseModel

Results = dict[str, dict[str, Any]]

# Small tasks are decoded together, so that their last batches are not mostly padding; what is done
# is written after each group of about so many batches.
_GROUP_BATCHES = 16
ERROR = "error"
_NONE_IS_USUAL = ("truncated_inputs", "truncated_targets", "unfinished")


def evaluate_tasks(
    model: BaseModel,
    params: Any,
    partitioner: PjitPartitioner,
    cfg: DatasetConfig,
    decode_config: DecodeConfig | None = None,
    *,
    output_dir: str | os.PathLike[str] | None = None,
    step: int = 0,
    num_examples: int | None = None,
    seed: int = 0,
    mixture: ResolvedMixture | None = None,
    say: Say = print,
) -> Results:
    """Predicts (or scores, as its metrics ask) each task's split and applies the task's metrics.

    Args:
      model: the model.
      params: its parameters, on the partitioner's mesh.
      partitioner: the mesh.
      cfg: tasks, split, lengths and batch size; packing and shuffling play no part.
      decode_config: how to decode; greedy by default. Without a `max_decode_length` it is the
        length of 'targets'; see `predictions.with_end_token`.
      output_dir: where `<task>-<step>.jsonl` go, one row an example, in the order of the split:
        `inputs`, `targets`, `prediction`, `score`, `task`, and `predictions` and `scores` where an
        input has several outputs. None writes nothing.
      step: of the parameters; part of the file names.
      num_examples: rows of each task at most, a subset fixed by `cfg.seed`; None takes all.
      seed: of the draws, with method 'sample'.
      mixture: the resolved mixture, when the caller already has it; its rows are then read once.
      say: receives progress lines.

    Returns:
      Task -> the metrics and `num_examples`, `num_available` (rows in the split),
      `truncated_inputs` and `truncated_targets` (of those available), `unfinished` (predictions
      that met the length limit), `decode_tokens_per_s` (of the tasks decoded together, without
      compiling); or, of a task that failed, `error` alone.

    Raises:
      NotFoundError, ConfigError, DataError: there are no such tasks; see `mixture.resolve`.
    """
    resolved = resolve(cfg) if mixture is None else mixture
    end = resolved.output_features["targets"].vocabulary.eos_id
    decode_config = with_end_token(decode_config or DecodeConfig(), end)
    predictor = Predictor(model, params, partitioner, cfg.batch_size, cfg.task_feature_lengths, say)
    found: Results = {}
    for group in _groups(resolved, cfg, num_examples, found, say):
        what = f"evaluating {telemetry.format_names([rows.name for rows, _ in group])}"
        try:
            outputs = _run_group(predictor, group, decode_config, seed, what)
        except Exception as error:  # Out of memory, say: the other groups may still do.
            for rows, _ in group:
                found[rows.name] = _failed(rows.name, error, say)
            continue
        for (rows, _), (predictions, scores, tokens_per_s) in zip(group, outputs, strict=True):
            try:
                values = metrics_lib.compute(
                    rows,
                    predictions,
                    scores,
                    decode_config.max_decode_length or cfg.target_length,
                )
                values |= _counts(rows, predictions, tokens_per_s, decode_config)
                if output_dir is not None and jax.process_index() == 0:
                    _write(epath.Path(output_dir), rows, step, predictions, scores)
            except Exception as error:  # A metric or postprocessor of the user's.
                values = _failed(rows.name, error, say)
            found[rows.name] = values
    return {name: found[name] for name in resolved.task_names}


def raise_failures(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises DataError naming the tasks that failed, if any did."""
    failed = {name: values[ERROR] for name, values in found.items() if ERROR in values}
    if failed:
        lines = "\n".join(f"  {name}: {why}" for name, why in failed.items())
        raise DataError(
            f"{len(failed)} of {len(found)} tasks could not be evaluated; the results of the "
            f"others stand.\n{lines}"
        )


def train_eval(
    model: BaseModel,
    params: Any,
    partitioner: PjitPartitioner,
    cfg: DatasetConfig,
    *,
    max_batches: int | None = None,
    mixture: ResolvedMixture | None = None,
    say: Say = print,
) -> Results:
    """Teacher-forced loss of each task's split, without dropout, over its tokens.

    Args:
      model: the model.
      params: its parameters, on the partitioner's mesh.
      partitioner: the mesh.
      cfg: tasks, split, lengths, batch size (rounded up to what the mesh can share) and packing.
      max_batches: batches of each task at most, from the start of its split; None takes all.
      mixture: the resolved mixture, when the caller already has it; its rows are then read once.
      say: receives progress lines.

    Returns:
      Task -> `loss` (nats per target token: cross-entropy with label smoothing, without z-loss),
      `accuracy` (share of tokens predicted right), `num_tokens`; or `error` alone.

    Raises:
      NotFoundError, ConfigError, DataError: there are no such tasks; see `mixture.resolve`.
    """
    cfg = dataclasses.replace(cfg, batch_size=whole_batch(partitioner, cfg.batch_size))
    resolved = resolve(cfg) if mixture is None else mixture
    found: Results = {}
    progress = Progress("loss", len(resolved.shares), say, unit="tasks")
    for share in resolved.shares:
        try:
            rows = read_rows(resolved, share, cfg, None)
            task = eval_data.EvalTask(share.name, share.task, 0, rows.examples, 0, 0)
            total = None
            batches = eval_data.loss_batches(
                cfg, [task], max_batches=max_batches, layout=model.row_layout
            )
            for _, batch in batches:
                with partitioner.activate():
                    sums = jit_loss(model, partitioner, params, partitioner.put_batch(batch))
                total = sums if total is None else total + sums
            found[share.name] = _loss_values(share.name, jax.device_get(total))
        except Exception as error:
            found[share.name] = _failed(share.name, error, say)
        progress.add(1)
    return found


def format_table(found: Mapping[str, Mapping[str, Any]], title: str = "") -> str:
    """Returns one line per task and metric: task, rows, metric, value; counts of 0 left out."""
    lines = [("task", "n", "metric", "value")]
    about = {"num_examples", "num_available", "num_tokens"}
    for task, values in found.items():
        count = str(values.get("num_examples", values.get("num_tokens", "")))
        for name, value in values.items():
            if name not in about and not (name in _NONE_IS_USUAL and value == 0):
                lines.append((task, count, name, _shown(value)))
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    text = [title] if title else []
    for task, count, name, value in lines:
        cells = (task.ljust(widths[0]), count.rjust(widths[1]), name.ljust(widths[2]))
        text.append("  ".join([*cells, value.rjust(widths[3]) if len(value) < 16 else value]))
    return "\n".join(text)


def format_summary(table: Mapping[str, Any]) -> str:
    """Returns a table of texts ('title', 'header', 'rows', 'notes') for a terminal."""
    lines = [table["header"], *table["rows"]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table["header"]))]
    text = [table["title"]]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        text.append("  ".join(cells).rstrip())
    return "\n".join([*text, *table.get("notes", ())])


# ------------------------------------------------------------------------------- the parts

_Group = list[tuple[TaskRows, metrics_lib.Needs]]
_Output = tuple[list[Prediction] | None, list[Score] | None, float | None]


def _groups(
    resolved: ResolvedMixture,
    cfg: DatasetConfig,
    num_examples: int | None,
    found: Results,
    say: Say,
) -> Iterator[_Group]:
    """Yields tasks with their rows, several small ones at a time; failures go to `found`."""
    group: _Group = []
    for share in resolved.shares:
        try:
            needed = metrics_lib.needs(share.task)
            group.append((read_rows(resolved, share, cfg, num_examples), needed))
        except Exception as error:
            found[share.name] = _failed(share.name, error, say)
        if sum(len(rows.examples) for rows, _ in group) >= _GROUP_BATCHES * cfg.batch_size:
            yield group
            group = []
    if group:
        yield group


def _run_group(
    predictor: Predictor, group: _Group, config: DecodeConfig, seed: int, what: str
) -> list[_Output]:
    """Decodes all rows that need it, then scores all that need it, and parts them by task."""
    started_s = time.monotonic() - predictor.compile_s
    predicted = predictor.predict(
        _examples(group, "predictions"),
        config,
        # A row's draws are its own, whatever tasks and rows are evaluated with it.
        row_ids=[
            derive_seed(0, rows.name, index)
            for rows, needed in group
            if needed.predictions
            for index in rows.indices
        ],
        seed=seed,
        what=what,
    )
    elapsed_s = max(time.monotonic() - predictor.compile_s - started_s, 1e-9)
    num_tokens = sum(len(tokens) for each in predicted for tokens in each.tokens)
    scored = predictor.score(_examples(group, "scores"), what=what)
    outputs, predictions, scores = [], iter(predicted), iter(scored)
    for rows, needed in group:
        count = len(rows.examples)
        outputs.append(
            (
                [next(predictions) for _ in range(count)] if needed.predictions else None,
                [next(scores) for _ in range(count)] if needed.scores else None,
                num_tokens / elapsed_s if needed.predictions else None,
            )
        )
    return outputs


def _examples(group: _Group, kind: str) -> list[dict[str, Any]]:
    return [example for rows, needed in group if getattr(needed, kind) for example in rows.examples]


def _counts(
    rows: TaskRows,
    predictions: Sequence[Prediction] | None,
    tokens_per_s: float | None,
    config: DecodeConfig,
) -> dict[str, Any]:
    """Figures that describe the evaluation."""
    counts: dict[str, Any] = {
        "num_examples": len(rows.examples),
        "num_available": rows.num_available,
        "truncated_inputs": rows.truncated_inputs,
        "truncated_targets": rows.truncated_targets,
    }
    if predictions is not None:
        best = [prediction.tokens[0] for prediction in predictions]
        counts["unfinished"] = sum(not np.any(tokens == config.eos_id) for tokens in best)
        counts["decode_tokens_per_s"] = float(f"{tokens_per_s or 0.0:.3g}")
    return counts


def _write(
    folder: epath.Path,
    rows: TaskRows,
    step: int,
    predictions: Sequence[Prediction] | None,
    scores: Sequence[Score] | None,
) -> None:
    """Writes a task's file whole or not at all."""
    vocabulary = rows.task.output_features["targets"].vocabulary
    lines = []
    for i in range(len(rows.examples)):
        line: dict[str, Any] = {
            "inputs": rows.text(i, "inputs"),
            "targets": rows.text(i, "targets"),
            "prediction": None,
            "score": None if scores is None else scores[i].log_likelihood,
            "task": rows.name,
        }
        if predictions is not None:
            texts = [vocabulary.decode(t.tolist()) for t in predictions[i].tokens]
            line |= {"prediction": texts[0], "score": predictions[i].scores[0]}
            if len(texts) > 1:
                line |= {"predictions": texts, "scores": list(predictions[i].scores)}
            if scores is not None:
                line["targets_score"] = scores[i].log_likelihood
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    path = folder / f"{rows.name.replace('/', '_')}-{step}.jsonl"
    whole_files.write(path, "".join(lines).encode("utf-8"))


def _loss_values(name: str, sums: LossSums | None) -> dict[str, Any]:
    if sums is None or not sums.weight > 0:
        raise DataError(f"Task {name!r} has no target tokens to score in this split.")
    return {
        "loss": float(sums.cross_entropy / sums.weight),
        "accuracy": float(sums.correct / sums.weight),
        "num_tokens": int(sums.weight),
    }


def _failed(name: str, error: Exception, say: Say) -> dict[str, Any]:
    text = str(error) if isinstance(error, FlanJaxError) else f"{type(error).__name__}: {error}"
    say(f"task {name} FAILED: {text}")
    return {ERROR: text}


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 100 else f"{value:.1f}"
    return str(value)


@functools.partial(jax.jit, static_argnums=(0, 1))
def jit_loss(model, partitioner, params, batch):
    """`step.eval_step`, jitted, with sums on every device."""
    sums = step_lib.eval_step(params, batch, model=model)
    return jax.lax.with_sharding_constraint(sums, partitioner.replicated)
