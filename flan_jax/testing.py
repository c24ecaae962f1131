"""Small tasks, vocabularies and models for tests: this package's and yours.

seqio is imported when a task or vocabulary is asked for, not with this module.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

TOY_WORDS = tuple("copy reverse red green blue one two three four five six seven".split())


def toy_vocabulary() -> Any:
    """Returns a `WordVocabulary` of `TOY_WORDS`: 15 ids with padding, end and unknown."""
    from flan_jax.data.vocabularies import word_vocabulary

    return word_vocabulary(TOY_WORDS)


def toy_rows(num_examples: int, seed: int = 0, max_words: int = 6) -> list[tuple[str, str]]:
    """Returns (input, target) texts: 'copy w1 .. wn' or 'reverse w1 .. wn' and the words to say.

    >>> toy_rows(2, seed=1, max_words=2)
    [('reverse red green', 'green red'), ('copy seven', 'seven')]
    """
    generator = np.random.default_rng(seed)
    rows = []
    for _ in range(num_examples):
        verb = TOY_WORDS[int(generator.integers(2))]
        count = int(generator.integers(1, max_words + 1))
        words = [TOY_WORDS[i] for i in generator.integers(2, len(TOY_WORDS), count)]
        answer = words if verb == "copy" else words[::-1]
        rows.append((" ".join([verb, *words]), " ".join(answer)))
    return rows


def register_toy_task(
    name: str,
    num_examples: int = 40,
    *,
    rows: Sequence[tuple[str, str]] | None = None,
    splits: Sequence[str] = ("train", "validation"),
    seed: int = 0,
    source: str = "tensor",
    directory: str | None = None,
    vocabulary: Any = None,
    preprocessors: Sequence[Any] = (),
    eos_after_trim: bool = True,
    inputs_eos: bool = True,
    has_inputs: bool = True,
    shuffle_buffer_size: int | None = 16,
    metric_fns: Sequence[Any] | None = None,
    report_size: bool = True,
) -> Any:
    """Registers a seqio task over `toy_rows`, replacing one of that name, and returns it.

    Args:
      name: task name.
      num_examples: rows of every split.
      rows: (input, target) texts of every split, instead of `toy_rows`.
      splits: split names; each gets rows of its own when they are generated.
      seed: seed of the generated rows.
      source: how rows reach seqio: 'tensor' (in memory), 'generator' (a Python generator, which
        TensorFlow cannot snapshot), 'tfds' (interleaved shards, like a TFDS read) or 'text' (TSV
        files in `directory`).
      directory: folder for the files of 'text'.
      vocabulary: a seqio vocabulary; `toy_vocabulary()` by default.
      preprocessors: steps between reading and tokenising.
      eos_after_trim: end with `append_eos_after_trim`; otherwise `append_eos`, which lets seqio cut
        the end token off a long feature.
      inputs_eos: whether inputs end with the end token too.
      has_inputs: False gives plain text, input and target in one as 'targets', for models without
        an encoder.
      shuffle_buffer_size: as in seqio.
      metric_fns: seqio metrics; exact-match accuracy in percent by default.
      report_size: whether the source tells its number of rows.

    Returns:
      The seqio.Task.
    """
    import seqio

    if vocabulary is None:
        vocabulary = toy_vocabulary()
    by_split = {
        split: list(rows) if rows is not None else toy_rows(num_examples, seed + i)
        for i, split in enumerate(splits)
    }
    sizes = {split: len(lines) for split, lines in by_split.items()} if report_size else None
    eos = seqio.preprocessors.append_eos_after_trim if eos_after_trim else None
    unregister(name)
    features = {"targets": seqio.Feature(vocabulary=vocabulary, add_eos=True)}
    if has_inputs:
        inputs = seqio.Feature(vocabulary=vocabulary, add_eos=inputs_eos)
        features = {"inputs": inputs, **features}
    return seqio.TaskRegistry.add(
        name,
        source=_source(source, by_split, sizes, directory, name),
        preprocessors=[
            _split_columns if has_inputs else _join_columns,
            *preprocessors,
            seqio.preprocessors.tokenize,
            eos or seqio.preprocessors.append_eos,
        ],
        output_features=features,
        metric_fns=[exact_match] if metric_fns is None else list(metric_fns),
        shuffle_buffer_size=shuffle_buffer_size,
    )


def register_toy_mixture(name: str, rates: dict[str, float]) -> Any:
    """Registers a seqio mixture with a rate by task or mixture name, replacing one of that name."""
    import seqio

    unregister(name)
    return seqio.MixtureRegistry.add(name, list(rates.items()))


def unregister(name: str) -> None:
    """Removes a task and mixture of this name from seqio's registries, if there."""
    import seqio

    for registry in (seqio.TaskRegistry, seqio.MixtureRegistry):
        if name in registry.names():
            registry.remove(name)


