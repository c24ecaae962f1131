"""Pretraining objectives as seqio preprocessors: from tokenised documents to inputs and targets.

Each takes a dataset of `{'targets': int32 tokens of a document}` and is followed by seqio's
`append_eos_after_trim`. Everything random is drawn without state from seeds that seqio gives each
element (`seqio.map_seed_manager`), so a stream is a function of its seed, and goes on from a saved
position.

T5's way with documents: one longer than 65,536 tokens gives a chunk of that length; 128 documents
are put end to end and cut into pieces of the length that fills a row, the last of which is shorter.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import seqio
import tensorflow as tf

from flan_jax.data.objectives_denoisers import (
    LM_SPLIT,
    T5_SPANS,
    UL2,
    UL2R,
    Share,
    check_sentinels,
    normalised,
    text_length,
)
from flan_jax.data.objectives_graph import Rules, draw, split
from flan_jax.errors import ConfigError

MAX_CHUNK = 65_536
DOCUMENTS = 128
# One token cannot be both what is predicted and what it is predicted from.
_SHORTEST = 2

Lengths = Mapping[str, int]

# TensorFlow's stubs leave out what is used of it here.
_Ragged: Any = tf.RaggedTensor


def span_corruption(
    dataset: tf.data.Dataset,
    sequence_length: Lengths,
    output_features: Any,
    mean_span: float = 3.0,
    density: float = 0.15,
    sentinels: int | None = None,
) -> tf.data.Dataset:
    """T5's objective: hidden spans behind sentinels in the inputs, given back in the targets.

    In, with T5's vocabulary (sentinels count down from 32,099), tokens

        targets [11 12 13 14 15 16 17 18 19 20]

    out, if the spans [14 15] and [20] are hidden (EOS, here 1, comes with `append_eos`):

        inputs  [11 12 13 32099 16 17 18 19 32098]
        targets [32099 14 15 32098 20]

    With lengths {'inputs': 512, 'targets': 114} pieces have 568 tokens, and the features, EOS
    included, exactly 512 and 114.

    Args:
      dataset: tokenised documents.
      sequence_length: most tokens of 'inputs' and 'targets'.
      output_features: give the vocabulary and whether an EOS follows.
      mean_span: mean tokens of a hidden span.
      density: share of the tokens that is hidden.
      sentinels: how many of the vocabulary's last ids serve as sentinels; None takes those that it
        has for this use (`extra_ids`).

    Raises:
      ConfigError: too few sentinels, or targets too short for the inputs.
    """
    denoiser = dataclasses.replace(T5_SPANS, mean_span=mean_span, density=density)
    return denoise(dataset, sequence_length, output_features, [Share(denoiser)], sentinels)


def prefix_lm(
    dataset: tf.data.Dataset, sequence_length: Lengths, output_features: Any
) -> tf.data.Dataset:
    """Prefix language modelling, the objective of LM adaptation: a document cut in two at random.

    In [11 12 13 14 15 16 17], out for one of the six equally likely places

        inputs  [11 12 13]
        targets [14 15 16 17]

    Documents are not joined: each is cut into pieces of the inputs' length less EOS (T5), and every
    piece into prefix and rest. 'targets' needs the same length as 'inputs'; where it is shorter,
    pieces are.

    Args:
      dataset: tokenised documents.
      sequence_length: most tokens of 'inputs' and 'targets'.
      output_features: say whether an EOS follows.
    """
    shares = [Share(LM_SPLIT)]
    return denoise(dataset, sequence_length, output_features, shares, documents=1)


def causal_lm(
    dataset: tf.data.Dataset, sequence_length: Lengths, output_features: Any
) -> tf.data.Dataset:
    """Plain language modelling, for decoder-only models: targets alone, rows without padding.

    In the documents [11 12 13] and [14 15 16 17 18], out with {'targets': 4} and EOS 1:

        targets [11 12 13 1]
        targets [14 15 16 17]
        targets [18 1]

    EOS stands at the end of every document and nowhere else.

    Args:
      dataset: tokenised documents.
      sequence_length: most tokens of 'targets'.
      output_features: of 'targets' alone, with `add_eos` False, since it is added here.

    Raises:
      ConfigError: 'targets' has `add_eos`, or there are 'inputs'.
    """
    if set(output_features) != {"targets"} or output_features["targets"].add_eos:
        raise ConfigError(
            "causal_lm makes 'targets' alone and ends each document with EOS itself; the task has "
            f"the features {sorted(output_features)}. Give it "
            "{'targets': seqio.Feature(vocabulary, add_eos=False)}."
        )
    eos = output_features["targets"].vocabulary.eos_id
    dataset = random_chunk(dataset).map(
        lambda row: {"targets": tf.concat([row["targets"], [eos]], axis=0)},
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    room = sequence_length["targets"]

    def cut(row):
        tokens = row["targets"]
        starts = tf.range(0, tf.size(tokens), room)
        return {"targets": _Ragged.from_row_starts(tokens, starts)}

    pieces = concatenate(dataset, DOCUMENTS).map(cut, num_parallel_calls=tf.data.AUTOTUNE)
    return pieces.unbatch()


def ul2r(
    dataset: tf.data.Dataset,
    sequence_length: Lengths,
    output_features: Any,
    sentinels: int | None = None,
) -> tf.data.Dataset:
    """U-PaLM's mixture of denoisers, each example led in by the mode token of its denoiser.

    | share | denoiser                                      | mode    |
    |-------|-----------------------------------------------|---------|
    | 25%   | spans of 3 on average, 15% of tokens hidden   | [NLU]   |
    | 12.5% | spans of 32 on average, 15% of tokens hidden  | [NLG]   |
    | 12.5% | spans of 3 on average, 50% of tokens hidden   | [NLG]   |
    | 50%   | prefix, split at random                       | [S2S]   |

    The paper gives the second kind as 25% with "mean span 32 or up to 50% corrupted"; the two
    halves are this project's reading. In [11 ... 20], out for the last kind with [S2S] encoded as
    the ids 4 and 5:

        inputs  [4 5 11 12 13 14]
        targets [15 16 17 18 19 20]

    Other mixtures: `denoise` with a list of `Share`. Arguments and errors as `span_corruption`;
    with inputs of 1,024 the dense denoiser needs up to 256 sentinels.
    """
    return denoise(dataset, sequence_length, output_features, UL2R, sentinels)


def ul2(
    dataset: tf.data.Dataset,
    sequence_length: Lengths,
    output_features: Any,
    sentinels: int | None = None,
) -> tf.data.Dataset:
    """UL2's seven denoisers at equal rates; as `ul2r`.

    Not verified against the paper: spans of (3, 15%), (8, 15%); (3, 50%), (8, 50%), (64, 15%),
    (64, 50%); and a prefix whose rest is a quarter of the text on average.
    """
    return denoise(dataset, sequence_length, output_features, UL2, sentinels)


def denoise(
    dataset: tf.data.Dataset,
    sequence_length: Lengths,
    output_features: Any,
    shares: Sequence[Share],
    sentinels: int | None = None,
    documents: int = DOCUMENTS,
) -> tf.data.Dataset:
    """Cuts documents into pieces and gives each to one of several denoisers.

    The text is cut at the lengths that the drawn denoisers ask for, so that every example fills its
    inputs. Draws are stratified over the pieces of a group of documents: each is a draw by rate,
    and a group's counts stay close to the rates. Pieces of one token are dropped.

    Args:
      dataset: `{'targets'}`: int32 tokens of a document each.
      sequence_length: most tokens of 'inputs' and 'targets', EOS and mode tokens included.
      output_features: give the vocabulary and whether an EOS follows.
      shares: the denoisers with rates and mode tokens.
      sentinels: see `span_corruption`.
      documents: how many are put end to end.

    Returns:
      `{'inputs', 'targets', 'denoiser'}`: two int32 vectors and the index into `shares`, int32.

    Raises:
      ConfigError: too few sentinels, lengths that do not go together, or a mode text that the
        vocabulary cannot write.
    """
    rates = normalised(shares)
    vocabulary = output_features["inputs"].vocabulary
    modes = [_mode_ids(share, vocabulary) for share in shares]
    sizes = []
    for share, mode in zip(shares, modes, strict=True):
        input_room = sequence_length["inputs"] - output_features["inputs"].add_eos - len(mode)
        target_room = sequence_length["targets"] - output_features["targets"].add_eos
        sizes.append(text_length(share.denoiser, input_room, target_room))
        available = vocabulary.extra_ids if sentinels is None else sentinels
        check_sentinels(share.denoiser, sizes[-1], available)

    def cut(row, seeds):
        tokens = row["targets"]
        most = tf.size(tokens) // min(sizes) + 1
        denoiser_M = draw(rates, most, seeds[0])
        size_M = tf.gather(tf.constant(sizes), denoiser_M)
        end_M = tf.cumsum(size_M)
        lengths_M = tf.maximum(0, tf.minimum(end_M, tf.size(tokens)) - end_M + size_M)
        pieces = _Ragged.from_row_lengths(tokens, lengths_M)
        kept_M = lengths_M >= _SHORTEST
        columns = {
            "tokens": pieces,
            "denoiser": denoiser_M,
            "seed": split(seeds[1], most),
        }
        return {name: _keep(column, kept_M) for name, column in columns.items()}

    rules = Rules.of(shares, modes, vocabulary.vocab_size - 1)
    text = random_chunk(dataset)
    if documents > 1:
        text = concatenate(text, documents)
    pieces: Any = seqio.map_over_dataset(num_seeds=2)(cut)
    return pieces(text).unbatch().map(rules.apply, num_parallel_calls=tf.data.AUTOTUNE)


def random_chunk(dataset: tf.data.Dataset, most: int = MAX_CHUNK) -> tf.data.Dataset:
    """Leaves of each document that is longer than `most` tokens one chunk, and no empty document.

    The chunk starts at a random multiple of `most`; other features than 'targets' go.
    """

    def choose(row, seed):
        tokens = row["targets"]
        chunks = (tf.size(tokens) + most - 1) // most
        start = most * tf.random.stateless_uniform([], seed, 0, chunks, tf.int32)
        return {"targets": tf.cast(tokens[start : start + most], tf.int32)}

    chosen: Any = seqio.map_over_dataset(num_seeds=1)(choose)
    return chosen(dataset.filter(lambda row: tf.size(row["targets"]) > 0))


def concatenate(dataset: tf.data.Dataset, documents: int) -> tf.data.Dataset:
    """Puts so many documents end to end, whatever their ids: 0 is an ordinary token here."""
    return dataset.ragged_batch(documents).map(
        lambda batch: {"targets": batch["targets"].flat_values},
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def _mode_ids(share: Share, vocabulary: Any) -> tuple[int, ...]:
    if not isinstance(share.mode, str):
        return tuple(share.mode)
    ids = tuple(vocabulary.encode(share.mode)) if share.mode else ()
    if vocabulary.unk_id is not None and vocabulary.unk_id in ids:
        raise ConfigError(
            f"The vocabulary has no tokens for the mode text {share.mode!r} of denoiser "
            f"{share.denoiser.name!r}: it encodes as {list(ids)}, with the unknown id "
            f"{vocabulary.unk_id}. Give token ids instead: Share(..., mode=(ID,))."
        )
    return ids


def _keep(column: Any, kept_M: Any) -> Any:
    if isinstance(column, tf.RaggedTensor):
        return tf.ragged.boolean_mask(column, kept_M)
    return tf.boolean_mask(column, kept_M)
