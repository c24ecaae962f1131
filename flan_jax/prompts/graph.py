"""The TensorFlow side of templates: pattern tables rendered with a few string operations.

Imported only from inside functions, since it pulls in TensorFlow.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from flan_jax.errors import ConfigError, NotFoundError, suggest
from flan_jax.prompts.choice import MASK_32, MIX_ROUNDS, seed_state
from flan_jax.prompts.template import Pattern

AUTOTUNE = tf.data.AUTOTUNE


def compile_patterns(patterns: Sequence[Pattern]) -> Callable[[Mapping[str, Any], Any], tf.Tensor]:
    """Compiles patterns into `render(example, which) -> scalar string tensor`.

    The patterns become two tables padded with empty text, so the graph has the same few operations
    for one pattern or for a hundred: gather the row, gather the fields, join.

    Args:
      patterns: the alternatives; `which` (int, scalar int tensor) picks one.

    Returns:
      A function of a dict of scalar string or integer tensors. With a vector of N ids it takes
      fields of N values each and gives N texts.
    """
    fields = list(dict.fromkeys(field for pattern in patterns for field in pattern.fields))
    width = max(len(pattern.literals) for pattern in patterns)
    literals, slots = [], []
    for pattern in patterns:
        padding = width - len(pattern.literals)
        literals.append(list(pattern.literals) + [""] * padding)
        # Slot 0 is the empty text; every literal is followed by one slot.
        row = [fields.index(field) + 1 for field in pattern.fields]
        slots.append(row + [0] * (width - len(row)))

    def render(example: Mapping[str, Any], which: Any) -> tf.Tensor:
        which = tf.convert_to_tensor(which)
        rank = which.shape.rank
        values = [_as_string(example, field, rank) for field in fields]
        values = tf.stack([tf.fill(tf.shape(which), "")] + values, axis=-1)
        texts = tf.gather(tf.constant(literals), which)
        filled = tf.gather(
            values, tf.gather(tf.constant(slots, tf.int32), which), axis=-1, batch_dims=rank
        )
        # Each literal is followed by its field.
        return tf.strings.reduce_join(tf.strings.join([texts, filled]), axis=-1)

    return render


def _as_string(example: Mapping[str, Any], field: str, rank: int) -> tf.Tensor:
    if field not in example:
        raise NotFoundError(
            f"The data set has no field {field!r}; it has {sorted(example)}."
            + suggest(field, example)
        )
    value = tf.convert_to_tensor(example[field])
    if value.shape.rank != rank:
        raise ConfigError(
            f"Field {field!r} has shape {value.shape}; a template takes one text or whole number "
            "per example. Join it in an earlier step."
        )
    if value.dtype == tf.string:
        return value
    if value.dtype.is_integer:
        return tf.strings.as_string(value)
    raise ConfigError(
        f"Field {field!r} has dtype {value.dtype.name}; a template takes text or whole numbers. "
        "Turn it into text in an earlier step, so that every path writes it the same way."
    )


def choose(seed: int, index: tf.Tensor, count: Any) -> tf.Tensor:
    """The graph form of `flan_jax.prompts.choice.choose`: scalar int64 index in, int64 out."""
    mask = tf.constant(MASK_32, tf.int64)
    index = tf.cast(index, tf.int64)
    low = tf.bitwise.bitwise_and(index, mask)
    # The shift of a negative number keeps its sign, so the mask follows it.
    high = tf.bitwise.bitwise_and(tf.bitwise.right_shift(index, tf.constant(32, tf.int64)), mask)
    state = _mix(tf.bitwise.bitwise_xor(tf.constant(seed_state(seed), tf.int64), low))
    state = _mix(tf.bitwise.bitwise_xor(state, high))
    return tf.bitwise.right_shift(state * count, tf.constant(32, tf.int64))


def _mix(value: tf.Tensor) -> tf.Tensor:
    mask = tf.constant(MASK_32, tf.int64)
    for shift, factor in MIX_ROUNDS:
        shifted = tf.bitwise.right_shift(value, tf.constant(shift, tf.int64))
        # int64 products wrap, but their low 32 bits are those of the true product.
        value = tf.bitwise.bitwise_and(tf.bitwise.bitwise_xor(value, shifted) * factor, mask)
    return value
