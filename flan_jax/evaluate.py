"""`flan-jax eval`: one checkpoint on the tasks of a mixture, as a table and as JSON."""

import argparse
import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

import gin
import jax
from etils import epath

from flan_jax import checkpoint as checkpoint_lib
from flan_jax import checkpoint_params, gin_trust, gin_utils, telemetry
from flan_jax.checkpoint_files import run_of, step_in
from flan_jax.data import mixture, tokenizer_files
from flan_jax.data.config import DatasetConfig
from flan_jax.decode.config import DecodeConfig
from flan_jax.errors import CheckpointError, ConfigError
from flan_jax.interop import detect
from flan_jax.mesh import PjitPartitioner
from flan_jax.models.base import BaseModel

# What `flan-jax eval MODEL_DIR` adds to the configuration that the run stored. DATASET is the scope
# of the run's evaluation data, or of its training data where it had none; MODEL_DIR is its folder.
_FROM_A_RUN = (
    "eval_script.evaluate.model = %MODEL",
    "eval_script.evaluate.dataset_cfg = @DATASET/utils.DatasetConfig()",
    "eval_script.evaluate.restore_checkpoint_cfg = @evaluated/utils.RestoreCheckpointConfig()",
    "eval_script.evaluate.partitioner = @partitioning.PjitPartitioner()",
    "eval_script.evaluate.decode_config = @decoding.DecodeConfig()",
    "eval_script.evaluate.output_dir = %INFER_OUTPUT_DIR",
    "INFER_OUTPUT_DIR = 'MODEL_DIR/infer_eval'",
    "evaluated/utils.RestoreCheckpointConfig.path = %CHECKPOINT_PATH",
)

# Data for a model that comes without a run, as `flan-jax import` makes one; flags override it.
_WITHOUT_A_RUN = (
    "MIXTURE_OR_TASK_NAME = NAME",
    "MIXTURE_OR_TASK_MODULE = None",
    "TASK_FEATURE_LENGTHS = {'inputs': 512, 'targets': 128}",
    "BATCH_SIZE = 8",
    "infer_eval/utils.DatasetConfig.mixture_or_task_name = %MIXTURE_OR_TASK_NAME",
    "infer_eval/utils.DatasetConfig.module = %MIXTURE_OR_TASK_MODULE",
    "infer_eval/utils.DatasetConfig.task_feature_lengths = %TASK_FEATURE_LENGTHS",
    "infer_eval/utils.DatasetConfig.batch_size = %BATCH_SIZE",
    "infer_eval/utils.DatasetConfig.split = 'validation'",
    "infer_eval/utils.DatasetConfig.shuffle = False",
    "infer_eval/utils.DatasetConfig.seed = 0",
)


