"""The examples that a task's pipeline makes of its rows, with where each comes from.

The same examples as the training stream's, in the source's order and once each, or several times
with other choices of templates and exemplars: see `flan_jax.prompts.choice.rendering`.
"""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from flan_jax.data import batched, tokens
from flan_jax.data.config import LOSS_WEIGHTS, TOKEN_FEATURES, DatasetConfig, derive_seed
from flan_jax.data.packing import CUT_EOS, TRUNCATED_INPUTS, TRUNCATED_TARGETS
from flan_jax.errors import DataError, FlanJaxError
from flan_jax.prompts import choice

# What `manifest.Shard.counts` has: of the examples there are, and of those left out.
COUNTS = (
    "examples",
    "truncated_inputs",
    "truncated_targets",
    "without_inputs",
    "left_out_without_targets",
    "left_out_targets_all_cut",
    "left_out_same_rendering",
)

_ROW_NUMBER = "_row_number"
# Feature of a pipeline -> name in the provenance.
_SAID = {"template_id": "template_id", "num_exemplars": "shots"}
_CHUNK = 64


@dataclasses.dataclass(frozen=True)
class Rendered:
    """An example.

    Attributes:
      features: int32 tokens by feature, trimmed, and `targets_loss_weights` if there are any.
      row: number of the row in the split; of a task whose rows are not had by number, of the
        example that its pipeline made.
      rendering: which of the row's renderings.
      flags: as of `packing.Example`.
      originals: tokens of each feature before any cut.
      provenance: 'row_hash' and, where known, 'template_id' and 'shots'.
    """

    features: dict[str, np.ndarray]
    row: int
    rendering: int
    flags: int
    originals: tuple[int, ...]
    provenance: dict[str, Any]


def by_number(
    task: seqio.Task, cfg: DatasetConfig, start: int, stop: int, renderings: int
) -> Iterator[Rendered]:
    """Yields the examples of rows `start` to `stop`, those of one row together.

    Args:
      task: a task for which `batched.takes_numbers` holds.
      cfg: split and lengths.
      start: first row.
      stop: row behind the last.
      renderings: of each row.

    Raises:
      DataError: the source or a step fails, or gives what cannot be trained on.
    """
    read = _reader(task, cfg)
    size = batched.largest_chunk(task)
    for first in range(start, stop, size):
        row_B = np.arange(first, min(first + size, stop))
        found: list[Rendered] = []
        for number in range(renderings):
            try:
                found += read(row_B, number)
            except FlanJaxError:
                raise
            except Exception as error:
                where = f"rows {row_B[0]} to {row_B[-1]}, failed"
                raise tokens.source_error(task.name, cfg.split, where, error) from error
        found.sort(key=lambda one: (one.row, one.rendering))
        yield from found


def in_stream(task: seqio.Task, cfg: DatasetConfig, renderings: int) -> Iterator[Rendered]:
    """Yields the examples of a whole split through seqio's pipeline, rendering after rendering.

    Raises:
      DataError: as `by_number`.
    """
    for number in range(renderings):
        seed = cfg.seed if not number else derive_seed(cfg.seed or 0, "rendering", number)
        again = dataclasses.replace(cfg, seed=seed)
        with choice.rendering(number):
            # TensorFlow counts the operations that draw since the seed was set.
            tf.random.set_seed(seed or 0)
            try:
                dataset = _stream(task, again).ragged_batch(_CHUNK)
                iterator = iter(dataset.with_options(tokens.data_options()))
            except FlanJaxError:
                raise
            except Exception as error:
                raise tokens.source_error(task.name, cfg.split, "could not be opened", error) from (
                    error
                )
        first = 0
        while True:
            try:
                batch: Any = next(iterator, None)
            except Exception as error:
                raise tokens.source_error(task.name, cfg.split, "failed", error) from error
            if batch is None:
                break
            made = _taken_apart(batch, task, cfg, number, None, first)
            yield from made
            first += len(made)


