"""`flan-jax rows`: what stands in the rows of a step of prepared data, and where it comes from."""

import argparse
import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import gin
import numpy as np

from flan_jax import gin_trust, gin_utils
from flan_jax.data.config import DatasetConfig
from flan_jax.data.layout import ENCODER_DECODER, RowLayout
from flan_jax.errors import ConfigError, NotFoundError

_SHOWN_TASKS = 20


def command(args: argparse.Namespace) -> None:
    """Prints and writes what the flags ask for.

    Raises:
      ConfigError: a flag's value is of no use, or the configuration has no prepared data.
      NotFoundError: nothing was prepared, or the data lack a task.
      DataError: the data are damaged, or end before the step.
    """
    if args.step is None and not args.plan:
        raise ConfigError("flan-jax rows needs --step NUMBER, or --plan.")
    if args.step is not None and args.step < 0:
        raise ConfigError(f"--step is {args.step}; steps are counted from 0.")
    if args.output is not None and args.step is None:
        raise ConfigError("--output is of a step: add --step NUMBER.")
    cfg, rates = _configuration(args)
    from flan_jax.data.order import opening

    tasks, plan = opening.open_plan(cfg, rates, _layout(args))
    if args.plan:
        print(plan_text(plan.summary(), plan.end))
    if args.step is not None:
        found = step_examples(tasks, plan, args.step)
        print(step_text(found, cfg, plan, args.step, args.num_rows))
        if args.output is not None:
            lines = [json.dumps(each, ensure_ascii=False) for each in found]
            pathlib.Path(args.output).write_text("".join(f"{x}\n" for x in lines), "utf-8")


def step_examples(tasks: Any, plan: Any, step: int) -> list[dict[str, Any]]:
    """Returns every example of a step, row by row, as JSON-able values.

    `batch_row` and `segment` (from 1) say where it stands, `inputs` and `targets` how many tokens
    it has there, `example` its number in the task; the rest is its provenance.
    """
    rows = plan.step_rows(step)
    order_S = np.argsort(rows.task_S, kind="stable")
    provenance: list[dict[str, Any]] = [{} for _ in order_S]
    for task in np.unique(rows.task_S).tolist():
        slots = order_S[rows.task_S[order_S] == task]
        told = tasks[task].provenance(rows.example_S[slots].tolist())
        for slot, each in zip(slots.tolist(), told, strict=True):
            provenance[slot] = each
    size_Sx2 = plan.examples.sizes_Xx2[rows.number_S].tolist()
    found, segments = [], {}
    for row, example, size, told in zip(
        rows.row_S.tolist(), rows.example_S.tolist(), size_Sx2, provenance, strict=True
    ):
        segments[row] = segments.get(row, 0) + 1
        place = {"step": step, "batch_row": row, "segment": segments[row], "example": example}
        found.append({**place, "inputs": size[0], "targets": size[1], **told})
    return found


def step_text(
    found: list[dict[str, Any]], cfg: DatasetConfig, plan: Any, step: int, num_rows: int
) -> str:
    """Returns the text for the examples of a step."""
    tokens = {name: sum(each[name] for each in found) for name in ("inputs", "targets")}
    lengths = {"inputs": cfg.input_length, "targets": cfg.target_length}
    full = ", ".join(
        f"{name} {tokens[name] / (length * cfg.batch_size):.1%} full"
        for name, length in lengths.items()
        if length
    )
    lines = [f"step {step}: {cfg.batch_size} rows, {len(found)} examples, {full}"]
    counts: dict[str, int] = {}
    for each in found:
        counts[each["task"]] = counts.get(each["task"], 0) + 1
    shares = dict(zip(plan.examples.names, plan.shares_at(step), strict=True))
    most = sorted(counts, key=lambda name: -counts[name])
    for name in most[:_SHOWN_TASKS]:
        expected = shares[name] * len(found)
        lines.append(f"  {counts[name]:6}  {name} (share of the draws: {expected:.1f})")
    if len(most) > _SHOWN_TASKS:
        lines.append(f"  and {len(most) - _SHOWN_TASKS} more tasks")
    for row in range(min(num_rows, cfg.batch_size)):
        lines.append(f"row {row}")
        examples = [each for each in found if each["batch_row"] == row]
        lines += [f"  {_example_text(each)}" for each in examples]
        if not examples:
            lines.append("  (empty)")
    if num_rows < cfg.batch_size:
        more = cfg.batch_size - num_rows
        lines.append(f"and {more} more rows: --num_rows={cfg.batch_size}")
    return "\n".join(lines)


