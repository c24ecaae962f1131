"""A seqio task's split as tokens: trimmed as seqio trims, with a note of what was cut.

seqio trims without a word, in two places: `append_eos_after_trim` inside a task, and at its end.
Both are replaced by versions that give the same tokens and also say how long the feature was.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from flan_jax.data.config import LOSS_WEIGHTS, TOKEN_FEATURES, DatasetConfig, derive_seed
from flan_jax.data.packing import CUT_EOS, TRUNCATED_INPUTS, TRUNCATED_TARGETS, Example
from flan_jax.errors import DataError

UNTRIMMED_SUFFIX = "_untrimmed_length"
# Of a task with loss weights: how many there are, and how many targets, before any cut.
WEIGHT_COUNTS = "_weight_counts"


def counting_task(task: seqio.Task) -> seqio.Task:
    """Returns the task with its EOS-and-trim step replaced by one that reports lengths.

    The tokens stay the same; examples get an int32 scalar `<feature>_untrimmed_length`.
    """
    steps = [_counting_step(step) for step in task.preprocessors]
    return task.replace(preprocessors=steps)


def _counting_step(step: Any) -> Any:
    function = step.func if isinstance(step, functools.partial) else step
    if function is not seqio.preprocessors.append_eos_after_trim:
        return step
    if isinstance(step, functools.partial):
        return functools.partial(_append_eos_after_trim, *step.args, **step.keywords)
    return _append_eos_after_trim


def _append_eos_after_trim(
    dataset: tf.data.Dataset, output_features: Any, sequence_length: Any = None
) -> tf.data.Dataset:
    def convert(features):
        lengths = {
            name + UNTRIMMED_SUFFIX: tf.size(features[name]) + int(feature.add_eos)
            for name, feature in output_features.items()
            if name in features and features[name].shape.rank == 1
        }
        trimmed = seqio.preprocessors.append_eos_after_trim_impl(
            features, output_features=output_features, sequence_length=sequence_length
        )
        return {**trimmed, **lengths}

    return dataset.map(convert, num_parallel_calls=tf.data.AUTOTUNE)


def trim(
    features: dict[str, tf.Tensor], output_features: Any, lengths: Mapping[str, int]
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Cuts inputs and targets to length as seqio does, and says what was cut.

    Args:
      features: one example of a `counting_task`.
      output_features: the task's features.
      lengths: most tokens by feature name; without 'inputs' these are not read.

    Returns:
      `{'inputs', 'targets'}` as int32, with loss weights cut likewise and `WEIGHT_COUNTS` where the
      task has any, and an int32 sum of the flags of `packing.Example`.
    """
    kept, flags = {}, tf.constant(0)
    for name, flag in zip(TOKEN_FEATURES, (TRUNCATED_INPUTS, TRUNCATED_TARGETS), strict=True):
        if name not in lengths:
            continue
        tokens = features[name]
        kept[name] = tf.cast(tokens[: lengths[name]], tf.int32)
        was_cut = tf.cast(untrimmed_length(features, name) > lengths[name], tf.int32)
        flags += flag * was_cut
        if name == "targets" and output_features[name].add_eos:
            eos = output_features[name].vocabulary.eos_id
            has_eos = tf.reduce_any(kept[name][-1:] == eos)
            flags += CUT_EOS * was_cut * tf.cast(~has_eos, tf.int32)
    if LOSS_WEIGHTS in features:
        weights = features[LOSS_WEIGHTS]
        kept[LOSS_WEIGHTS] = weights[: lengths["targets"]]
        counts = [tf.size(weights), untrimmed_length(features, "targets")]
        kept[WEIGHT_COUNTS] = tf.stack(counts)
    return kept, flags


def untrimmed_length(features: Mapping[str, tf.Tensor], name: str) -> tf.Tensor:
    """Returns how many tokens a feature of a `counting_task` had before any cut, int32 scalar."""
    return tf.maximum(tf.size(features[name]), features.get(name + UNTRIMMED_SUFFIX, 0))


def data_options() -> tf.data.Options:
    """Returns options for a deterministic pipeline that leaves the CPU to training."""
    options = tf.data.Options()
    options.deterministic = True
    # One tuning thread for each of hundreds of tasks costs more than it gains.
    options.autotune.enabled = False
    options.threading.max_intra_op_parallelism = 1
    return options


def task_seed(task: seqio.Task, cfg: DatasetConfig) -> int:
    """Returns the seed of a task's pipeline."""
    return derive_seed(cfg.seed or 0, task.name)


def set_tensorflow_seed(seed: int) -> None:
    """Sets the seed from which operations draw that have none of their own."""
    # Setting it makes TensorFlow forget every function it has prepared: 0.2 s each time.
    if tf.compat.v1.get_seed(0)[0] != seed:
        tf.random.set_seed(seed)


def shuffle_buffer(task: seqio.Task, split: str) -> int | None:
    """Returns how many rows of a split are held to be shuffled; None if the task allows none.

    The rows are repeated before they are shuffled, so a buffer larger than the split would be
    filled, at the cost of start-up time, with copies of the same rows.
    """
    rows, buffer = task.num_input_examples(split), task.shuffle_buffer_size
    return min(buffer, rows) if buffer is not None and rows else buffer