def _reader(task: seqio.Task, cfg: DatasetConfig) -> Any:
    """Returns the function from row numbers and the number of a rendering to examples."""
    features, lengths = task.output_features, dict(cfg.task_feature_lengths)
    steps: list[Any] = list(task.preprocessors)
    functions = [step.bind(features, lengths) for step in steps[:-1]]
    finish = batched.finisher(steps[-1], features, lengths, _whole)
    source: Any = task.source

    def read(row_B: np.ndarray, number: int) -> list[Rendered]:
        numbers_B = tf.constant(row_B, tf.int64)
        batch = source.take(cfg.split, numbers_B)
        batch = {**batch, _ROW_NUMBER: numbers_B}
        with choice.rendering(number):
            for function in functions:
                batch = function(batch)
            made = finish(batch)
        # A traced last step gives tokens alone, of as many rows as it got.
        made = {**{name: batch[name] for name in (_ROW_NUMBER, *_SAID) if name in batch}, **made}
        count = made["targets"].nrows().numpy()
        if _ROW_NUMBER not in made:
            if count != len(row_B):
                return _halves(row_B, number, count)
            made[_ROW_NUMBER] = numbers_B
        rows = made[_ROW_NUMBER].numpy().tolist()
        return _taken_apart(made, task, cfg, number, rows, 0)

    def _halves(row_B: np.ndarray, number: int, count: int) -> list[Rendered]:
        """Finds out which rows a step dropped that does not pass on their numbers."""
        if not count:
            return []
        middle = len(row_B) // 2
        return read(row_B[:middle], number) + read(row_B[middle:], number)

    return read


def _whole(batch: Mapping[str, Any], features: Any, lengths: Mapping[str, int]) -> dict[str, Any]:
    """What follows a last step: its tokens before any cut, and what else is wanted of its batch."""
    del features
    wanted = (_ROW_NUMBER, *_SAID, LOSS_WEIGHTS)
    kept = {name: batch[name] for name in wanted if name in batch}
    return kept | {name: batch[name] for name in TOKEN_FEATURES if name in lengths}


def _stream(task: seqio.Task, cfg: DatasetConfig) -> tf.data.Dataset:
    """The pipeline of a task up to its last cut, with what is known of each example."""

    def keep(features):
        kept = {name: features[name] for name in task.output_features if name in features}
        kept |= {name: features[name] for name in (*_SAID, LOSS_WEIGHTS) if name in features}
        for name in cfg.token_features:
            kept[name + tokens.UNTRIMMED_SUFFIX] = tokens.untrimmed_length(features, name)
        return kept

    def step(dataset):
        return dataset.map(keep, num_parallel_calls=tf.data.AUTOTUNE)

    counting = tokens.counting_task(task)
    counting = counting.replace(preprocessors=[*counting.preprocessors, step])
    return tokens.open_task(counting, cfg, shuffle=False, num_epochs=1)


def _taken_apart(
    batch: Mapping[str, Any],
    task: seqio.Task,
    cfg: DatasetConfig,
    rendering: int,
    rows: list[int] | None,
    first: int,
) -> list[Rendered]:
    """Makes examples of a batch, whose rows are given or counted from `first`."""
    names = cfg.token_features
    columns = {name: tokens.vectors(batch[name]) for name in names}
    count = len(columns["targets"])
    untrimmed = {
        name: batch[name + tokens.UNTRIMMED_SUFFIX].numpy().tolist()
        if name + tokens.UNTRIMMED_SUFFIX in batch
        else [len(each) for each in columns[name]]
        for name in names
    }
    said = {
        label: batch[name].numpy().tolist()
        for name, label in _SAID.items()
        if name in batch and batch[name].shape.rank == 1 and batch[name].dtype.is_integer
    }
    weights = None
    if LOSS_WEIGHTS in batch:
        found = tokens.vectors(batch[LOSS_WEIGHTS])
        counts = list(zip(map(len, found), untrimmed["targets"], strict=True))
        weights = tokens.checked_weights(found, counts, task.name, cfg.split)
    made = []
    for i in range(count):
        row = first + i if rows is None else rows[i]
        features = {name: columns[name][i] for name in names}
        provenance = {
            "row_hash": _hash(features),
            **{label: values[i] for label, values in said.items()},
        }
        for name, ids in features.items():
            _check_ids(ids, task, name, row)
        originals = tuple(untrimmed[name][i] for name in names)
        features = {
            name: ids[: cfg.task_feature_lengths[name]].astype(np.int32)
            for name, ids in features.items()
        }
        flags = _flags(features, originals, task, cfg)
        if weights is not None:
            features[LOSS_WEIGHTS] = weights[i][: cfg.target_length]
        made.append(Rendered(features, row, rendering, flags, originals, provenance))
    return made


