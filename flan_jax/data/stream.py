"""One seqio task as an endless stream of tokenised, trimmed and counted examples.

seqio trims without a word, in two places: `append_eos_after_trim` inside a task, and at its end.
Both are replaced by versions that give the same tokens and also say how long the feature was.
"""

import functools
import logging
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
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
    for name, flag in zip(
        REQUIRED_FEATURES, (TRUNCATED_INPUTS, TRUNCATED_TARGETS), strict=True
    ):
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


class TaskStream:
    """Endless examples of one task's split, in an order given by the seed.

    The pipeline is built at the first `next()`. Its random parts get a seed derived from the
    configuration's seed and the task's name.
    """

    def __init__(self, task: seqio.Task, task_id: int, cfg: DatasetConfig):
        self.name = task.name
        self._task, self._task_id, self._cfg = task, task_id, cfg
        self.chunks_read = 0
        # Whether TensorFlow can write the pipeline's position; None until it has been tried.
        self.saveable: bool | None = None
        self._iterator: Any = None
        self._chunk: list[Example] = []
        self._position = 0

    def next(self) -> Example:
        """Returns the next example.

        Raises:
          DataError: the split is empty or its pipeline failed; the task is named.
        """
        if self._position == len(self._chunk):
            self._chunk, self._position = self._read_chunk(), 0
        self._position += 1
        return self._chunk[self._position - 1]

    def pending(self) -> list[Example]:
        """Examples read from the pipeline and not yet returned by `next`."""
        return self._chunk[self._position :]

    def iterator(self) -> Any:
        """The TensorFlow iterator, built at need."""
        if self._iterator is None:
            try:
                self._iterator = iter(self._dataset())
            except FlanJaxError:
                raise
            except Exception as error:
                raise self._failure("could not be opened", error) from error
        return self._iterator

    def move_to(self, chunks: int, pending: list[Example], restored: bool) -> None:
        """Puts a fresh stream where another one stood.

        Args:
          chunks: chunks that stream had read.
          pending: its examples not yet returned.
          restored: whether the TensorFlow iterator stands there already. Otherwise the chunks are
            read again, which costs as much as it did the first time.
        """
        if not restored:
            iterator = self.iterator()
            for _ in range(chunks):
                next(iterator)
        self.chunks_read = chunks
        self._chunk, self._position = pending, 0

    def _dataset(self) -> tf.data.Dataset:
        cfg = self._cfg
        lengths = dict(cfg.task_feature_lengths)
        task = counting_task(self._task)
        seed = derive_seed(cfg.seed or 0, self.name)
        rows = task.num_input_examples(cfg.split)
        buffer = task.shuffle_buffer_size
        # The task repeats its rows before it shuffles, so a buffer larger than the split would
        # be filled, at the cost of start-up time, with copies of the same rows.
        if buffer is not None and rows:
            buffer = min(buffer, rows)

        def keep(features):
            # Other output features stay because seqio checks that they are there.
            others = {name: features[name] for name in task.output_features if name in features}
            kept, flags = trim(features, task.output_features, lengths)
            return {**others, **kept, "flags": flags}

        # Operations that draw without a seed of their own take it from here.
        tf.random.set_seed(seed)
        # Steps after the last one of the task run before seqio's shuffle, so that its buffer,
        # which is part of every snapshot, holds tokens alone.
        task = task.replace(preprocessors=[*task.preprocessors, _map_step(keep)])
        dataset = task.get_dataset(
            sequence_length=lengths,
            split=cfg.split,
            use_cached=cfg.use_cached,
            shuffle=cfg.shuffle,
            shuffle_buffer_size=buffer,
            seed=seed,
            num_epochs=None,
            trim_output_features=False,
            try_in_mem_cache=False,
        )
        return dataset.ragged_batch(_CHUNK).with_options(data_options())

    def _read_chunk(self) -> list[Example]:
        iterator = self.iterator()
        watch = None
        if not self.chunks_read:
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
        self.chunks_read += 1
        return list(self._examples(batch))

    def _examples(self, batch: Any) -> Iterator[Example]:
        inputs, targets = batch["inputs"], batch["targets"]
        flags = batch["flags"].numpy().tolist()
        inputs_N, targets_N = inputs.flat_values.numpy(), targets.flat_values.numpy()
        input_ends, target_ends = inputs.row_splits.numpy(), targets.row_splits.numpy()
        if self._cfg.strict:
            self._check_strict(flags, np.diff(target_ends))
        inputs_end, targets_end = input_ends.tolist(), target_ends.tolist()
        for i, flag in enumerate(flags):
            yield Example(
                self._task_id,
                inputs_N[inputs_end[i] : inputs_end[i + 1]],
                targets_N[targets_end[i] : targets_end[i + 1]],
                flag,
            )

    def _check_strict(self, flags: list[int], target_lengths: np.ndarray) -> None:
        cut = sum(bool(flag & TRUNCATED_TARGETS) for flag in flags)
        empty = int((target_lengths == 0).sum())
        if cut or empty:
            raise DataError(
                f"Task {self.name!r}, split {self._cfg.split!r}: of {len(flags)} examples, {cut} "
                f"have more than {self._cfg.target_length} target tokens and {empty} have none, "
                "and DatasetConfig.strict is set. Raise the length of 'targets', or set "
                "utils.DatasetConfig.strict = False to count them instead."
            )

    def _failure(self, what: str, error: Exception) -> DataError:
        return DataError(
            f"Task {self.name!r}, split {self._cfg.split!r}, {what}: "
            f"{type(error).__name__}: {error}"
        )

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


def save_streams(streams: Sequence[TaskStream]) -> tuple[dict[str, bytes], list[int]]:
    """Returns TensorFlow's files of the streams' positions, and the ids of the streams in them.

    A stream that has read nothing, or whose pipeline TensorFlow cannot write, is not in them.
    """
    started = [i for i, stream in enumerate(streams) if stream.chunks_read]
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
    streams: Sequence[TaskStream],
    files: Mapping[str, bytes],
    saved: Sequence[int],
    chunks: Sequence[int],
    pending: Sequence[Example],
) -> None:
    """Puts fresh streams at the positions that `save_streams` wrote.

    Args:
      streams: streams of the same configuration, not yet read.
      files: TensorFlow's files.
      saved: ids of the streams in `files`; others are read again up to their position.
      chunks: by stream, the chunks it had read.
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
        if chunks[i]:
            held = [example for example in pending if example.task_id == i]
            stream.move_to(chunks[i], held, restored=i in saved)


def _write(streams: Sequence[TaskStream], ids: Sequence[int]) -> dict[str, bytes] | None:
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


def _checkpoint(streams: Sequence[TaskStream], ids: Sequence[int]) -> tf.train.Checkpoint:
    return tf.train.Checkpoint(**{f"task{i}": streams[i].iterator() for i in ids})
