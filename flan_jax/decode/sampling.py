"""Greedy decoding and random sampling, one token at a time, until every row has ended."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from flan_jax.decode.output import DecodeOutput

StepFn = Callable[[Any, jax.Array, jax.Array], tuple[jax.Array, Any]]
ChooseFn = Callable[[jax.Array, jax.Array], jax.Array]

NEG_INF = -1e30  # finite: a difference of two of them is 0, not NaN


def choose_greedy(logits_NxV: jax.Array, index: jax.Array) -> jax.Array:
    """The most likely token of each row, the lowest id where several are equal."""
    del index
    return jnp.argmax(logits_NxV, axis=-1).astype(jnp.int32)


def sampling_keys(key: jax.Array, row_ids_B: jax.Array, num_samples: int) -> jax.Array:
    """One key per (row id, sample), row-major: shape N = B * num_samples.

    A row draws the same tokens whatever batch it stands in, because its key depends on nothing
    but `key`, its own id and the number of the sample.
    """

    def of_row(row_id):
        row_key = jax.random.fold_in(key, row_id)
        return jax.vmap(lambda s: jax.random.fold_in(row_key, s))(jnp.arange(num_samples))

    return jax.vmap(of_row)(row_ids_B).reshape(-1)


def filter_logits(logits_NxV: jax.Array, top_k: int, top_p: float) -> jax.Array:
    """Sets the logits of the tokens that must not be drawn to NEG_INF.

    Args:
      logits_NxV: float32, already divided by the temperature.
      top_k: keep the k highest logits and those equal to the lowest of them; 0 or k >= V keep all.
      top_p: of what `top_k` leaves, keep the most likely tokens up to and including the one with
        which their probability reaches `top_p` (Holtzman et al. 2019, arXiv 1904.09751). At least
        one token is always kept.
    """
    vocab_size = logits_NxV.shape[-1]
    if 0 < top_k < vocab_size:
        lowest_Nx1 = jax.lax.top_k(logits_NxV, top_k)[0][:, -1:]
        logits_NxV = jnp.where(logits_NxV < lowest_Nx1, NEG_INF, logits_NxV)
    if top_p < 1.0:
        order_NxV = jnp.argsort(-logits_NxV, axis=-1, stable=True)
        sorted_NxV = jax.nn.softmax(jnp.take_along_axis(logits_NxV, order_NxV, axis=-1), axis=-1)
        before_NxV = jnp.cumsum(sorted_NxV, axis=-1) - sorted_NxV
        # A token stays if those more likely than it have not reached top_p on their own.
        rank_NxV = jnp.argsort(order_NxV, axis=-1)
        keep_NxV = jnp.take_along_axis(before_NxV < top_p, rank_NxV, axis=-1)
        logits_NxV = jnp.where(keep_NxV, logits_NxV, NEG_INF)
    return logits_NxV


def make_choose_sample(
    keys_N: jax.Array, temperature: float, top_k: int = 0, top_p: float = 1.0
) -> ChooseFn:
    """A chooser that draws from softmax(logits / temperature), cut to `top_k`, then to `top_p`.

    Args:
      keys_N: one key per row, see `sampling_keys`; the position is folded in at each step.
      temperature: above 0.
      top_k: see `filter_logits`.
      top_p: see `filter_logits`.
    """

    def choose(logits_NxV, index):
        step_keys_N = jax.vmap(lambda row_key: jax.random.fold_in(row_key, index))(keys_N)
        logits_NxV = filter_logits(logits_NxV / temperature, top_k, top_p)
        return jax.vmap(jax.random.categorical)(step_keys_N, logits_NxV).astype(jnp.int32)

    return choose


def decode_stepwise(
    step_fn: StepFn,
    cache: Any,
    choose_fn: ChooseFn,
    active_B: jax.Array,
    *,
    num_samples: int,
    max_decode_length: int,
    eos_id: int,
) -> DecodeOutput:
    """Produces one token per row and step until all rows have ended or the limit is met.

    Args:
      step_fn: `(cache, token_N, index) -> (logits_NxV, cache)`; index 0 is given token 0, the start
        of the decoder input.
      cache: what `step_fn` needs for N = B * num_samples rows, row-major (row b, sample k is
        b * num_samples + k).
      choose_fn: `(logits_NxV float32, index) -> token_N`.
      active_B: bool; False for padding rows, which count as ended from the start.
      num_samples: outputs per row, K.
      max_decode_length: T.
      eos_id: token that ends a row.

    Returns:
      DecodeOutput in the order of the samples, not sorted.
    """
    B, K, T = active_B.shape[0], num_samples, max_decode_length

    def unfinished(state):
        index, done_N = state[0], state[1]
        return (index < T) & ~jnp.all(done_N)

    def body(state):
        index, done_N, token_N, tokens_NxT, scores_N, lengths_N, cache = state
        logits_NxV, cache = step_fn(cache, token_N, index)
        logits_NxV = logits_NxV.astype(jnp.float32)
        chosen_N = choose_fn(logits_NxV, index)
        picked_N = jnp.take_along_axis(logits_NxV, chosen_N[:, None], axis=-1)[:, 0]
        log_prob_N = picked_N - jax.nn.logsumexp(logits_NxV, axis=-1)
        # `where`, not multiplication by a mask: a padding row may hold NaN.
        token_N = jnp.where(done_N, 0, chosen_N)
        scores_N = jnp.where(done_N, scores_N, scores_N + log_prob_N)
        lengths_N = lengths_N + (~done_N).astype(jnp.int32)
        tokens_NxT = jax.lax.dynamic_update_slice(tokens_NxT, token_N[:, None], (0, index))
        done_N = done_N | (token_N == eos_id)
        return index + 1, done_N, token_N, tokens_NxT, scores_N, lengths_N, cache

    done_N = jnp.repeat(~active_B, K)
    state = (
        jnp.int32(0),
        done_N,
        jnp.zeros((B * K,), jnp.int32),
        jnp.zeros((B * K, T), jnp.int32),
        jnp.zeros((B * K,), jnp.float32),
        jnp.zeros((B * K,), jnp.int32),
        cache,
    )
    _, _, _, tokens_NxT, scores_N, lengths_N, _ = jax.lax.while_loop(unfinished, body, state)
    return DecodeOutput(
        tokens_BxKxT=tokens_NxT.reshape(B, K, T),
        scores_BxK=scores_N.reshape(B, K),
        lengths_BxK=lengths_N.reshape(B, K),
    )