def open_task(
    task: seqio.Task, cfg: DatasetConfig, *, shuffle: bool, num_epochs: int | None
) -> tf.data.Dataset:
    """Returns the task's own dataset, not trimmed at its end, with every random part seeded.

    The seed depends on the configuration's and the task's name.
    """
    seed = task_seed(task, cfg)
    set_tensorflow_seed(seed)
    return task.get_dataset(
        sequence_length=dict(cfg.task_feature_lengths),
        split=cfg.split,
        use_cached=cfg.use_cached,
        shuffle=shuffle,
        shuffle_buffer_size=shuffle_buffer(task, cfg.split),
        seed=seed,
        num_epochs=num_epochs,
        trim_output_features=False,
        try_in_mem_cache=False,
    )


def token_dataset(
    task: seqio.Task, cfg: DatasetConfig, *, shuffle: bool, num_epochs: int | None
) -> tf.data.Dataset:
    """Returns a task's split before batching: what `trim` keeps, and `flags`."""

    def keep(features):
        # Other output features stay because seqio checks that they are there.
        others = {name: features[name] for name in task.output_features if name in features}
        kept, flags = trim(features, task.output_features, cfg.task_feature_lengths)
        return {**others, **kept, "flags": flags}

    # Steps after the last one of the task run before seqio's shuffle, so that its buffer, which
    # is part of every snapshot, holds tokens alone.
    task = counting_task(task)
    task = task.replace(preprocessors=[*task.preprocessors, _map_step(keep)])
    return open_task(task, cfg, shuffle=shuffle, num_epochs=num_epochs)


def chunk_examples(batch: Any, name: str, task_id: int, cfg: DatasetConfig) -> list[Example]:
    """Takes a ragged batch of `token_dataset` apart.

    Raises:
      DataError: loss weights do not fit the targets; or `cfg.strict` is set and an example has cut
        or no targets.
    """
    flags = batch["flags"].numpy().tolist()
    if cfg.strict:
        _check_strict(flags, batch["targets"].row_lengths().numpy(), name, cfg)
    none = np.zeros(0, np.int32)
    inputs = vectors(batch["inputs"]) if "inputs" in batch else itertools.repeat(none)
    fields: list[Any] = [itertools.repeat(task_id), inputs, vectors(batch["targets"]), flags]
    if LOSS_WEIGHTS in batch:
        weights = vectors(batch[LOSS_WEIGHTS])
        counts = batch[WEIGHT_COUNTS].numpy().tolist()
        fields.append(checked_weights(weights, counts, name, cfg.split))
    return list(map(Example, *fields))


def vectors(ragged: Any) -> list[np.ndarray]:
    """Returns the rows of a ragged tensor of rank 2."""
    values_N = ragged.flat_values.numpy()
    return [values_N[a:b] for a, b in itertools.pairwise(ragged.row_splits.numpy().tolist())]


def checked_weights(
    weights: Sequence[np.ndarray], counts: Sequence[Sequence[int]], name: str, split: str
) -> list[np.ndarray]:
    """Returns the loss weights of examples as int32.

    Args:
      weights: of each example, cut to its targets.
      counts: of each example its `WEIGHT_COUNTS`.
      name: task.
      split: split.

    Raises:
      DataError: an example has more or fewer weights than targets, or one that is no whole number
        of 0 or more.
    """
    for num_weights, num_targets in counts:
        if num_weights != num_targets:
            raise DataError(
                f"Task {name!r}, split {split!r}: an example has {num_targets} target tokens, an "
                f"end token included, and {num_weights} numbers in {LOSS_WEIGHTS!r}. Each token "
                "needs one."
            )
    kept = [each.astype(np.int32) for each in weights]
    for given, whole in zip(weights, kept, strict=True):
        bad = given[(given != whole) | (given < 0)]
        if len(bad):
            raise DataError(
                f"Task {name!r}, split {split!r}: {LOSS_WEIGHTS!r} holds {bad[0]}; whole numbers "
                "of 0 or more are expected. The loss is divided by their sum, so multiply "
                "fractions by a common number."
            )
    return kept


def _check_strict(
    flags: list[int], target_lengths: np.ndarray, name: str, cfg: DatasetConfig
) -> None:
    cut = sum(bool(flag & TRUNCATED_TARGETS) for flag in flags)
    empty = int((target_lengths == 0).sum())
    if cut or empty:
        raise DataError(
            f"Task {name!r}, split {cfg.split!r}: of {len(flags)} examples, {cut} have more than "
            f"{cfg.target_length} target tokens and {empty} have none, and DatasetConfig.strict is "
            "set. Raise the length of 'targets', or set utils.DatasetConfig.strict = False to "
            "count them instead."
        )


def source_error(name: str, split: str, what: str, error: Exception) -> DataError:
    """The error for a pipeline that failed, with the task's name and the cause."""
    return DataError(f"Task {name!r}, split {split!r}, {what}: {type(error).__name__}: {error}")


def _map_step(function: Any) -> Any:
    def step(dataset: tf.data.Dataset) -> tf.data.Dataset:
        return dataset.map(function, num_parallel_calls=tf.data.AUTOTUNE)

    return step
