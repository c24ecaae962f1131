"""A task's rows as token batches, without ever handling a single row, where the task allows it.

It does when all its preprocessors are `flan_jax.prompts.RowStep`s. tf.data then only reads and
shuffles raw rows; the steps run eagerly, one call each for a batch. Compared with seqio's pipeline,
which maps row after row through a graph, this starts without tracing a graph for each of hundreds
of tasks and runs several times as fast (docs/performance.md). The tokens of a row are the same.
"""

from collections.abc import Callable, Mapping
from typing import Any

import seqio
import tensorflow as tf

from flan_jax.data import tokens
from flan_jax.data.config import LOSS_WEIGHTS, TOKEN_FEATURES, DatasetConfig
from flan_jax.data.packing import CUT_EOS, TRUNCATED_INPUTS, TRUNCATED_TARGETS
from flan_jax.prompts.row_step import RowStep

_FIRST_CHUNK = 8
_LARGEST_CHUNK = 256


def is_batched(task: seqio.Task, cfg: DatasetConfig) -> bool:
    """Whether `converter` can read the task."""
    steps = task.preprocessors
    return bool(steps) and not cfg.use_cached and all(isinstance(s, RowStep) for s in steps)


def takes_numbers(task: seqio.Task, cfg: DatasetConfig) -> bool:
    """Whether rows can be had by number too, as of `tasks.registration.NumberedSource`.

    Then no tf.data is needed: the row at each place is arithmetic, so nothing is held for mixing
    the rows, no graph of them is traced, and the number of a chunk is all there is to save.
    """
    return is_batched(task, cfg) and hasattr(task.source, "take")


def largest_chunk(task: seqio.Task) -> int:
    """Returns the most rows of a chunk: `_LARGEST_CHUNK`, or the source's `largest_batch`."""
    return min(_LARGEST_CHUNK, getattr(task.source, "largest_batch", _LARGEST_CHUNK))


