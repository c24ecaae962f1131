"""Decoding one token at a time: equal to the whole pass, and cheap."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flan_jax.models.t5 import Transformer


def prepare(model, params, batch, length):
    encoded = model.apply(
        {"params": params}, batch["encoder_input_tokens"], enable_dropout=False, method="encode"
    )
    cache = model.apply(
        {"params": params}, encoded, batch["encoder_input_tokens"], length, method="init_cache"
    )
    step = functools.partial(model.apply, {"params": params}, method="decode_step")
    return cache, step


@pytest.fixture
def long_batch():
    """Inputs of 40 and 33 tokens, 36 targets: past the exact buckets of both tables."""
    rng = np.random.default_rng(3)
    inputs, targets = (rng.integers(2, 48, (2, n)).astype(np.int32) for n in (40, 36))
    inputs[1, 33:] = 0
    return {
        "encoder_input_tokens": inputs,
        "decoder_input_tokens": np.pad(targets, ((0, 0), (1, 0)))[:, :-1],
        "decoder_target_tokens": targets,
    }


@pytest.mark.parametrize(("scan_layers", "tied"), [(False, False), (True, True)])
def test_steps_equal_the_whole_pass(tiny, make, run, long_batch, scan_layers, tied, fast_jit):
    config = dataclasses.replace(tiny, scan_layers=scan_layers, logits_via_embedding=tied)
    model, params = make(config)
    expected = run(model, params, long_batch)
    inputs = long_batch["decoder_input_tokens"]

    @fast_jit
    def decode(params):
        # The cache is longer than what is decoded, as it is for rows that end early.
        cache, step = prepare(model, params, long_batch, inputs.shape[1] + 3)

        def body(cache, index):
            logits, cache = step(cache, jnp.asarray(inputs)[:, index], index)
            return cache, logits

        return jax.lax.scan(body, cache, jnp.arange(inputs.shape[1]))[1]

    logits = decode(params).swapaxes(0, 1)
    np.testing.assert_allclose(logits, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_repeated_rows_decode_alike_and_leaves_keep_the_batch_axis(
    tiny, make, batch, scan_layers, fast_jit
):
    model, params = make(dataclasses.replace(tiny, scan_layers=scan_layers))
    cache = fast_jit(lambda: prepare(model, params, batch, 4)[0])()
    step = fast_jit(functools.partial(model.apply, {"params": params}, method="decode_step"))
    repeated = cache.repeat(2)
    rows = batch["encoder_input_tokens"].shape[0]
    assert cache.batch_axis == (1 if scan_layers else 0)
    for leaf in jax.tree.leaves((cache.self_attention, cache.cross_attention)):
        assert leaf.shape[cache.batch_axis] == rows
    for leaf in jax.tree.leaves((repeated.self_attention, repeated.cross_attention)):
        assert leaf.shape[cache.batch_axis] == 2 * rows
    tokens = jnp.array([5, 6, 7])
    one, _ = step(cache, tokens, 0)
    two, _ = step(repeated, jnp.repeat(tokens, 2)[:, None], 0)
    assert one.shape == (rows, tiny.vocab_size)
    np.testing.assert_allclose(two, np.repeat(one, 2, axis=0), atol=1e-6)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_a_step_costs_no_product_over_the_input_and_no_square_of_the_length(tiny, scan_layers):
    """Cross-attention keys and the bias of other rows are not computed again at each step."""
    config = dataclasses.replace(tiny, scan_layers=scan_layers)
    model = Transformer(config)
    source, length = 64, 96
    tokens = jnp.ones((1, source), jnp.int32)
    params = jax.eval_shape(
        functools.partial(model.init, enable_dropout=False), jax.random.key(0), *[tokens] * 3
    )
    cache = jax.eval_shape(
        lambda p: prepare(model, p["params"], _inputs(tokens), length)[0], params
    )
    jaxpr = jax.make_jaxpr(
        lambda p, c: model.apply(p, c, jnp.ones((1,), jnp.int32), 3, method="decode_step")
    )(params, cache)
    largest = 0
    for equation in _equations(jaxpr.jaxpr):
        shapes = [v.aval.shape for v in equation.outvars]
        assert not any(shape.count(length) > 1 for shape in shapes), equation
        if equation.primitive.name == "dot_general":
            largest = max(largest, *(int(np.prod(shape)) for shape in shapes))
            assert not any(source in s and config.emb_dim in s for s in shapes), equation
    assert largest <= max(config.vocab_size, config.num_heads * length)


def _inputs(tokens):
    return {"encoder_input_tokens": tokens}


def _equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            if hasattr(value, "jaxpr"):
                yield from _equations(value.jaxpr)


def test_bfloat16_cache_and_float32_logits(tiny, make, batch):
    model, params = make(dataclasses.replace(tiny, dtype="bfloat16"))
    cache = jax.eval_shape(lambda: prepare(model, params, batch, 2)[0])
    dtypes = {x.dtype for x in jax.tree.leaves((cache.self_attention, cache.cross_attention))}
    assert dtypes == {jnp.dtype(jnp.bfloat16)}
    step = functools.partial(model.apply, {"params": params}, method="decode_step")
    logits, _ = jax.eval_shape(step, cache, jnp.zeros(3, jnp.int32), 0)
    assert logits.dtype == jnp.float32
