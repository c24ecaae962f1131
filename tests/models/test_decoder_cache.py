"""Decoding after a prefix: steps and continuations equal the whole pass, rows of all lengths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

# Family, scanned, prefixes that see themselves both ways.
CASES = [
    ("palm", True, False),
    pytest.param("palm", False, True, marks=pytest.mark.exhaustive),
    pytest.param("lamda_pt", True, True, marks=pytest.mark.exhaustive),
    ("gpt2", False, False),
    ("llama_3_2", True, True),
]
# The longest passes the exact relative buckets, and a prefix may be a single token.
LENGTHS, STEPS = (22, 1, 9), 12


@pytest.fixture(scope="module")
def tokens():
    return np.random.default_rng(4).integers(0, 48, (3, max(LENGTHS) + STEPS), np.int32)


@pytest.mark.parametrize(("family", "scan_layers", "bidirectional"), CASES)
def test_steps_and_continuations_equal_the_whole_pass(
    decoder, tokens, family, scan_layers, bidirectional, fast_jit
):
    options = {"inputs_bidirectional_attention": bidirectional}
    model, params = decoder(family, model=options, scan_layers=scan_layers)
    lengths, index_3xS = np.array(LENGTHS), np.arange(STEPS)[None]
    is_prefix = np.arange(tokens.shape[1])[None] < lengths[:, None]
    prefixes = np.where(is_prefix, tokens, 47)[:, : max(LENGTHS)]
    # The token at each row's step t is that after its prefix and t more.
    after = np.take_along_axis(tokens, lengths[:, None] + index_3xS, axis=1)

    @fast_jit
    def decode(params):
        variables = {"params": params}
        batch = {"decoder_prefix_tokens": prefixes, "decoder_prefix_lengths": jnp.array(lengths)}
        # The cache is longer than what is decoded, as it is for rows that end early.
        cache = model.init_cache(model.module, variables, None, batch, STEPS + 3)

        def step(cache, index):
            before = jnp.asarray(after)[:, index - 1]  # at index 0 something else: not read
            logits, cache = model.module.apply(
                variables, cache, before, index, method="decode_step"
            )
            return cache, logits

        at_once = model.module.apply(variables, cache, after, method="continuations")
        return jax.lax.scan(step, cache, jnp.arange(STEPS))[1].swapaxes(0, 1), at_once

    rows = {
        "decoder_input_tokens": tokens,
        "decoder_target_tokens": tokens,
        "decoder_causal_attention": is_prefix.astype(np.int32),
    }
    whole = np.asarray(fast_jit(model.logits)(params, rows))
    expected = np.take_along_axis(whole, (lengths[:, None] - 1 + index_3xS)[:, :, None], axis=1)
    step_by_step, at_once = decode(params)
    np.testing.assert_allclose(step_by_step, expected, atol=2e-5, rtol=0)
    np.testing.assert_allclose(at_once, expected, atol=2e-5, rtol=0)
    assert np.std(expected) > 0.3


@pytest.mark.parametrize("scan_layers", [pytest.param(False, marks=pytest.mark.exhaustive), True])
def test_repeated_rows_share_their_prefix(decoder, tokens, scan_layers, fast_jit):
    model, params = decoder("llama_3_2", scan_layers=scan_layers)
    batch = {
        "decoder_prefix_tokens": tokens[:, :4],
        "decoder_prefix_lengths": jnp.array([4, 2, 3]),
    }
    variables = {"params": params}
    cache = fast_jit(lambda: model.init_cache(model.module, variables, None, batch, 5))()
    repeated = cache.repeat(2)
    axis = cache.batch_axis
    assert axis == (1 if scan_layers else 0)
    assert {x.shape[axis] for x in jax.tree.leaves(repeated.self_attention)} == {6}
    assert {x.shape[axis] for x in jax.tree.leaves(repeated.prefix)} == {3}
    assert {x.shape[axis + 1] for x in jax.tree.leaves(repeated)[:2]} == {2}  # of 4 heads

    @fast_jit
    def two_steps(cache, first, second):
        apply = model.module.apply
        _, cache = apply(variables, cache, first, 0, method="decode_step")
        return apply(variables, cache, second, 1, method="decode_step")[0]

    other = jnp.array([5, 6, 7])
    alone = [two_steps(cache, other, token) for token in (jnp.full(3, 8), jnp.full(3, 9))]
    together = two_steps(repeated, jnp.repeat(other, 2), jnp.tile(jnp.array([8, 9]), 3))
    np.testing.assert_allclose(together[::2], alone[0], atol=1e-5)
    np.testing.assert_allclose(together[1::2], alone[1], atol=1e-5)


def test_a_step_multiplies_no_prefix_and_makes_no_square_of_the_length(decoder):
    model, params = decoder("lamda_pt")
    prefix, length = 64, 96
    batch = {
        "decoder_prefix_tokens": jnp.ones((1, prefix), jnp.int32),
        "decoder_prefix_lengths": jnp.full(1, prefix),
    }
    variables = {"params": params}
    cache = jax.eval_shape(lambda: model.init_cache(model.module, variables, None, batch, length))
    jaxpr = jax.make_jaxpr(
        lambda c: model.module.apply(variables, c, jnp.ones(1, jnp.int32), 3, method="decode_step")
    )(cache)
    emb_dim = model.config.emb_dim
    for equation in _equations(jaxpr.jaxpr):
        shapes = [v.aval.shape for v in equation.outvars]
        assert not any(s.count(length) > 1 or s.count(prefix) > 1 for s in shapes), equation
        if equation.primitive.name == "dot_general":
            assert not any({prefix, emb_dim} <= set(s) for s in shapes), equation


def _equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            if hasattr(value, "jaxpr"):
                yield from _equations(value.jaxpr)


def test_bfloat16_cache_and_float32_logits(decoder, tokens):
    model, params = decoder("palm", dtype="bfloat16")
    batch = {"decoder_prefix_tokens": tokens, "decoder_prefix_lengths": jnp.array([4, 2, 3])}
    variables = {"params": params}
    cache = jax.eval_shape(lambda: model.init_cache(model.module, variables, None, batch, 2))
    leaves = jax.tree.leaves((cache.self_attention, cache.prefix))
    assert {x.dtype for x in leaves} == {jnp.dtype(jnp.bfloat16)}
    logits, _ = jax.eval_shape(
        lambda c: model.module.apply(
            variables, c, jnp.zeros(3, jnp.int32), 0, method="decode_step"
        ),
        cache,
    )
    assert logits.dtype == jnp.float32
