"""Beam search with a length penalty, ending each row on its own.

The rules are those of Hugging Face's beam search, so that outputs agree on the same weights: of the
2K best continuations of a row, those among the first K that end become finished hypotheses, the K
best of the others stay open; an open hypothesis that meets the length limit counts as finished.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from flan_jax.decode.output import DecodeOutput
from flan_jax.decode.sampling import NEG_INF, StepFn

GatherFn = Callable[[Any, jax.Array], Any]


@flax.struct.dataclass
class _BeamState:
    """Loop state. Open hypotheses may still grow; finished ones hold penalised scores, sorted."""

    index: jax.Array
    open_tokens_BxKxT: jax.Array
    open_scores_BxK: jax.Array
    done_tokens_BxKxT: jax.Array
    done_scores_BxK: jax.Array
    done_lengths_BxK: jax.Array
    done_BxK: jax.Array
    searching_B: jax.Array
    cache: Any


def length_penalty_fn(kind: str, alpha: float) -> Callable[[jax.Array], jax.Array]:
    """The divisor of a hypothesis of n tokens: 'google' ((5 + n) / 6)**alpha or 'hf' n**alpha."""
    if kind == "google":
        return lambda n: ((5.0 + n) / 6.0) ** alpha
    assert kind == "hf", kind
    return lambda n: jnp.asarray(n, jnp.float32) ** alpha


def _take(x_BxMx: jax.Array, index_BxK: jax.Array) -> jax.Array:
    extra = x_BxMx.ndim - 2
    return jnp.take_along_axis(x_BxMx, index_BxK.reshape(index_BxK.shape + (1,) * extra), axis=1)


def _initial_state(cache: Any, active_B: jax.Array, K: int, T: int) -> _BeamState:
    B = active_B.shape[0]
    # All beams start equal: only the first may spread in step 0.
    start_K = jnp.where(jnp.arange(K) == 0, 0.0, NEG_INF).astype(jnp.float32)
    return _BeamState(
        index=jnp.int32(0),
        open_tokens_BxKxT=jnp.zeros((B, K, T), jnp.int32),
        open_scores_BxK=jnp.broadcast_to(start_K, (B, K)),
        done_tokens_BxKxT=jnp.zeros((B, K, T), jnp.int32),
        done_scores_BxK=jnp.full((B, K), NEG_INF, jnp.float32),
        done_lengths_BxK=jnp.zeros((B, K), jnp.int32),
        done_BxK=jnp.zeros((B, K), bool),
        searching_B=active_B,
        cache=cache,
    )


def beam_search(
    step_fn: StepFn,
    cache: Any,
    gather_fn: GatherFn,
    active_B: jax.Array,
    *,
    beam_size: int,
    max_decode_length: int,
    eos_id: int,
    length_penalty: float,
    length_penalty_type: str,
    early_stopping: bool | str,
) -> DecodeOutput:
    """Searches the best `beam_size` outputs of each row. Options: see `DecodeConfig`.

    Args:
      step_fn: `(cache, token_N, index) -> (logits_NxV, cache)`; index 0 is given token 0.
      cache: what `step_fn` needs for N = B * beam_size rows, row-major.
      gather_fn: `(cache, source_BxK) -> cache` whose beam k of row b is the old beam
        `source_BxK[b, k]` of the same row (see `cache.gather_beams`).
      active_B: bool; False for padding rows, which are not searched.
      beam_size: K.
      max_decode_length: T.
      eos_id: token that ends a hypothesis.
      length_penalty: alpha.
      length_penalty_type: 'google' or 'hf'.
      early_stopping: False, True or 'never'.

    Returns:
      DecodeOutput, best first. Where a vocabulary is so small that fewer than `beam_size` distinct
      outputs exist, the rest have score -inf and length 0.
    """
    B, K, T = active_B.shape[0], beam_size, max_decode_length
    penalty = length_penalty_fn(length_penalty_type, length_penalty)

    def unfinished(s: _BeamState):
        return (s.index < T) & jnp.any(s.searching_B)

    def body(s: _BeamState) -> _BeamState:
        last_BxKx1 = jax.lax.dynamic_slice_in_dim(
            s.open_tokens_BxKxT, jnp.maximum(s.index - 1, 0), 1, axis=2
        )
        token_N = jnp.where(s.index == 0, 0, last_BxKx1).reshape(B * K)
        logits_NxV, cache = step_fn(s.cache, token_N, s.index)
        log_probs_NxV = jax.nn.log_softmax(logits_NxV.astype(jnp.float32), axis=-1)
        V = log_probs_NxV.shape[-1]
        scores_BxKV = (log_probs_NxV.reshape(B, K, V) + s.open_scores_BxK[:, :, None]).reshape(
            B, K * V
        )
        # At most K of the candidates end (each beam has one end token), so 2K leave K to go on.
        num_candidates = min(2 * K, K * V)
        scores_BxM, flat_BxM = jax.lax.top_k(scores_BxKV, num_candidates)
        beam_BxM, token_BxM = flat_BxM // V, (flat_BxM % V).astype(jnp.int32)
        tokens_BxMxT = jax.lax.dynamic_update_slice(
            _take(s.open_tokens_BxKxT, beam_BxM), token_BxM[:, :, None], (0, 0, s.index)
        )
        length = s.index + 1
        ends_BxM = (token_BxM == eos_id) | (length >= T)

        # Ended candidates join the finished hypotheses, if they stand among the first K.
        real_BxM = scores_BxM > NEG_INF / 2
        joins_BxM = ends_BxM & real_BxM & (jnp.arange(num_candidates) < K)[None, :]
        joins_BxM = joins_BxM & s.searching_B[:, None]
        all_scores_BxJ = jnp.concatenate(
            [s.done_scores_BxK, jnp.where(joins_BxM, scores_BxM / penalty(length), NEG_INF)], axis=1
        )
        done_scores_BxK, pick_BxK = jax.lax.top_k(all_scores_BxJ, K)
        lengths_BxM = jnp.where(joins_BxM, length, 0)
        done_BxK = _take(jnp.concatenate([s.done_BxK, joins_BxM], axis=1), pick_BxK)

        # The best of the others stay open.
        open_scores_BxK, stay_BxK = jax.lax.top_k(jnp.where(ends_BxM, NEG_INF, scores_BxM), K)

        return dataclasses.replace(
            s,
            index=length,
            open_tokens_BxKxT=_take(tokens_BxMxT, stay_BxK),
            open_scores_BxK=open_scores_BxK,
            done_tokens_BxKxT=_take(
                jnp.concatenate([s.done_tokens_BxKxT, tokens_BxMxT], axis=1), pick_BxK
            ),
            done_scores_BxK=done_scores_BxK,
            done_lengths_BxK=_take(
                jnp.concatenate([s.done_lengths_BxK, lengths_BxM], axis=1), pick_BxK
            ),
            done_BxK=done_BxK,
            searching_B=s.searching_B
            & _can_improve(open_scores_BxK[:, 0], done_scores_BxK, done_BxK, length),
            cache=gather_fn(cache, _take(beam_BxM, stay_BxK)),
        )

    def _can_improve(best_open_B, done_scores_BxK, done_BxK, length):
        """Whether a row lacks finished hypotheses, or an open one may beat the worst of them."""
        full_B = jnp.all(done_BxK, axis=1)
        if early_stopping is True:
            return ~full_B
        # A log probability is negative, so with alpha > 0 the longest output scores best.
        longest = T if early_stopping == "never" and length_penalty > 0 else length
        return ~full_B | (best_open_B / penalty(jnp.asarray(longest)) > done_scores_BxK[:, -1])

    final = jax.lax.while_loop(unfinished, body, _initial_state(cache, active_B, K, T))
    scores_BxK = jnp.where(final.done_BxK, final.done_scores_BxK, -jnp.inf)
    return DecodeOutput(
        tokens_BxKxT=jnp.where(final.done_BxK[:, :, None], final.done_tokens_BxKxT, 0),
        scores_BxK=jnp.where(active_B[:, None], scores_BxK, 0.0),
        lengths_BxK=jnp.where(final.done_BxK, final.done_lengths_BxK, 0),
    )
