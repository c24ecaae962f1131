"""Fixtures: `toy`, a language model small enough to enumerate, and `golden`, the tiny T5."""

import functools
import itertools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

EOS = 1


def make_table(seed: int, num_rows: int, vocab_size: int) -> np.ndarray:
    """Logits of the next token given the last one: float32, row x last token x next token."""
    rng = np.random.default_rng(seed)
    return (2.0 * rng.standard_normal((num_rows, vocab_size, vocab_size))).astype(np.float32)


def log_probs(table: np.ndarray) -> np.ndarray:
    table = table.astype(np.float64)
    return table - np.log(np.exp(table).sum(axis=-1, keepdims=True))


def step(cache, token_N, index):
    """Decoding step over the table; reads the tokens fed so far from the cache.

    A cache that did not follow its beam gives wrong logits, because the last token but one counts.
    """
    fed_NxT = jax.lax.dynamic_update_slice(cache["fed"], token_N[:, None], (0, index))
    previous_N = jax.lax.dynamic_index_in_dim(fed_NxT, jnp.maximum(index - 1, 0), 1, keepdims=False)
    rows_N = jnp.arange(token_N.shape[0])
    table_NxVxV = cache["table"]
    logits_NxV = table_NxVxV[rows_N, token_N] + 0.5 * table_NxVxV[rows_N, previous_N]
    return logits_NxV, {**cache, "fed": fed_NxT}


def make_cache(table_BxVxV, num_samples: int, length: int):
    table_NxVxV = jnp.repeat(jnp.asarray(table_BxVxV), num_samples, axis=0)
    fed_NxT = jnp.zeros((table_NxVxV.shape[0], length), jnp.int32)
    return {"table": table_NxVxV, "fed": fed_NxT}


def next_log_probs(table_VxV: np.ndarray, tokens: tuple[int, ...]) -> np.ndarray:
    """Reference of `step_fn` for one row: the produced tokens so far give the next distribution."""
    fed = (0, *tokens)
    last, previous = fed[-1], fed[max(len(fed) - 2, 0)]
    return log_probs(table_VxV[last] + np.float32(0.5) * table_VxV[previous])


def all_outputs(table_VxV: np.ndarray, length: int) -> dict[tuple[int, ...], float]:
    """Every output of at most `length` tokens with its log probability."""
    vocab_size = table_VxV.shape[-1]
    conditional = functools.cache(lambda tokens: next_log_probs(table_VxV, tokens))
    outputs = {}
    for n in range(1, length + 1):
        body = [t for t in range(vocab_size) if t != EOS]
        last = range(vocab_size) if n == length else (EOS,)
        for tokens in itertools.product(*([body] * (n - 1)), last):
            steps = [conditional(tokens[:i])[token] for i, token in enumerate(tokens)]
            outputs[tokens] = float(sum(steps))
    return outputs


@pytest.fixture
def toy():
    """The functions of this file."""
    return types.SimpleNamespace(
        EOS=EOS,
        make_table=make_table,
        step=step,
        make_cache=make_cache,
        next_log_probs=next_log_probs,
        all_outputs=all_outputs,
    )


@pytest.fixture(scope="session")
def golden(golden_maker):
    """The module tests/golden/make_decode_golden.py."""
    return golden_maker("make_decode_golden")