def _hash(features: Mapping[str, np.ndarray]) -> str:
    """Returns 16 hexadecimal digits that depend on the tokens of all features, before any cut."""
    digest = hashlib.blake2b(digest_size=8)
    for ids in features.values():
        digest.update(len(ids).to_bytes(4, "little"))
        digest.update(ids.astype("<i4").tobytes())
    return digest.hexdigest()


def _check_ids(ids: np.ndarray, task: seqio.Task, name: str, row: int) -> None:
    size = task.output_features[name].vocabulary.vocab_size
    if len(ids) and (ids.min() < 0 or ids.max() >= size):
        bad = ids[(ids < 0) | (ids >= size)][0]
        raise DataError(
            f"Task {task.name!r}, row {row}: {name!r} holds the id {bad}, and its vocabulary has "
            f"the ids 0 to {size - 1}. Mend the step that makes it, or name its vocabulary."
        )


def _flags(
    features: Mapping[str, np.ndarray],
    originals: tuple[int, ...],
    task: seqio.Task,
    cfg: DatasetConfig,
) -> int:
    flags = 0
    for name, original in zip(features, originals, strict=True):
        if original > cfg.task_feature_lengths[name]:
            flags |= TRUNCATED_INPUTS if name == "inputs" else TRUNCATED_TARGETS
    feature = task.output_features["targets"]
    if flags & TRUNCATED_TARGETS and feature.add_eos:
        last = features["targets"][-1:]
        flags |= 0 if (last == feature.vocabulary.eos_id).any() else CUT_EOS
    return flags


class Selection:
    """Which examples are kept, and how many of what kind there were.

    Left out, and counted: an example without a target token, one of whose targets nothing but the
    end token is left after the cut, and one that equals an earlier rendering of its row.

    Args:
      eos_id: of the targets.
      renderings: most of a row.
    """

    def __init__(self, eos_id: int | None, renderings: int):
        self._counts: dict[str, int] = {name: 0 for name in COUNTS}
        self._eos_id, self._renderings = eos_id, renderings
        self._seen: set[tuple[int, str]] = set()

    def take_counts(self) -> dict[str, int]:
        """Returns the counts since the last call, by the names of `COUNTS`."""
        counts, self._counts = self._counts, {name: 0 for name in COUNTS}
        return counts

    def takes(self, one: Rendered) -> bool:
        """Counts an example and says whether it is kept."""
        targets = one.features["targets"]
        if not len(targets):
            kind = "left_out_without_targets"
        elif one.flags & TRUNCATED_TARGETS and (targets == self._eos_id).all():
            kind = "left_out_targets_all_cut"
        elif (one.row, one.provenance["row_hash"]) in self._seen:
            kind = "left_out_same_rendering"
        else:
            kind = "examples"
        counts = self._counts
        counts[kind] += 1
        if kind != "examples":
            return False
        if self._renderings > 1:
            self._seen.add((one.row, one.provenance["row_hash"]))
        counts["truncated_inputs"] += bool(one.flags & TRUNCATED_INPUTS)
        counts["truncated_targets"] += bool(one.flags & TRUNCATED_TARGETS)
        counts["without_inputs"] += not len(one.features.get("inputs", targets))
        return True
