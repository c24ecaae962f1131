"""The texts of a task's rows, as far as they are the rows' own: without instructions, if possible.

Two tasks with like instructions share words that say nothing about their data. Where a task renders
templates, the texts are the fields that these show, read before the rendering, but for the block of
options, whose heading is an instruction too (the options themselves count). Others may name fields
of their source (`Description.text_fields`); else the prompt and the target are all there is.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import seqio
import tensorflow as tf

from flan_jax.data import description, tokens
from flan_jax.data.config import DatasetConfig

# What `flan_jax.prompts.OptionsRenderer` writes, and what it writes it from.
_OPTIONS_BLOCK, _OPTIONS = "options_", "options"
# Between the texts of a row; it occurs in none of them.
_UNIT_SEPARATOR = "\x1f"
_BATCH = 256


@dataclasses.dataclass(frozen=True)
class RowTexts:
    """Texts of a task's split.

    Attributes:
      fields: the fields they are from; none where they are prompts and targets.
      instructed: whether they may hold words of an instruction.
      batches: lists of rows, each a list of texts.
    """

    fields: tuple[str, ...]
    instructed: bool
    batches: Iterator[list[list[str]]]


def read_texts(
    task: seqio.Task,
    cfg: DatasetConfig,
    limit: int | None = None,
    named: tuple[str, ...] = (),
) -> RowTexts:
    """Opens the texts of the split `cfg.split` of a task, row by row in the source's order.

    Args:
      task: any seqio task.
      cfg: split, lengths and cache; its name and rates are not used.
      limit: most rows.
      named: the task's `Description.text_fields`.

    Raises:
      DataError: the source cannot be read, here or while `batches` are taken.
    """
    try:
        rows, fields = _open(task, cfg, named)
    except Exception as error:
        raise tokens.source_error(task.name, cfg.split, "could not be read", error) from error
    rows = rows.take(-1 if limit is None else limit)
    rows = rows.map(lambda row: _join(row, fields), num_parallel_calls=tf.data.AUTOTUNE)
    rows = rows.batch(_BATCH).with_options(tokens.data_options())
    instructed = not fields or fields == named
    return RowTexts(fields, instructed, _batches(rows, task.name, cfg.split))


def _open(
    task: seqio.Task, cfg: DatasetConfig, named: tuple[str, ...]
) -> tuple[tf.data.Dataset, tuple[str, ...]]:
    if named:
        task.num_input_examples(cfg.split)
        return task.source.get_dataset(split=cfg.split, shuffle=False), named
    carried = description.templates_of(task)
    if carried is not None and not cfg.use_cached:
        # TFDS would download what is not there; counting the rows says so instead.
        task.num_input_examples(cfg.split)
        rows = task.source.get_dataset(split=cfg.split, shuffle=False)
        for step in task.preprocessors[: carried.step]:
            rows = seqio.utils.add_kwargs_to_transform(
                step,
                sequence_length=dict(cfg.task_feature_lengths),
                output_features=task.output_features,
            )(rows)
        shown = [_OPTIONS if field == _OPTIONS_BLOCK else field for field in carried.fields]
        fields = tuple(field for field in dict.fromkeys(shown) if _is_text(rows, field))
        if fields:
            return rows, fields
    rows = tokens.open_task(task, cfg, shuffle=False, num_epochs=1)
    pretokenized = [f"{name}_pretokenized" for name in cfg.token_features]
    if all(_is_text(rows, name) for name in pretokenized):
        return rows.map(lambda row: {name: row[name] for name in pretokenized}), ()
    features = task.output_features
    return rows.map(
        lambda row: {
            name: features[name].vocabulary.decode_tf(row[name]) for name in cfg.token_features
        }
    ), ()


def _is_text(rows: tf.data.Dataset, field: str) -> bool:
    spec = rows.element_spec.get(field)  # pyright: ignore[reportAttributeAccessIssue]
    return getattr(spec, "dtype", None) == tf.string


def _join(row: dict[str, Any], fields: tuple[str, ...]) -> tf.Tensor:
    texts = [row[field] for field in fields or row]
    flat = [
        text.flat_values if isinstance(text, tf.RaggedTensor) else tf.reshape(text, [-1])
        for text in texts
    ]
    return tf.strings.reduce_join(tf.concat(flat, axis=0), separator=_UNIT_SEPARATOR)


def _batches(rows: tf.data.Dataset, name: str, split: str) -> Iterator[list[list[str]]]:
    iterator = rows.as_numpy_iterator()
    while True:
        try:
            batch = next(iterator, None)
        except Exception as error:
            raise tokens.source_error(name, split, "could not be read", error) from error
        if batch is None:
            return
        yield [row.decode("utf-8", errors="replace").split(_UNIT_SEPARATOR) for row in batch]
