"""The TensorFlow side of `few_shot`; imported only from inside functions."""

from collections.abc import Callable, Mapping
from typing import Any

import seqio
import tensorflow as tf

from flan_jax.errors import DataError
from flan_jax.prompts import few_shot, graph


def compile_few_shot(
    spec: "few_shot.FewShot", pool: Mapping[str, Any], vocabulary: Any, budget: int | None
) -> Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]:
    """Returns a function of one example that does what `FewShot.render` does.

    Args:
      spec: what to render.
      pool: field -> tensor of the rows' values, with 'index'.
      vocabulary: seqio's, counts tokens.
      budget: most tokens; None sets no bound.

    Raises:
      DataError: the pool has no row.
    """
    templates = spec.templates.templates
    inputs = graph.compile_patterns([t.input_pattern for t in templates])
    targets = graph.compile_patterns([t.target_pattern for t in templates])
    fields = sorted({field for t in templates for field in t.fields} | {"index"})
    # Eager tensors become inputs of the map function: one copy, however many pipelines use them.
    columns = {field: tf.convert_to_tensor(pool[field]) for field in fields}
    columns["index"] = tf.cast(columns["index"], tf.int64)
    rows = len(columns["index"])
    if not rows:
        raise DataError(
            f"Template set {spec.templates.name!r}: the training split gives no rows to show as "
            "exemplars. Train without exemplars, or give the task rows to train on."
        )
    prime = few_shot.largest_prime(rows)
    candidates = min(spec.shots + few_shot.SPARE, prime)
    longest = max(len(ids) for ids in spec.alternatives)
    alternatives = [ids + [0] * (longest - len(ids)) for ids in spec.alternatives]
    counts = [len(ids) for ids in spec.alternatives]
    choose, text = graph.choose, spec.format

    def render(example: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        index = tf.cast(example["index"], tf.int64)
        which = spec.templates.choose_in_graph(index)

        start = choose(spec.seed, index, prime)
        stride = 1 + choose(~spec.seed, index, max(prime - 1, 1))
        drawn = (start + tf.range(candidates, dtype=tf.int64) * stride) % prime
        is_other = tf.gather(columns["index"], drawn) != index
        drawn = tf.boolean_mask(drawn, is_other)[: spec.shots]
        shown = {field: tf.gather(column, drawn) for field, column in columns.items()}

        count = tf.cast(tf.gather(tf.constant(counts), which), tf.int64)
        picks = tf.stack([choose(spec.seed ^ (i + 1), index, count) for i in range(spec.shots)])
        ids = tf.gather(tf.gather(tf.constant(alternatives), which), picks[: tf.size(drawn)])

        texts = text.exemplar(inputs(shown, ids), targets(shown, ids))
        asked = text.query(inputs(example, which))
        kept = tf.size(drawn)
        if budget is not None:
            lengths = _count_tokens(vocabulary, tf.concat([texts, [asked]], axis=0))
            total = lengths[-1] + tf.cumsum(lengths[:-1])
            kept = tf.reduce_sum(tf.cast(total <= budget, tf.int32))
        return {
            **example,
            "inputs": tf.strings.reduce_join(texts[:kept]) + asked,
            "targets": targets(example, which),
            "template_id": tf.cast(which, tf.int32),
            "num_exemplars": kept,
        }

    return render


def _count_tokens(vocabulary: Any, texts_N: tf.Tensor) -> tf.Tensor:
    if isinstance(vocabulary, seqio.SentencePieceVocabulary):
        lengths_N = vocabulary.encode_tf(texts_N).row_lengths()
    else:  # seqio asks its vocabularies for single texts only.
        lengths_N = tf.map_fn(
            lambda text: tf.size(vocabulary.encode_tf(text)),
            texts_N,
            fn_output_signature=tf.int32,
        )
    return tf.cast(lengths_N, tf.int32)
