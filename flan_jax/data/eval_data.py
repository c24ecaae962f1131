"""Evaluation rows: every example of a split once, in order, each task for itself."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from flan_jax.data.config import LOSS_WEIGHTS, TOKEN_FEATURES, DatasetConfig
from flan_jax.data.layout import ENCODER_DECODER, RowLayout
from flan_jax.data.mixture import ResolvedMixture, empty_split_error, resolve
from flan_jax.data.packing import (
    TRUNCATED_INPUTS,
    TRUNCATED_TARGETS,
    Example,
    Packer,
    Row,
    assemble,
    assemble_prefixes,
)
from flan_jax.errors import FlanJaxError

_FLAGS = "_flags"
_SIZES = "_sizes"


@dataclasses.dataclass(frozen=True)
class EvalTask:
    """The evaluation examples of one task.

    Attributes:
      name: task name.
      task: the seqio Task, with its `metric_fns` and `postprocess_fn`.
      task_id: index in the mixture's task list.
      examples: one dict an example, with every field the task yields as numpy values: 'inputs' and
        'targets' are int32 tokens within the configured lengths (no inputs where none are
        configured), 'targets_loss_weights' if there are any int32 as many as targets; text such as
        'targets_pretokenized' is bytes, as from `tfds.as_numpy`.
      truncated_inputs: examples whose inputs were cut.
      truncated_targets: examples whose targets were cut.
      sizes: for each example its tokens of inputs and of targets before any cut, where they were
        read from a pipeline.
    """

    name: str
    task: Any
    task_id: int
    examples: list[dict[str, Any]]
    truncated_inputs: int
    truncated_targets: int
    sizes: Sequence[tuple[int, int]] = ()


def eval_examples(
    cfg: DatasetConfig,
    *,
    max_examples: int | None = None,
    mixture: ResolvedMixture | None = None,
) -> list[EvalTask]:
    """Reads each task's split once, in the source's order; shuffling and rates play no part.

    Args:
      cfg: names the tasks, split and lengths; `batch_size`, `shuffle` and `pack` are not used.
      max_examples: most examples to read of each task.
      mixture: the resolved mixture, when the caller already has it.

    Raises:
      NotFoundError, ConfigError: see `mixture.resolve`.
      DataError: a task's split is empty or cannot be read.
    """
    mixture = resolve(cfg) if mixture is None else mixture
    return [
        read_task(share.task, task_id, cfg, max_examples)
        for task_id, share in enumerate(mixture.shares)
    ]


def read_task(
    task: Any, task_id: int, cfg: DatasetConfig, max_examples: int | None = None
) -> EvalTask:
    """Reads one task's split once; see `eval_examples`."""
    import tensorflow_datasets as tfds

    from flan_jax.data import tokens

    def annotate(features):
        kept, flags = tokens.trim(features, task.output_features, cfg.task_feature_lengths)
        plain = {
            name: value
            for name, value in features.items()
            if not name.endswith(tokens.UNTRIMMED_SUFFIX)
        }
        sizes = [
            tokens.untrimmed_length(features, name) if name in cfg.token_features else 0
            for name in TOKEN_FEATURES
        ]
        return {**plain, **kept, _FLAGS: flags, _SIZES: sizes}

    try:
        dataset = tokens.open_task(tokens.counting_task(task), cfg, shuffle=False, num_epochs=1)
        dataset = dataset.take(-1 if max_examples is None else max_examples).map(annotate)
        examples = list(tfds.as_numpy(dataset.with_options(tokens.data_options())))
    except FlanJaxError:
        raise
    except Exception as error:
        raise tokens.source_error(task.name, cfg.split, "could not be read", error) from error
    if not examples:
        raise empty_split_error(task.name, cfg.split)
    flags = [int(example.pop(_FLAGS)) for example in examples]
    sizes = [example.pop(_SIZES).tolist() for example in examples]
    if LOSS_WEIGHTS in examples[0]:
        counts = [example.pop(tokens.WEIGHT_COUNTS) for example in examples]
        weights = [example[LOSS_WEIGHTS] for example in examples]
        weights = tokens.checked_weights(weights, counts, task.name, cfg.split)
        for example, checked in zip(examples, weights, strict=True):
            example[LOSS_WEIGHTS] = checked
    if "inputs" not in cfg.token_features:
        for example in examples:
            example["inputs"] = np.zeros(0, np.int32)
    return EvalTask(
        name=task.name,
        task=task,
        task_id=task_id,
        examples=examples,
        truncated_inputs=sum(bool(flag & TRUNCATED_INPUTS) for flag in flags),
        truncated_targets=sum(bool(flag & TRUNCATED_TARGETS) for flag in flags),
        sizes=[(inputs, targets) for inputs, targets in sizes],
    )


@dataclasses.dataclass(frozen=True)
class EvalBatch:
    """A batch of whole rows.

    Attributes:
      features: unpacked int32 features of docs/architecture.md.
      row_weights_B: int32, 1 for an example and 0 for padding rows, which come last.
      indices: for each real row, the index of its example.
      input_length: most tokens of inputs in a batch of this shape.
    """

    features: dict[str, np.ndarray]
    row_weights_B: np.ndarray
    indices: np.ndarray
    input_length: int