def chunk_places(number: int, largest: int) -> tuple[int, int]:
    """Returns the first place of a chunk, counted from 0, and the one behind its last.

    Each is twice as long as the one before, up to `largest`: a mixture of hundreds of tasks begins
    with a row or two of each, and an operation costs as much to start for one row as for many.

    >>> [chunk_places(number, 20) for number in range(4)]
    [(0, 8), (8, 24), (24, 44), (44, 64)]
    """
    growing = max(0, (-(-largest // _FIRST_CHUNK) - 1).bit_length())
    start = _FIRST_CHUNK * (2 ** min(number, growing) - 1) + max(0, number - growing) * largest
    return start, start + min(_FIRST_CHUNK << min(number, growing), largest)


def chunk_reader(
    task: seqio.Task, cfg: DatasetConfig, *, shuffle: bool, num_epochs: int | None
) -> Callable[[int], Mapping[str, Any]]:
    """Returns the function from the number of a chunk to its trimmed tokens and flags.

    It raises StopIteration behind the last chunk. See `raw_batches` for the arguments.

    Args:
      task: a task for which `takes_numbers` holds.
      cfg: split, lengths and seed.
      shuffle: whether to mix the rows anew in every epoch.
      num_epochs: None repeats for ever.
    """
    tokens.set_tensorflow_seed(cfg.seed or 0)
    largest, convert = largest_chunk(task), converter(task, cfg, shuffle=shuffle)
    source: Any = task.source
    end = None if num_epochs is None else num_epochs * source.num_input_examples(cfg.split)

    def read(number: int) -> Mapping[str, Any]:
        start, stop = chunk_places(number, largest)
        stop = stop if end is None else min(stop, end)
        if start >= stop:
            raise StopIteration
        return convert(tf.range(start, stop, dtype=tf.int64))

    return read


def raw_batches(
    task: seqio.Task, cfg: DatasetConfig, *, shuffle: bool, num_epochs: int | None
) -> tf.data.Dataset:
    """Returns the source's rows, `largest_chunk` at a time; of one epoch the last may be smaller.

    Args:
      task: a task for which `is_batched` holds.
      cfg: split and seed.
      shuffle: whether to mix the rows anew in every epoch.
      num_epochs: None repeats for ever.
    """
    tokens.set_tensorflow_seed(cfg.seed or 0)
    seed = tokens.task_seed(task, cfg)
    source: Any = task.source
    rows = source.get_dataset(split=cfg.split, shuffle=shuffle, seed=seed).repeat(num_epochs)
    if shuffle:
        # Raw rows take the place of the tokens that seqio holds.
        rows = rows.shuffle(tokens.shuffle_buffer(task, cfg.split), seed=seed)
    return rows.ragged_batch(largest_chunk(task))


def _row_numbers(place_B: tf.Tensor, count: int, seed: int | None) -> tf.Tensor:
    """Returns the rows at places, counted over epochs; with a seed, mixed anew in each epoch."""
    row_B = tf.math.floormod(place_B, tf.constant(count, tf.int64))
    if seed is None or count == 1:
        return row_B
    epoch_B = place_B // count
    # The public function takes one index or one seed only.
    return tf.raw_ops.RandomIndexShuffle(
        index=row_B,
        seed=tf.stack([tf.fill(tf.shape(row_B), tf.cast(seed, tf.int64)), epoch_B, row_B * 0], 1),
        max_index=tf.constant(count - 1, tf.int64),
        rounds=4,
    )


def converter(
    task: seqio.Task, cfg: DatasetConfig, *, shuffle: bool
) -> Callable[[Any], Mapping[str, Any]]:
    """Returns the function from a batch of rows to trimmed tokens and flags.

    It takes the places of rows, counted over epochs, where rows are had by number, else a batch of
    `raw_batches`. It gives what `tokens.token_dataset` gives, batched, less the rows that a step
    drops.
    """
    features, lengths = task.output_features, dict(cfg.task_feature_lengths)
    steps: list[Any] = list(task.preprocessors)
    *first, last = steps
    functions = [step.bind(features, lengths) for step in first]
    source: Any = task.source
    if takes_numbers(task, cfg):
        count = source.num_input_examples(cfg.split)
        seed = tokens.task_seed(task, cfg) if shuffle else None
        functions.insert(
            0, lambda place_B: source.take(cfg.split, _row_numbers(place_B, count, seed))
        )
    finish = finisher(last, features, lengths, _trim)

    def convert(batch: Any) -> Mapping[str, Any]:
        for function in functions:
            batch = function(batch)
        return finish(batch)

    return convert


# (step, what follows, features, lengths) -> traced function, for all tasks with the same.
_FINISHERS: dict[Any, Any] = {}


def finisher(
    step: RowStep,
    features: Any,
    lengths: dict[str, int],
    then: Callable[[Mapping[str, Any], Any, Mapping[str, int]], Mapping[str, Any]],
) -> Callable[[Any], Mapping[str, Any]]:
    """Returns the last step and what follows as one function, traced where tasks can share it.

    Args:
      step: the last step of a task.
      features: the task's output features.
      lengths: most tokens by feature.
      then: called with the batch of the step, features and lengths. A traced step gives it the
        output features alone.
    """
    function = step.bind(features, lengths)
    if not step.reads_texts:
        return lambda batch: then(function(batch), features, lengths)
    # Vocabularies have no hash; the traced function keeps them, so an id is not used again.
    described = ((name, id(one.vocabulary), one.add_eos) for name, one in features.items())
    key = step.on_batch, then, tuple(described), tuple(sorted(lengths.items()))
    if key not in _FINISHERS:
        _FINISHERS[key] = tf.function(
            lambda texts: then(function(texts), features, lengths),
            input_signature=[{name: tf.TensorSpec([None], tf.string) for name in features}],
            autograph=False,
        )
    traced = _FINISHERS[key]

    def finish(batch: Any) -> Mapping[str, Any]:
        if LOSS_WEIGHTS in batch:  # More than the texts that the traced function takes.
            return then(function(batch), features, lengths)
        return traced({name: batch[name] for name in features})

    return finish


def _trim(
    batch: Mapping[str, Any], features: Any, lengths: Mapping[str, int]
) -> dict[str, tf.RaggedTensor | tf.Tensor]:
    """`tokens.trim` on a batch of ragged tokens."""
    kept: dict[str, Any] = {}
    flags_B = tf.zeros(batch["targets"].nrows(), tf.int32)
    for name, flag in zip(TOKEN_FEATURES, (TRUNCATED_INPUTS, TRUNCATED_TARGETS), strict=True):
        if name not in lengths:
            continue
        ids = batch[name]
        kept[name] = tf.cast(ids[:, : lengths[name]], tf.int32)
        was_cut_B = ids.row_lengths() > lengths[name]
        flags_B += flag * tf.cast(was_cut_B, tf.int32)
        if name == "targets" and features[name].add_eos:
            last_B = kept[name][:, -1:].to_tensor(-1, shape=[None, 1])[:, 0]
            without_eos_B = was_cut_B & (last_B != features[name].vocabulary.eos_id)
            flags_B += CUT_EOS * tf.cast(without_eos_B, tf.int32)
    if LOSS_WEIGHTS in batch:
        weights = batch[LOSS_WEIGHTS]
        kept[LOSS_WEIGHTS] = weights[:, : lengths["targets"]]
        counts = [tf.cast(x.row_lengths(), tf.int32) for x in (weights, batch["targets"])]
        kept[tokens.WEIGHT_COUNTS] = tf.stack(counts, axis=1)
    return {**kept, "flags": flags_B}
