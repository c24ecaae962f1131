"""Masks, relative buckets and bias, and the attention routine."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from flan_jax.models import attention, masks

# First distance of each bucket for 32 buckets up to 128, from T5's formula worked out by hand.
BIDIRECTIONAL = {8: 8, 9: 12, 10: 16, 11: 23, 12: 32, 13: 46, 14: 64, 15: 91}
CAUSAL = {
    **{16: 16, 17: 19, 18: 21, 19: 24, 20: 27, 21: 31, 22: 35, 23: 40},
    **{24: 46, 25: 52, 26: 59, 27: 67, 28: 77, 29: 87, 30: 99, 31: 113},
}


@pytest.mark.parametrize(
    ("bidirectional", "exact", "first"), [(True, 8, BIDIRECTIONAL), (False, 16, CAUSAL)]
)
def test_first_distance_of_each_bucket(bidirectional, exact, first):
    distance = np.arange(400)
    bucket = attention.relative_bucket(-distance, bidirectional, 32, 128)
    assert bucket.dtype == np.int32
    np.testing.assert_array_equal(bucket[:exact], distance[:exact])
    found = {int(b): int(distance[bucket == b][0]) for b in range(exact, bucket.max() + 1)}
    assert found == first
    assert np.all(np.diff(bucket) >= 0)


def test_keys_after_the_query():
    after = np.arange(1, 300)
    both = attention.relative_bucket(after, True, 32, 128)
    np.testing.assert_array_equal(both, attention.relative_bucket(-after, True, 32, 128) + 16)
    np.testing.assert_array_equal(attention.relative_bucket(after, False, 32, 128), 0)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("query_length", "key_length"), [(7, 7), (5, 9), (9, 5), (1, 4), (150, 1)])
def test_bias_equals_a_lookup_of_each_pair(key, bidirectional, query_length, key_length):
    module = attention.RelativePositionBias(3, bidirectional)
    variables = nn.meta.unbox(module.init(key, query_length, key_length))
    bias = module.apply(variables, query_length, key_length)
    position = np.arange(key_length)[None, :] - np.arange(query_length)[:, None]
    bucket = attention.relative_bucket(position, bidirectional, 32, 128)
    expected = variables["params"]["rel_embedding"][:, bucket][None]
    np.testing.assert_array_equal(bias, expected)


def test_gradient_of_bias_equals_that_of_a_lookup(key):
    module = attention.RelativePositionBias(2, True)
    table = nn.meta.unbox(module.init(key, 6, 6))["params"]["rel_embedding"]
    weight = jax.random.normal(key, (1, 2, 6, 6))
    position = np.arange(6)[None, :] - np.arange(6)[:, None]
    bucket = attention.relative_bucket(position, True, 32, 128)
    ours = jax.grad(
        lambda t: jnp.sum(weight * module.apply({"params": {"rel_embedding": t}}, 6, 6))
    )(table)
    expected = jax.grad(lambda t: jnp.sum(weight * t[:, bucket][None]))(table)
    np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_one_row_of_bias_equals_that_row(key):
    module = attention.RelativePositionBias(2, False)
    variables = nn.meta.unbox(module.init(key, 140, 140))
    whole = module.apply(variables, 140, 140)
    row = jax.jit(lambda i: module.apply(variables, i, 140, method="row"))
    for i in (0, 1, 17, 64, 139):
        np.testing.assert_array_equal(row(i)[:, :, 0], whole[:, :, i])


def test_masks_of_a_packed_row():
    tokens = jnp.array([[5, 6, 7, 8, 0]])
    segments = jnp.array([[1, 1, 2, 2, 0]])
    mask = (
        masks.padding_mask(tokens, tokens)
        & masks.segment_mask(segments, segments)
        & masks.causal_mask(5)
    )
    expected = [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0],
    ]
    np.testing.assert_array_equal(mask[0, 0].astype(int), expected)


def test_attention_equals_a_written_out_softmax(key):
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, 3, n, 4)).astype(np.float32) for n in (5, 7, 7))
    bias = rng.standard_normal((1, 3, 5, 7)).astype(np.float32)
    mask = rng.random((2, 1, 5, 7)) < 0.6
    mask[..., 0] = True
    out = attention.attend(q, attention.Source(k, v, jnp.asarray(mask), bias))
    for b, h, i in np.ndindex(2, 3, 5):
        logits = k[b, h].astype(np.float64) @ q[b, h, i] + bias[0, h, i]
        weights = np.where(mask[b, 0, i], np.exp(logits), 0.0)
        np.testing.assert_allclose(out[b, h, i], weights / weights.sum() @ v[b, h], atol=1e-5)


def test_a_query_that_sees_nothing_gets_the_mean_value(key):
    value = jax.random.normal(key, (1, 1, 4, 2))
    nothing = jnp.zeros((1, 1, 4, 4), bool)
    out = attention.attend(value, attention.Source(value, value, nothing))
    np.testing.assert_allclose(
        out, jnp.broadcast_to(value.mean(2, keepdims=True), value.shape), atol=1e-6
    )


def test_logits_and_softmax_are_float32_in_bfloat16_attention(key):
    x = jax.random.normal(key, (1, 1, 4, 8)).astype(jnp.bfloat16)
    jaxpr = jax.make_jaxpr(lambda q, k: attention.attend(q, attention.Source(k, k)))(x, x)
    dtypes = {e.primitive.name: [v.aval.dtype for v in e.outvars] for e in jaxpr.eqns}
    assert dtypes["exp"] == [jnp.float32]
    assert jaxpr.out_avals[0].dtype == jnp.bfloat16
    first_product = next(e for e in jaxpr.eqns if e.primitive.name == "dot_general")
    assert first_product.outvars[0].aval.dtype == jnp.float32
    assert {v.aval.dtype for v in first_product.invars} == {jnp.dtype(jnp.bfloat16)}
