"""Decoding and scoring with a tiny T5: against Hugging Face, and against plain full passes."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flan_jax import errors
from flan_jax.decode import DecodeConfig, decode_batch, score_options
from flan_jax.models import scan


@pytest.fixture(scope="module")
def tiny(golden):
    """(model, params, inputs int32 8x10) of the golden file."""
    return golden.make_model(), golden.make_params(), golden.make_inputs()


@functools.partial(jax.jit, static_argnums=(0, 4))
def jitted(model, params, batch, key, config):
    return decode_batch(model, params, batch, key, config)


def decode(tiny, config, tokens_BxL=None, key=None, **features):
    model, params, inputs_BxL = tiny
    batch = {"encoder_input_tokens": inputs_BxL if tokens_BxL is None else tokens_BxL, **features}
    return jax.tree.map(np.asarray, jitted(model, params, batch, key, config))


def beam_config(golden, alpha, early_stopping):
    return DecodeConfig(
        method="beam",
        beam_size=golden.BEAMS,
        max_decode_length=golden.T,
        length_penalty=alpha,
        length_penalty_type="hf",
        early_stopping=early_stopping,
    )


def check_against(tiny, golden, expected, cases):
    greedy = decode(tiny, DecodeConfig(max_decode_length=golden.T))
    np.testing.assert_array_equal(greedy.tokens_BxKxT[:, 0], expected["greedy_tokens"])
    for name, alpha, early_stopping in cases:
        found = decode(tiny, beam_config(golden, alpha, early_stopping))
        np.testing.assert_array_equal(found.tokens_BxKxT, expected[f"{name}_tokens"], name)
        np.testing.assert_allclose(
            found.scores_BxK, expected[f"{name}_scores"], rtol=2e-5, err_msg=name
        )


def test_greedy_and_beam_equal_hugging_face_golden(tiny, golden):
    expected = np.load(golden.PATH)
    assert len({int((row == 0).argmax()) for row in expected["greedy_tokens"]}) > 3
    # The cheaper half; the live comparison below takes all cases.
    cases = [case for case in golden.BEAM_CASES if case[0] in ("mean", "long", "first")]
    check_against(tiny, golden, expected, cases)


@pytest.mark.parity
def test_greedy_and_beam_equal_hugging_face_now(tiny, golden):
    pytest.importorskip("transformers")
    check_against(tiny, golden, golden.generate(), golden.BEAM_CASES)


def test_scores_equal_those_of_a_full_pass(tiny, golden):
    model, params, tokens_BxL = tiny
    # Prepared weights sum in another order; how far from these they may be is tested below.
    config = DecodeConfig(
        method="sample",
        num_samples=3,
        max_decode_length=golden.T,
        top_k=5,
        prepare_weights=False,
    )
    found = decode(tiny, config, key=jax.random.key(0))
    scored = jax.jit(score_options, static_argnums=0)(
        model, params, {"encoder_input_tokens": tokens_BxL}, jnp.asarray(found.tokens_BxKxT)
    )
    # Scoring cannot tell a produced token 0 from padding, so rows with one are left out.
    whole = scored.tokens_BxO == found.lengths_BxK
    assert whole.mean() > 0.5
    np.testing.assert_allclose(found.scores_BxK[whole], scored.log_likelihood_BxO[whole], atol=2e-5)
    assert (np.diff(found.scores_BxK, axis=1) <= 0).all()


def test_samples_do_not_depend_on_batch_padding_or_row_order(tiny, golden):
    tokens_BxL = tiny[2]
    config = DecodeConfig(method="sample", num_samples=2, max_decode_length=golden.T)
    key = jax.random.key(3)
    whole = decode(tiny, config, key=key)
    assert (whole.tokens_BxKxT[:, 0] != whole.tokens_BxKxT[:, 1]).any()
    order = np.array([5, 2, 7, 0])
    padded = np.pad(tokens_BxL[order], ((0, 2), (0, 4)))
    ids = np.concatenate([order, [90, 91]])
    part = decode(tiny, config, padded, key=key, row_ids=ids)
    np.testing.assert_array_equal(part.tokens_BxKxT[:4], whole.tokens_BxKxT[order])
    np.testing.assert_allclose(part.scores_BxK[:4], whole.scores_BxK[order], atol=2e-5)
    assert not part.tokens_BxKxT[4:].any() and not part.scores_BxK[4:].any()


@pytest.mark.parametrize(
    ("method", "scan_layers"),
    [
        ("greedy", True),
        pytest.param("beam", True, marks=pytest.mark.exhaustive),
        pytest.param("beam", False, marks=pytest.mark.exhaustive),
        pytest.param("greedy", False, marks=pytest.mark.exhaustive),
    ],
)
def test_prepared_weights_give_the_same_outputs(golden, scan_layers, method):
    model, params = golden.make_model(scan_layers), golden.make_params()
    if scan_layers:
        params = scan.to_scanned(params)
    base = DecodeConfig(method=method, max_decode_length=golden.T)
    found = [
        decode((model, params, golden.make_inputs()), dataclasses.replace(base, prepare_weights=p))
        for p in (False, True)
    ]
    np.testing.assert_array_equal(found[0].tokens_BxKxT, found[1].tokens_BxKxT)
    np.testing.assert_allclose(found[0].scores_BxK, found[1].scores_BxK, atol=2e-5)


def test_steps_on_prepared_weights_have_no_stack_and_no_weight_on_the_right(golden):
    """Unasked, too: else every step copies layers out of their stack, or weights into tiles."""
    model, params = golden.make_model(scan_layers=True), scan.to_scanned(golden.make_params())
    batch = {"encoder_input_tokens": golden.make_inputs()}
    traced = jax.make_jaxpr(
        lambda params: decode_batch(model, params, batch, None, DecodeConfig(max_decode_length=3))
    )(params)
    (loop,) = (e for e in traced.jaxpr.eqns if e.primitive.name == "while")
    body = loop.params["body_jaxpr"].jaxpr
    assert not any(e.primitive.name == "scan" for e in body.eqns)
    products = [e for e in body.eqns if e.primitive.name == "dot_general"]
    weights = [e for e in products if not e.params["dimension_numbers"][1][0]]
    # Of each layer: four of self-attention, two of cross-attention, three of the MLP.
    assert len(weights) == 2 * 9 + 1
    for product in weights:
        kernel_OxI, rows_NxI = (v.aval.shape for v in product.invars)
        assert rows_NxI == (8, kernel_OxI[1])
        assert product.params["dimension_numbers"] == (((1,), (1,)), ((), ()))


def test_num_return_and_length_of_the_targets(tiny):
    config = DecodeConfig(method="beam", beam_size=3, num_return=2)
    found = decode(tiny, config, decoder_target_tokens=jnp.zeros((8, 5), jnp.int32))
    assert found.tokens_BxKxT.shape == (8, 2, 5)


def test_missing_length_and_missing_key_are_errors(tiny):
    with pytest.raises(errors.ConfigError, match="max_decode_length is None"):
        decode(tiny, DecodeConfig())
    with pytest.raises(errors.ConfigError, match="needs a PRNG key"):
        decode(tiny, DecodeConfig(method="sample", max_decode_length=3))


def test_option_scores_equal_score_batch_and_ignore_batch_and_padding(tiny):
    model, params, tokens_BxL = tiny
    rng = np.random.default_rng(0)
    options_BxOxT = rng.integers(2, 24, (8, 3, 6)).astype(np.int32)
    for option, length in enumerate((6, 2, 4)):
        options_BxOxT[:, option, length - 1] = 1
        options_BxOxT[:, option, length:] = 0
    options_BxOxT[3, 1] = 0  # an option that is not there
    score = jax.jit(score_options, static_argnums=0)
    found = score(model, params, {"encoder_input_tokens": tokens_BxL}, options_BxOxT)
    assert found.log_likelihood_BxO.dtype == np.float32
    np.testing.assert_array_equal(found.tokens_BxO[0], [6, 2, 4])
    assert found.log_likelihood_BxO[3, 1] == 0 and found.tokens_BxO[3, 1] == 0

    targets_BxT = options_BxOxT[:, 2]
    batch = {
        "encoder_input_tokens": tokens_BxL,
        "decoder_target_tokens": targets_BxT,
        "decoder_input_tokens": np.pad(targets_BxT, ((0, 0), (1, 0)))[:, :-1],
        "decoder_loss_weights": (targets_BxT > 0).astype(np.int32),
    }
    log_likelihood_B, weight_B, correct_B = jax.jit(model.score_batch)(params, batch)
    np.testing.assert_array_equal(found.correct_BxO[:, 2], correct_B)
    np.testing.assert_allclose(found.log_likelihood_BxO[:, 2], log_likelihood_B, atol=2e-5)
    np.testing.assert_array_equal(found.tokens_BxO[:, 2], weight_B)

    wider = score(
        model,
        params,
        {"encoder_input_tokens": np.pad(tokens_BxL[2:5], ((0, 1), (0, 5)))},
        np.pad(options_BxOxT[2:5], ((0, 1), (0, 1), (0, 3))),
    )
    np.testing.assert_allclose(
        wider.log_likelihood_BxO[:3, :3], found.log_likelihood_BxO[2:5], atol=2e-5
    )
    assert not wider.log_likelihood_BxO[3].any() and np.isfinite(wider.log_likelihood_BxO).all()
