"""One seqio task as an endless stream of tokenised, trimmed and counted examples.

seqio trims without a word, in two places: `append_eos_after_trim` inside a task, and at its end.
Both are replaced by versions that give the same tokens and also say how long the feature was.
"""

import functools
import logging
import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from flan_jax.data.config import REQUIRED_FEATURES, DatasetConfig, derive_seed
from flan_jax.data.mixture import empty_split_error
from flan_jax.data.packing import CUT_EOS, TRUNCATED_INPUTS, TRUNCATED_TARGETS, Example
from flan_jax.errors import DataError, FlanJaxError

_CHUNK = 64
_SLOW_START_S = 60.0
_UNTRIMMED = "_untrimmed_length"

_log = logging.getLogger(__name__)


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
            name + _UNTRIMMED: tf.size(features[name]) + int(feature.add_eos)
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
      lengths: most tokens by feature name.

    Returns:
      `{'inputs', 'targets'}` as int32, and an int32 sum of the flags of `packing.Example`.
    """
    kept, flags = {}, tf.constant(0)
    for name, flag in zip(REQUIRED_FEATURES, (TRUNCATED_INPUTS, TRUNCATED_TARGETS), strict=True):
        tokens = features[name]
        untrimmed = tf.maximum(tf.size(tokens), features.get(name + _UNTRIMMED, 0))
        kept[name] = tf.cast(tokens[: lengths[name]], tf.int32)
        was_cut = tf.cast(untrimmed > lengths[name], tf.int32)
        flags += flag * was_cut
        if name == "targets" and output_features[name].add_eos:
            eos = output_features[name].vocabulary.eos_id
            has_eos = tf.reduce_any(kept[name][-1:] == eos)
            flags += CUT_EOS * was_cut * tf.cast(~has_eos, tf.int32)
    return kept, flags


def data_options() -> tf.data.Options:
    """Returns options for a deterministic pipeline that leaves the CPU to training."""
    options = tf.data.Options()
    options.deterministic = True
    # One tuning thread for each of hundreds of tasks costs more than it gains.
    options.autotune.enabled = False
    options.threading.max_intra_op_parallelism = 1
    return options


def token_dataset(
    task: seqio.Task, cfg: DatasetConfig, *, shuffle: bool, num_epochs: int | None
) -> tf.data.Dataset:
    """Returns `{'inputs', 'targets', 'flags'}` of a task's split, trimmed, before batching.

    The random parts of the pipeline get a seed derived from the configuration's and the task name.
    """
    lengths = dict(cfg.task_feature_lengths)
    task = counting_task(task)
    seed = derive_seed(cfg.seed or 0, task.name)
    rows = task.num_input_examples(cfg.split)
    buffer = task.shuffle_buffer_size
    # The task repeats its rows before it shuffles, so a buffer larger than the split would be
    # filled, at the cost of start-up time, with copies of the same rows.
    if buffer is not None and rows:
        buffer = min(buffer, rows)

    def keep(features):
        # Other output features stay because seqio checks that they are there.
        others = {name: features[name] for name in task.output_features if name in features}
        kept, flags = trim(features, task.output_features, lengths)
        return {**others, **kept, "flags": flags}

    # Operations that draw without a seed of their own take it from here.
    tf.random.set_seed(seed)
    # Steps after the last one of the task run before seqio's shuffle, so that its buffer, which
    # is part of every snapshot, holds tokens alone.
    task = task.replace(preprocessors=[*task.preprocessors, _map_step(keep)])
    return task.get_dataset(
        sequence_length=lengths,
        split=cfg.split,
        use_cached=cfg.use_cached,
        shuffle=shuffle,
        shuffle_buffer_size=buffer,
        seed=seed,
        num_epochs=num_epochs,
        trim_output_features=False,
        try_in_mem_cache=False,
    )


def chunk_examples(batch: Any, name: str, task_id: int, cfg: DatasetConfig) -> list[Example]:
    """Takes a ragged batch of `token_dataset` apart.

    Raises:
      DataError: `cfg.strict` is set and an example has cut or no targets.
    """
    inputs, targets = batch["inputs"], batch["targets"]
    flags = batch["flags"].numpy().tolist()
    inputs_N, targets_N = inputs.flat_values.numpy(), targets.flat_values.numpy()
    input_ends, target_ends = inputs.row_splits.numpy(), targets.row_splits.numpy()
    if cfg.strict:
        _check_strict(flags, np.diff(target_ends), name, cfg)
    a, b = input_ends.tolist(), target_ends.tolist()
    return [
        Example(task_id, inputs_N[a[i] : a[i + 1]], targets_N[b[i] : b[i + 1]], flag)
        for i, flag in enumerate(flags)
    ]


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


class TaskStream:
    """Endless examples of one task's split, in an order given by the seed.

    The pipeline is built at the first `next()`.

    Attributes:
      name: the task's.
      position: chunks read from the pipeline so far.
      saveable: whether TensorFlow can write the pipeline's position; None until it was tried.
    """

    def __init__(self, task: seqio.Task, task_id: int, cfg: DatasetConfig):
        """Keeps the arguments; nothing is read yet."""
        self.name = task.name
        self.position = 0
        self.saveable: bool | None = None
        self._task, self._task_id, self._cfg = task, task_id, cfg
        self._iterator: Any = None
        self._chunk: list[Example] = []
        self._next = 0

    def next(self) -> Example:
        """Returns the next example.

        Raises:
          DataError: the split is empty or its pipeline failed; the task is named.
        """
        if self._next == len(self._chunk):
            self._chunk, self._next = self._read_chunk(), 0
        self._next += 1
        return self._chunk[self._next - 1]

    def pending(self) -> list[Example]:
        """Examples read from the pipeline and not yet returned by `next`."""
        return self._chunk[self._next :]

    def iterator(self) -> Any:
        """The TensorFlow iterator, built at need."""
        if self._iterator is None:
            cfg = self._cfg
            try:
                dataset = token_dataset(self._task, cfg, shuffle=cfg.shuffle, num_epochs=None)
                self._iterator = iter(dataset.ragged_batch(_CHUNK).with_options(data_options()))
            except FlanJaxError:
                raise
            except Exception as error:
                raise self._failure("could not be opened", error) from error
        return self._iterator

    def move_to(self, position: int, pending: list[Example], restored: bool) -> None:
        """Puts a fresh stream where another one stood.

        Args:
          position: chunks that stream had read.
          pending: its examples not yet returned.
          restored: whether the TensorFlow iterator stands there already. Otherwise the chunks are
            read again, which costs as much as it did the first time.
        """
        if not restored:
            iterator = self.iterator()
            for _ in range(position):
                next(iterator)
        self.position = position
        self._chunk, self._next = pending, 0

    def _read_chunk(self) -> list[Example]:
        iterator = self.iterator()
        watch = None
        if not self.position:
            watch = threading.Timer(_SLOW_START_S, self._warn_slow)
            watch.daemon = True
            watch.start()
        try:
            batch = next(iterator)
        except StopIteration:
            raise empty_split_error(self.name, self._cfg.split) from None
        except Exception as error:
            raise self._failure("failed while reading", error) from error
        finally:
            if watch is not None:
                watch.cancel()
        self.position += 1
        return chunk_examples(batch, self.name, self._task_id, self._cfg)

    def _failure(self, what: str, error: Exception) -> DataError:
        return source_error(self.name, self._cfg.split, what, error)

    def _warn_slow(self) -> None:
        _log.warning(
            "task %r, split %r, has given no example in %.0f s; does a filter drop every row?",
            self.name,
            self._cfg.split,
            _SLOW_START_S,
        )


def _map_step(function: Any) -> Any:
    def step(dataset: tf.data.Dataset) -> tf.data.Dataset:
        return dataset.map(function, num_parallel_calls=tf.data.AUTOTUNE)

    return step


class MemoryStream:
    """Endless examples of one task's split, tokenised once and kept.

    Example number n is a function of the seed and n: each epoch is one permutation of the split.
    So the position, in examples, is all there is to save.

    Attributes:
      name: the task's.
      position: examples returned so far.
      saveable: always False: there is no TensorFlow iterator to write.
    """

    def __init__(self, task: seqio.Task, task_id: int, cfg: DatasetConfig):
        """Keeps the arguments; the split is read at the first `next`."""
        self.name = task.name
        self.position = 0
        self.saveable = False
        self._task, self._task_id, self._cfg = task, task_id, cfg
        self._examples: list[Example] | None = None
        self._epoch = -1
        self._order: list[int] = []

    def next(self) -> Example:
        """Returns the next example.

        Raises:
          DataError: the split is empty or its pipeline failed; the task is named.
        """
        if self._examples is None:
            self._examples = self._read()
        epoch, offset = divmod(self.position, len(self._examples))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._permutation(epoch, len(self._examples))
        self.position += 1
        return self._examples[self._order[offset]]

    def pending(self) -> list[Example]:
        """Nothing: an example is read when it is returned."""
        return []

    def move_to(self, position: int, pending: list[Example], restored: bool) -> None:
        """Puts the stream after example number `position`."""
        assert not pending and not restored
        self.position = position

    def iterator(self) -> Any:
        """Not called: `saveable` is False."""
        raise NotImplementedError

    def _permutation(self, epoch: int, count: int) -> list[int]:
        if not self._cfg.shuffle:
            return list(range(count))
        key = derive_seed(self._cfg.seed or 0, self.name, "order", epoch)
        return np.random.Generator(np.random.Philox(key=key)).permutation(count).tolist()

    def _read(self) -> list[Example]:
        cfg, examples = self._cfg, []
        try:
            dataset = token_dataset(self._task, cfg, shuffle=False, num_epochs=1)
            for batch in dataset.ragged_batch(_CHUNK).with_options(data_options()):
                examples += chunk_examples(batch, self.name, self._task_id, cfg)
        except FlanJaxError:
            raise
        except Exception as error:
            raise source_error(self.name, cfg.split, "could not be read", error) from error
        if not examples:
            raise empty_split_error(self.name, cfg.split)
        return examples


def save_streams(
    streams: Sequence[TaskStream | MemoryStream],
) -> tuple[dict[str, bytes], list[int]]:
    """Returns TensorFlow's files of the streams' positions, and the ids of the streams in them.

    A stream that has read nothing, or whose pipeline TensorFlow cannot write, is not in them.
    """
    started = [i for i, stream in enumerate(streams) if stream.position]
    wanted = [i for i in started if streams[i].saveable is not False]
    files = _write(streams, wanted)
    if files is None:
        for i in wanted:
            streams[i].saveable = _write(streams, [i]) is not None
        wanted = [i for i in wanted if streams[i].saveable]
        files = _write(streams, wanted)
        assert files is not None, "pipelines that can be written alone can be written together"
    return files, wanted


def load_streams(
    streams: Sequence[TaskStream | MemoryStream],
    files: Mapping[str, bytes],
    saved: Sequence[int],
    positions: Sequence[int],
    pending: Sequence[Example],
) -> None:
    """Puts fresh streams at the positions that `save_streams` wrote.

    Args:
      streams: streams of the same configuration, not yet read.
      files: TensorFlow's files.
      saved: ids of the streams in `files`; others are read again up to their position.
      positions: by stream, its `position`.
      pending: examples of all streams that were read and not returned, in stream order.
    """
    if saved:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(content)
            status = _checkpoint(streams, saved).read(os.path.join(folder, "state"))
            status.assert_consumed()
    for i, stream in enumerate(streams):
        if positions[i]:
            held = [example for example in pending if example.task_id == i]
            stream.move_to(positions[i], held, restored=i in saved)


def _write(
    streams: Sequence[TaskStream | MemoryStream], ids: Sequence[int]
) -> dict[str, bytes] | None:
    if not ids:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            _checkpoint(streams, ids).write(os.path.join(folder, "state"))
        except (tf.errors.FailedPreconditionError, tf.errors.UnimplementedError):
            return None
        files = {}
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as file:
                files[name] = file.read()
        return files


def _checkpoint(
    streams: Sequence[TaskStream | MemoryStream], ids: Sequence[int]
) -> tf.train.Checkpoint:
    return tf.train.Checkpoint(**{f"task{i}": streams[i].iterator() for i in ids})