def _example_text(each: Mapping[str, Any]) -> str:
    parts = [f"{each['task']} row {each['row']}"]
    if each.get("rendering"):
        parts.append(f"rendering {each['rendering']}")
    if "template" in each or "template_id" in each:
        parts.append(f"template {each.get('template', each.get('template_id'))}")
    if each.get("shots") is not None:
        parts.append(f"{each['shots']} shots")
    for name in ("inputs", "targets"):
        whole = each.get(f"original_{name}", each[name])
        cut = f" of {whole}" if whole > each[name] else ""
        parts.append(f"{each[name]}{cut} {name}")
    parts.append(f"hash {each.get('row_hash', '?')}")
    return ", ".join(parts)


def plan_text(summary: list[dict[str, Any]], end: int | None) -> str:
    """Returns the text for `Plan.summary`."""
    lines = []
    for span in summary:
        over = f"{span['over_lower_bound']:.2%}"
        fill = [f"{share:.1%}" for share in span["fill"]]
        lines += [
            f"from step {span['first_step']}",
            f"  {span['examples_per_row']:.2f} examples a row, fill {' and '.join(fill)}",
            f"  windows of {span['window_steps']} steps: {span['window_examples']} examples in "
            f"{span['rows']} rows; their tokens fill {span['lower_bound']:.0f}, so {over} more "
            "than the least possible",
        ]
        shares = sorted(span["shares"].items(), key=lambda item: -item[1])
        lines += [f"  {share:8.3%}  {name}" for name, share in shares[:_SHOWN_TASKS]]
        if len(shares) > _SHOWN_TASKS:
            lines.append(f"  and {len(shares) - _SHOWN_TASKS} more tasks")
    lines.append("without end" if end is None else f"ends after {end} steps")
    return "\n".join(lines)


# ------------------------------------------------------------------ the configuration


def _configuration(args: argparse.Namespace) -> tuple[DatasetConfig, dict[str, float]]:
    """Returns what is read, and the rates of its tasks."""
    folder = args.folder
    config = None if folder is None else os.path.join(folder, "config.gin")
    if config is not None and os.path.exists(config):
        if args.gin_file:
            raise ConfigError(f"{folder} has a configuration; leave --gin_file out.")
        return _of_run(args, [config])
    if args.gin_file:
        return _of_run(args, args.gin_file)
    if folder is None:
        raise ConfigError(
            "flan-jax rows needs a folder: flan-jax rows DIR --step=0, DIR being a MODEL_DIR or of "
            "flan-jax prepare; or a gin file that sets PREPARED_DIR."
        )
    return _of_prepared(args, folder)


def _of_run(args: argparse.Namespace, files: list[str]) -> tuple[DatasetConfig, dict[str, float]]:
    gin_utils.parse(
        files,
        args.gin_bindings,
        args.gin_search_paths,
        "train_script.train",
        trust=gin_trust.of_flags(args),
    )
    with gin.config_scope("train"):
        cfg = DatasetConfig()  # pyright: ignore[reportCallIssue]
    given = {"batch_size": args.batch_size, "seed": args.seed}
    cfg = dataclasses.replace(cfg, **{k: v for k, v in given.items() if v is not None})
    if args.folder is not None and not os.path.exists(os.path.join(args.folder, "config.gin")):
        cfg = dataclasses.replace(cfg, prepared_dir=args.folder)
    if cfg.prepared_dir is None:
        raise ConfigError(
            "The configuration reads its tasks' sources, whose rows are not had by step. Prepare "
            "them (flan-jax prepare) and set --gin.PREPARED_DIR=\"'DIR'\"."
        )
    from flan_jax.data.mixture import resolve

    return cfg, {share.name: share.rate for share in resolve(cfg).shares}


def _of_prepared(args: argparse.Namespace, folder: str) -> tuple[DatasetConfig, dict[str, float]]:
    from flan_jax.data.order.fitting import of_manifest
    from flan_jax.data.prepared import read_manifest

    gin_utils.parse(
        [], args.gin_bindings, [], entry="utils.DatasetConfig", trust=gin_trust.of_flags(args)
    )
    try:
        manifest = read_manifest(folder)
    except NotFoundError as error:
        if os.path.isdir(folder):
            raise
        raise NotFoundError(f"There is no folder {folder}.") from error
    batch_size = 128 if args.batch_size is None else args.batch_size
    cfg = of_manifest(folder, manifest, batch_size=batch_size, seed=args.seed or 0)
    return cfg, {task.name: task.rate for task in manifest.tasks}


def _layout(args: argparse.Namespace) -> RowLayout:
    """The rows of the configuration's model, of which the kind alone matters here."""
    alone = args.decoder_only
    if not alone and gin_utils.has_macro("MODEL"):
        model = gin.query_parameter("MODEL/gin.macro.value")
        alone = getattr(model, "selector", "").endswith("DecoderOnlyModel")
    return RowLayout("decoder_only") if alone else ENCODER_DECODER
