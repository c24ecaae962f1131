"""Norm, embedding, feed-forward block and dropout masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from flan_jax.models import attention, layers, multi_head


def unboxed(module, key, *args):
    return nn.meta.unbox(module.init(key, *args))


@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 3)])
def test_gradients_of_a_projection_are_those_of_the_product(key, shape):
    x, kernel = jax.random.normal(key, shape), jax.random.normal(jax.random.key(1), (3, 6))
    ours = jax.grad(lambda *args: jnp.sum(jnp.sin(layers.project(*args))), (0, 1))(x, kernel)
    plain = jax.grad(lambda *args: jnp.sum(jnp.sin(jnp.dot(*args))), (0, 1))(x, kernel)
    for a, b in zip(ours, plain, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_kernel_gradients_of_a_bfloat16_projection_are_not_rounded(key):
    x = jax.random.normal(key, (40, 3)).astype(jnp.bfloat16)
    kernel = jnp.ones((3, 6))
    gradient = jax.grad(lambda w: jnp.sum(layers.project(x, w).astype(jnp.float32)))(kernel)
    expected = jnp.broadcast_to(x.astype(jnp.float32).sum(0)[:, None], kernel.shape)
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_norm_divides_by_the_root_mean_square(key):
    x = np.random.default_rng(0).standard_normal((2, 3, 5)).astype(np.float32) * 7
    scale = np.arange(1.0, 6.0, dtype=np.float32)
    out = layers.RMSNorm().apply({"params": {"scale": scale}}, x)
    expected = x / np.sqrt((x.astype(np.float64) ** 2).mean(-1, keepdims=True) + 1e-6) * scale
    np.testing.assert_allclose(out, expected, rtol=1e-5)


def test_norm_of_bfloat16_is_computed_in_float32(key):
    x = jax.random.normal(key, (1, 2, 512)).astype(jnp.bfloat16)
    module = layers.RMSNorm(dtype=jnp.bfloat16)
    out = module.apply({"params": {"scale": jnp.ones(512)}}, x)
    exact = layers.RMSNorm().apply({"params": {"scale": jnp.ones(512)}}, x.astype(jnp.float32))
    np.testing.assert_array_equal(out, exact.astype(jnp.bfloat16))


def test_embedding_looks_rows_up_and_tied_logits_are_scaled(key):
    module = layers.Embed(7, 4)
    variables = unboxed(module, key, jnp.zeros((1, 1), jnp.int32))
    table = variables["params"]["embedding"]
    tokens = jnp.array([[3, 0, 6]])
    np.testing.assert_array_equal(module.apply(variables, tokens), table[tokens])
    x = jax.random.normal(key, (1, 2, 4)).astype(jnp.bfloat16)
    logits = module.apply(variables, x, method="attend")
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits, x.astype(jnp.float32) @ table.T / 2.0, atol=1e-6)


@pytest.mark.parametrize("activations", [("relu",), ("gelu", "linear")])
def test_mlp_is_the_product_of_its_activations(key, activations):
    module = layers.MlpBlock(6, activations, dropout_rate=0.0)
    x = jax.random.normal(key, (2, 3, 4))
    params = unboxed(module, key, x)["params"]
    kernels = {name: value["kernel"] for name, value in params.items()}
    if len(activations) == 1:
        assert set(kernels) == {"wi", "wo"}
        hidden = jnp.maximum(x @ kernels["wi"], 0)
    else:
        assert set(kernels) == {"wi_0", "wi_1", "wo"}
        hidden = jax.nn.gelu(x @ kernels["wi_0"], approximate=True) * (x @ kernels["wi_1"])
    out = module.apply({"params": params}, x)
    np.testing.assert_allclose(out, hidden @ kernels["wo"], atol=1e-5)


def test_initial_spreads(key):
    d, h, k = 256, 8, 16
    module = multi_head.MultiHeadAttention(h, k, d, 0.0)
    x = jnp.zeros((1, 1, d))
    params = unboxed(module, key, x, x, None, None)["params"]
    spread = {name: float(jnp.std(value["kernel"])) for name, value in params.items()}
    expected = {"query": (d * k) ** -0.5, "key": d**-0.5, "value": d**-0.5, "out": (h * k) ** -0.5}
    assert spread == pytest.approx(expected, rel=0.03)
    mlp = unboxed(layers.MlpBlock(512, ("relu",), 0.0), key, x)["params"]
    assert float(jnp.std(mlp["wi"]["kernel"])) == pytest.approx(d**-0.5, rel=0.03)
    # A normal cut at two standard deviations (and widened to keep its variance) has no tails.
    assert float(jnp.abs(mlp["wi"]["kernel"]).max()) < 2.3 * d**-0.5
    embed = unboxed(layers.Embed(500, 64), key, jnp.zeros((1, 1), jnp.int32))["params"]
    assert float(jnp.std(embed["embedding"])) == pytest.approx(1.0, rel=0.03)
    bias = unboxed(attention.RelativePositionBias(32, True), key, 2, 2)["params"]
    table = np.asarray(bias["rel_embedding"])
    assert np.abs(table).max() <= (3 / 32) ** 0.5
    assert table.std() == pytest.approx(32**-0.5, rel=0.05)


def test_drop_keeps_by_the_mask_and_scales(key):
    x = jnp.arange(1.0, 7.0).reshape(1, 2, 3)
    keep = jnp.array([[[True, False, True]]])
    out = layers.drop(x, keep, 0.5)
    np.testing.assert_array_equal(out, [[[2.0, 0.0, 6.0], [8.0, 0.0, 12.0]]])
    assert layers.drop(x.astype(jnp.bfloat16), keep, 0.5).dtype == jnp.bfloat16
    assert layers.drop(x, None, 0.5) is x


def test_attention_dropout_drops_weights_after_the_softmax(key):
    """With one-hot values the output is the weights, so dropped weights can be seen."""
    h, k, length = 2, 5, 5
    module = multi_head.MultiHeadAttention(h, k, h * k, dropout_rate=0.5)
    x = jnp.concatenate([jnp.eye(length)] * h, axis=-1)[None]
    params = {
        name: {"kernel": jnp.eye(h * k) * (name in ("value", "out"))}
        for name in ("query", "key", "value", "out")
    }
    keep = jnp.array([[[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]]], bool)
    out = module.apply({"params": params}, x, x, None, None, keep)
    weights = out.reshape(length, h, k).transpose(1, 0, 2)
    expected = jnp.broadcast_to(keep[0, :, None, :] * 2.0 / length, weights.shape)
    np.testing.assert_allclose(weights, expected, atol=1e-6)