@gin.configurable(module="eval_script")
def evaluate(
    model: BaseModel = gin.REQUIRED,
    dataset_cfg: DatasetConfig = gin.REQUIRED,
    restore_checkpoint_cfg: checkpoint_lib.RestoreCheckpointConfig = gin.REQUIRED,
    partitioner: PjitPartitioner = gin.REQUIRED,
    output_dir: str = gin.REQUIRED,
    decode_config: DecodeConfig | None = None,
    num_examples: int | None = None,
    with_loss: bool = True,
    random_seed: int = 0,
    dev_split: str | None = None,
    summary_fn: Callable[..., dict[str, Any]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Evaluates a checkpoint, prints a table, writes predictions and `results-<step>.json`.

    Args:
      model: the network of the checkpoint.
      dataset_cfg: tasks, split, lengths and batch size.
      restore_checkpoint_cfg: which checkpoint.
      partitioner: the mesh.
      output_dir: gets `<task>-<step>.jsonl` (see `runner.evaluate_tasks`) and the JSON: `step`,
        `checkpoint`, `split`, `decoding`, and task -> values under `tasks`.
      decode_config: how to decode; greedy by default.
      num_examples: rows of each task at most; None takes all.
      with_loss: also compute the teacher-forced loss of the same tasks, over the whole split.
      random_seed: of the draws, with method 'sample'.
      dev_split: also evaluate this split, for `summary_fn`.
      summary_fn: `(results, results on dev_split or None) -> {'title', 'header', 'rows', 'notes'}`,
        a table over several tasks, printed and kept as `summary` in the JSON.

    Returns:
      Task -> values.

    Raises:
      ConfigError, CheckpointError, DataError: before anything is computed; or, DataError, after all
        is written: some tasks could not be evaluated.
    """
    from flan_jax.eval import runner, whole_files

    say = telemetry.StatusPrinter(quiet=jax.process_index() != 0).line
    folder = checkpoint_lib.check_writable(output_dir)
    params, step, path = restore(model, partitioner, restore_checkpoint_cfg, say)
    decode_config = decode_config or DecodeConfig()
    resolved = mixture.resolve(dataset_cfg)
    if restore_checkpoint_cfg.strict:
        vocabulary = resolved.output_features[dataset_cfg.token_features[0]].vocabulary
        recorded = checkpoint_params.read_vocabulary(path)
        tokenizer_files.check_recorded(recorded, vocabulary, str(path))

    def run(cfg: DatasetConfig, tasks: mixture.ResolvedMixture, output: Any):
        return runner.evaluate_tasks(
            model,
            params,
            partitioner,
            cfg,
            decode_config,
            output_dir=output,
            step=step,
            num_examples=num_examples,
            seed=random_seed,
            mixture=tasks,
            say=say,
        )

    dev_found = None
    if dev_split is not None:
        dev_cfg = dataclasses.replace(dataset_cfg, split=dev_split)
        dev_found = run(dev_cfg, mixture.resolve(dev_cfg), None)
    found = run(dataset_cfg, resolved, folder)
    if with_loss:
        losses = runner.train_eval(
            model, params, partitioner, dataset_cfg, mixture=resolved, say=say
        )
        found = {task: {**losses[task], **values} for task, values in found.items()}
    say(runner.format_table(found, title=f"{path}, split {dataset_cfg.split!r}"))
    summary = None if summary_fn is None else summary_fn(found, dev_found)
    if summary is not None:
        say(runner.format_summary(summary))
    if jax.process_index() == 0:
        record = {
            "step": step,
            "checkpoint": str(path),
            "split": dataset_cfg.split,
            "decoding": str(decode_config),
            "tasks": found,
        }
        if dev_found is not None:
            record |= {"dev_split": dev_split, "dev_tasks": dev_found}
        if summary is not None:
            record["summary"] = summary
        target = epath.Path(folder) / f"results-{step}.json"
        text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
        whole_files.write(target, text.encode("utf-8"))
        say(f"results in {target}, predictions beside it")
    runner.raise_failures({**(dev_found or {}), **found})
    return found


def restore(
    model: BaseModel,
    partitioner: PjitPartitioner,
    cfg: checkpoint_lib.RestoreCheckpointConfig,
    say: Any = print,
) -> tuple[Any, int, epath.Path]:
    """Reads a checkpoint's parameters onto the mesh.

    Returns:
      (parameters, step, directory).

    Raises:
      CheckpointError: no path is given, or there is no such checkpoint, or it is of another model.
    """
    directory = cfg.find(say)
    if directory is None:
        raise CheckpointError(
            "No checkpoint is named: give --checkpoint=PATH, a MODEL_DIR or one of its "
            "checkpoint_<step> directories, or a Hugging Face directory."
        )
    abstract = model.abstract_params()
    shardings = partitioner.shardings(abstract, model.logical_axes())
    params = checkpoint_lib.restore_params(
        directory,
        abstract,
        shardings,
        base_path=cfg.base_path,
        grow_vocabulary=cfg.grow_vocabulary,
        config=model.config,
        say=say,
    )
    say(f"parameters from {directory}")
    return params, step_in(directory.name) or 0, directory


def parse_for(
    entry: str,
    from_a_run: tuple[str, ...],
    model_dir: str | None,
    args: argparse.Namespace,
    needs_task: bool = False,
) -> None:
    """Parses the configuration of a command that works on a trained model.

    Given a MODEL_DIR, the run's stored configuration comes first, with what the command needs
    besides; gin files and bindings of the command line come after it. An imported model has no
    data of its own: MIXTURE_OR_TASK_NAME and so on are then given on the command line.

    Args:
      entry: selector that will be called.
      from_a_run: bindings added to a run's configuration; DATASET stands for the scope of its data
        and MODEL_DIR for its folder.
      model_dir: the run, or None.
      args: parsed flags: `gin_file`, `gin_bindings`, `gin_search_paths`, `checkpoint`. A checkpoint
        alone stands for the run it lies in.
      needs_task: whether a model without a run needs a task to be named.

    Raises:
      ConfigError: there is nothing to read, or the configuration has mistakes.
    """
    files, bindings = list(args.gin_file), []
    if model_dir is None and not files and args.checkpoint is not None:
        model_dir = str(run_of(absolute(args.checkpoint)))
    if model_dir is None and not files:
        raise ConfigError(
            f"flan-jax {args.command} needs a MODEL_DIR, or gin files that describe the model: "
            f"flan-jax {args.command} MODEL_DIR"
        )
    if model_dir is not None:
        model_dir = absolute(model_dir)
        if (found := detect.foreign(model_dir)) is not None:
            raise ConfigError(
                f"{model_dir} is a checkpoint of {found.kind} and not the directory of a run. "
                f"Import it (flan-jax import {model_dir} --model_dir=DIR), or give gin files that "
                f"describe the model and the data, with --checkpoint={model_dir}."
            )
        stored = epath.Path(model_dir) / gin_utils.CONFIG_NAME
        if not stored.exists():
            raise ConfigError(
                f"{model_dir} is not the directory of a run: it has no {gin_utils.CONFIG_NAME}. "
                "Give the MODEL_DIR of a run, or describe the model with --gin_file."
            )
        files.insert(0, str(stored))
        text = stored.read_text()
        has_data = "utils.DatasetConfig" in text
        only_train = has_data and "infer_eval/utils.DatasetConfig" not in text
        scope = "train" if only_train else "infer_eval"
        bindings = [f"CHECKPOINT_PATH = {model_dir!r}"]
        if has_data:
            bindings.append(f"MODEL_DIR = {model_dir!r}")
        else:
            # Prompts need no task: the model has vocabularies.
            name = "%gin.REQUIRED" if needs_task else "'prompts'"
            bindings += [line.replace("= NAME", f"= {name}") for line in _WITHOUT_A_RUN]
        for line in from_a_run:
            bindings.append(line.replace("DATASET", scope).replace("MODEL_DIR", model_dir))
    bindings += args.gin_bindings
    if args.checkpoint is not None:
        bindings.append(f"CHECKPOINT_PATH = {absolute(args.checkpoint)!r}")
    trust = gin_trust.of_flags(args)
    gin_utils.parse(files, bindings, args.gin_search_paths, entry, trust=trust)


def command(model_dir: str | None, args: argparse.Namespace) -> None:
    """`flan-jax eval`."""
    parse_for("eval_script.evaluate", _FROM_A_RUN, model_dir, args, needs_task=True)
    evaluate()


def absolute(path: str) -> str:
    """Returns a local path from the root, which Orbax wants; a URL as it is."""
    return path if "://" in path else os.path.abspath(path)