def exact_match(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """Share of predictions equal to their target, in percent."""
    pairs = list(zip(targets, predictions, strict=True))
    return {"exact_match": 100.0 * sum(a == b for a, b in pairs) / max(1, len(pairs))}


def tiny_t5_config(**changes: Any) -> Any:
    """Returns a `T5Config` of a few thousand parameters over `toy_vocabulary`, in float32.

    Args:
      **changes: fields to set otherwise.
    """
    from flan_jax.models.t5 import T5Config

    fields: dict[str, Any] = {
        "vocab_size": 16,
        "emb_dim": 16,
        "num_heads": 2,
        "num_encoder_layers": 2,
        "num_decoder_layers": 2,
        "head_dim": 8,
        "mlp_dim": 32,
        "dropout_rate": 0.0,
        "dtype": "float32",
    }
    return T5Config(**{**fields, **changes})


def tiny_decoder_config(**changes: Any) -> Any:
    """Returns a `DecoderConfig` of a few thousand parameters over `toy_vocabulary`, in float32.

    Args:
      **changes: fields to set otherwise.
    """
    from flan_jax.models.decoder_config import DecoderConfig

    fields: dict[str, Any] = {
        "vocab_size": 16,
        "emb_dim": 16,
        "num_heads": 2,
        "num_layers": 2,
        "head_dim": 8,
        "mlp_dim": 32,
        "dropout_rate": 0.0,
    }
    return DecoderConfig(**{**fields, **changes})


def _split_columns(dataset: Any) -> Any:
    import tensorflow as tf

    def convert(line):
        columns = tf.strings.split(line, "\t")
        return {"inputs": columns[0], "targets": columns[1]}

    return dataset.map(convert, num_parallel_calls=tf.data.AUTOTUNE)


def _join_columns(dataset: Any) -> Any:
    import tensorflow as tf

    def convert(line):
        return {"targets": tf.strings.regex_replace(line, "\t", " ")}

    return dataset.map(convert, num_parallel_calls=tf.data.AUTOTUNE)


def _source(
    kind: str,
    by_split: dict[str, list[tuple[str, str]]],
    sizes: dict[str, int] | None,
    directory: str | None,
    name: str,
) -> Any:
    import pathlib

    import seqio
    import tensorflow as tf

    lines = {split: ["\t".join(row) for row in rows] for split, rows in by_split.items()}
    if kind == "text":
        if directory is None:
            raise ValueError("source='text' needs a directory")
        paths = {}
        for split, split_lines in lines.items():
            for shard in range(2):
                path = pathlib.Path(directory, f"{name}-{split}-{shard}.tsv")
                path.write_text("".join(f"{line}\n" for line in split_lines[shard::2]))
            paths[split] = str(pathlib.Path(directory, f"{name}-{split}-*.tsv"))
        return seqio.TextLineDataSource(paths, num_input_examples=sizes)

    def read(split: str, shuffle_files: bool, seed: int | None = None) -> Any:
        content = lines[split]
        if kind == "generator":
            spec = tf.TensorSpec((), tf.string)
            return tf.data.Dataset.from_generator(lambda: iter(content), output_signature=spec)
        tensor = tf.constant(content, tf.string, shape=[len(content)])
        if kind == "tfds":
            shards = tf.data.Dataset.range(4)
            if shuffle_files:
                shards = shards.shuffle(4, seed=seed)
            return shards.interleave(
                lambda i: tf.data.Dataset.from_tensor_slices(tensor[i::4]),
                cycle_length=2,
                num_parallel_calls=tf.data.AUTOTUNE,
            )
        if kind == "tensor":
            return tf.data.Dataset.from_tensor_slices(tensor)
        raise ValueError(f"unknown source kind {kind!r}")

    return seqio.FunctionDataSource(read, splits=list(lines), num_input_examples=sizes)
