"""What happens to one piece of text inside TensorFlow's graph: draws, splits and hidden spans."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from flan_jax.data.objectives_denoisers import PrefixSplit, Share

# Draws of denoisers keep to the rates within so many pieces, so that no share is left to luck.
_STRATA = 64


def draw(rates: Sequence[float], count: Any, seed: Any) -> tf.Tensor:
    """Returns `count` indices into `rates`, int32; each block of them draws once a stratum."""
    order_seed, place_seed = tf.unstack(split(seed, 2))
    # Whole blocks, each in a random order; the last one is cut.
    block_M = tf.range(-(-count // _STRATA) * _STRATA) // _STRATA
    key_M = tf.cast(block_M, tf.float32)
    key_M += tf.random.stateless_uniform([tf.size(block_M)], order_seed)
    stratum_M = tf.cast(tf.argsort(key_M)[:count] % _STRATA, tf.float32)
    place_M = (stratum_M + tf.random.stateless_uniform([count], place_seed)) / _STRATA
    ends = tf.cumsum(tf.constant(rates, tf.float32))
    return tf.searchsorted(ends[:-1], place_M, side="right")


def split(seed: Any, count: Any) -> tf.Tensor:
    """Returns `count` seeds, count x 2."""
    return tf.random.split(seed, count)


@dataclasses.dataclass(frozen=True)
class Rules:
    """Denoisers as constants to gather from, so that one graph serves any number of them.

    One entry a denoiser, by its index in the mixture; those of the other kind are not read.
    """

    first_sentinel: int
    modes: tf.RaggedTensor
    is_prefix: list[bool]
    target_share: list[float]
    density: list[float]
    mean_span: list[float]
    random_count: list[float]

    @classmethod
    def of(
        cls, shares: Sequence[Share], modes: Sequence[Sequence[int]], first_sentinel: int
    ) -> "Rules":
        """Collects the denoisers' numbers; `modes` are the ids in front of each one's inputs."""
        denoisers = [share.denoiser for share in shares]

        def field(name: str) -> list[float]:
            return [float(getattr(denoiser, name, 0.5)) for denoiser in denoisers]

        return cls(
            first_sentinel,
            tf.ragged.constant(modes, tf.int32, ragged_rank=1),
            [isinstance(denoiser, PrefixSplit) for denoiser in denoisers],
            *map(field, ("target_share", "density", "mean_span", "random_count")),
        )

    def apply(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the features of a piece."""
        index, tokens, seed = row["denoiser"], row["tokens"], row["seed"]
        cut = functools.partial(self._split_prefix, index, tokens, seed)
        hide = functools.partial(self._hide_spans, index, tokens, seed)
        if len(set(self.is_prefix)) == 2:
            inputs, targets = tf.cond(tf.gather(self.is_prefix, index), cut, hide)
        else:
            inputs, targets = cut() if self.is_prefix[0] else hide()
        inputs = tf.concat([self.modes[index], inputs], axis=0)
        return {"inputs": inputs, "targets": targets, "denoiser": index}

    def _split_prefix(self, index: Any, tokens: Any, seed: Any) -> Any:
        count = tf.size(tokens)
        free = 1 - 2 * _of(self.target_share, index)
        shortest = tf.maximum(1, _round(free * tf.cast(count - 1, tf.float32)))
        prefix = tf.random.stateless_uniform([], seed, shortest, count, tf.int32)
        return tokens[:prefix], tokens[prefix:]

    def _hide_spans(self, index: Any, tokens: Any, seed: Any) -> Any:
        kept_seed, hidden_seed, count_seed = tf.unstack(split(seed, 3))
        count = tf.size(tokens)
        hidden = _round(tf.cast(count, tf.float32) * _of(self.density, index))
        hidden = tf.minimum(tf.maximum(hidden, 1), count - 1)
        spans = tf.cast(hidden, tf.float32) / _of(self.mean_span, index)
        drawn = tf.random.stateless_uniform([], count_seed) < spans - tf.floor(spans)
        drawn = tf.cast(tf.floor(spans), tf.int32) + tf.cast(drawn, tf.int32)
        spans = tf.where(_of(self.random_count, index) > 0, drawn, _round(spans))
        spans = tf.minimum(tf.maximum(spans, 1), count - hidden)
        kept_S = _random_parts(count - hidden, spans, kept_seed)
        hidden_S = _random_parts(hidden, spans, hidden_seed)
        # Kept, hidden, kept, hidden, ...: the odd ones are hidden.
        lengths = tf.reshape(tf.stack([kept_S, hidden_S], axis=1), [-1])
        span_N = tf.repeat(tf.range(2 * spans), lengths)
        is_hidden_N = span_N % 2 == 1
        is_first_N = tf.concat([[True], span_N[1:] != span_N[:-1]], axis=0)
        sentinel_N = self.first_sentinel - span_N // 2

        def without(is_gone_N: Any) -> Any:
            marked_N = tf.where(is_gone_N, sentinel_N, tokens)
            return tf.boolean_mask(marked_N, ~is_gone_N | is_first_N)

        return without(is_hidden_N), without(~is_hidden_N)


def _of(values: Sequence[float], index: Any) -> Any:
    return tf.gather(tf.constant(values, tf.float32), index)


def _random_parts(total: Any, parts: Any, seed: Any) -> Any:
    """Returns `parts` positive int32 numbers that add up to `total`, all ways equally likely."""
    order = tf.argsort(tf.random.stateless_uniform([total - 1], seed))
    cuts = tf.sort(order[: parts - 1]) + 1
    ends = tf.concat([cuts, [total]], axis=0)
    return ends - tf.concat([[0], cuts], axis=0)


def _round(value: Any) -> Any:
    return tf.cast(tf.round(value), tf.int32)