class EvalBatches:
    """Batches of one row an example, the last one padded; iterate as often as you like.

    Sorting by input length puts rows of like length together, so that with `input_buckets` most
    batches are short. `in_order` undoes the sorting for the results.
    """

    def __init__(
        self,
        examples: Sequence[Mapping[str, Any]],
        task_feature_lengths: Mapping[str, int],
        batch_size: int,
        *,
        task_id: int = 0,
        sort_by_length: bool = True,
        input_buckets: Sequence[int] = (),
        layout: RowLayout = ENCODER_DECODER,
        prefixes: bool = False,
    ):
        """Plans the batches.

        Args:
          examples: dicts with 'inputs', unless only predictions are wanted 'targets', and perhaps
            'targets_loss_weights'.
          task_feature_lengths: tokens a row; longer features are an error here, not a cut.
          batch_size: B, rows of every batch.
          task_id: value of `decoder_task_ids`.
          sort_by_length: whether to batch rows of like input length together.
          input_buckets: shorter values of L that a batch may have; each is compiled once.
          layout: the model's `row_layout`.
          prefixes: of a decoder alone, batches to decode from: inputs, without targets.

        Raises:
          ConfigError: the layout needs a length of 'inputs'.
        """
        layout.check_lengths(task_feature_lengths, "task_feature_lengths")
        self._lengths = (task_feature_lengths.get("inputs", 0), task_feature_lengths["targets"])
        self._layout, self._prefixes = layout, prefixes
        self._batch_size = batch_size
        none = np.zeros(0, np.int32)
        self._examples = [
            Example(
                task_id,
                example["inputs"],
                example.get("targets", none),
                weights=example.get(LOSS_WEIGHTS),
            )
            for example in examples
        ]
        self._buckets = sorted({*input_buckets, self._lengths[0]})
        self._order = np.arange(len(self._examples))
        if sort_by_length:
            sizes = [len(example.inputs) for example in self._examples]
            self._order = np.argsort(np.array(sizes, np.int64), kind="stable")

    @property
    def num_examples(self) -> int:
        """Number of examples in all batches."""
        return len(self._examples)

    def __len__(self) -> int:
        """Number of batches."""
        return math.ceil(len(self._examples) / self._batch_size)

    def __iter__(self) -> Iterator[EvalBatch]:
        for start in range(0, len(self._examples), self._batch_size):
            indices = self._order[start : start + self._batch_size]
            rows: list[Row] = [[self._examples[i]] for i in indices]
            longest = max(len(row[0].inputs) for row in rows)
            length = min(bucket for bucket in self._buckets if bucket >= longest)
            weights_B = (np.arange(self._batch_size) < len(rows)).astype(np.int32)
            yield EvalBatch(self._assemble(rows, length), weights_B, indices, length)

    def _assemble(self, rows: list[Row], input_length: int) -> dict[str, np.ndarray]:
        if self._layout.decoder_only and self._prefixes:
            inputs = [row[0].inputs for row in rows]
            return assemble_prefixes(inputs, self._batch_size, input_length, self._layout)
        return assemble(rows, self._batch_size, input_length, self._lengths[1], False, self._layout)

    def in_order(self, results: Iterable[Sequence[Any]]) -> list[Any]:
        """Puts results back into the order of the examples.

        Args:
          results: one sequence for each batch in turn, of at least as many entries as it has real
            rows; entries of padding rows are dropped.
        """
        ordered: list[Any] = [None] * len(self._examples)
        starts = range(0, len(self._examples), self._batch_size)
        for start, values in zip(starts, results, strict=True):
            for row, index in enumerate(self._order[start : start + self._batch_size]):
                ordered[index] = values[row]
        return ordered


def loss_batches(
    cfg: DatasetConfig,
    tasks: Iterable[EvalTask],
    *,
    max_batches: int | None = None,
    layout: RowLayout = ENCODER_DECODER,
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yields (task name, batch) for teacher-forced loss; no row is lost and none comes twice.

    Batches hold one task each, packed when `cfg.pack` is set, and the last is padded with rows of
    loss weight 0.

    Args:
      cfg: batch size, lengths and packing.
      tasks: from `eval_examples`.
      max_batches: most batches of each task.
      layout: the model's `row_layout`.

    Raises:
      ConfigError: the layout needs a length of 'inputs'.
    """
    layout.check_lengths(cfg.task_feature_lengths, "DatasetConfig.task_feature_lengths")
    for task in tasks:
        rows = _rows(task, cfg, layout)
        for number, start in enumerate(range(0, len(rows), cfg.batch_size)):
            if max_batches is not None and number >= max_batches:
                break
            yield (
                task.name,
                assemble(
                    rows[start : start + cfg.batch_size],
                    cfg.batch_size,
                    cfg.input_length,
                    cfg.target_length,
                    cfg.pack,
                    layout,
                ),
            )


def _rows(task: EvalTask, cfg: DatasetConfig, layout: RowLayout) -> list[Row]:
    examples = [
        Example(
            task.task_id,
            example["inputs"],
            example["targets"],
            weights=example.get(LOSS_WEIGHTS),
        )
        for example in task.examples
    ]
    if not cfg.pack:
        return [[example] for example in examples]
    packer = Packer(cfg.input_length, cfg.target_length, cfg.packing_window, layout)
    rest = iter(examples)
    rows = []
    while True:
        for _, example in zip(range(packer.missing), rest, strict=False):
            packer.add(example)
        if packer.missing == cfg.packing_window:
            return rows
        rows.append(packer.take_row())
