"""Decoding and scoring with decoder-only models: against Hugging Face, and against full passes."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flan_jax.decode import DecodeConfig, decode_batch, score_options
from flan_jax.errors import ConfigError
from flan_jax.interop.hf_decoder import config_from_hf, params_from_hf
from flan_jax.models.decoder import DecoderOnlyTransformer
from flan_jax.models.decoder_only import DecoderOnlyModel


def build(fields, weights, scan_layers=False, **options):
    config = config_from_hf(fields, scan_layers=scan_layers)
    model = DecoderOnlyModel(DecoderOnlyTransformer(config), **options)
    return model, params_from_hf(weights, config)


def prefix_batch(golden, prefixes, **features):
    lengths = np.asarray(golden.PREFIX_LENGTHS, np.int32)
    return {"decoder_prefix_tokens": prefixes, "decoder_prefix_lengths": lengths, **features}


@functools.partial(jax.jit, static_argnums=(0, 4))
def jitted(model, params, batch, key, config):
    return decode_batch(model, params, batch, key, config)


def decode(model, params, batch, config, key=None):
    return jax.tree.map(np.asarray, jitted(model, params, batch, key, config))


def check_outputs(golden, fields, result, cases, **options):
    model, params = build(fields, result["weights"], **options)
    # What pads the prefixes is never read, whatever it is.
    lengths = np.asarray(golden.PREFIX_LENGTHS)[:, None]
    padding = np.arange(result["prefixes"].shape[1])[None] >= lengths
    batch = prefix_batch(golden, np.where(padding, 5, result["prefixes"]))
    config = DecodeConfig(max_decode_length=golden.T, eos_id=golden.EOS)
    greedy = decode(model, params, batch, config)
    np.testing.assert_array_equal(greedy.tokens_BxKxT[:, 0], result["greedy_tokens"])
    for name, alpha, early_stopping in cases:
        beam = dataclasses.replace(
            config,
            method="beam",
            beam_size=golden.BEAMS,
            length_penalty=alpha,
            length_penalty_type="hf",
            early_stopping=early_stopping,
        )
        found = decode(model, params, batch, beam)
        np.testing.assert_array_equal(found.tokens_BxKxT, result[f"{name}_tokens"], name)
        np.testing.assert_allclose(
            found.scores_BxK, result[f"{name}_scores"], rtol=1e-4, atol=1e-4, err_msg=name
        )


@pytest.mark.parametrize(
    ("name", "scan_layers"),
    [
        pytest.param("hf_gpt2", True, marks=pytest.mark.exhaustive),
        ("hf_llama", True),
        pytest.param("hf_llama", False, marks=pytest.mark.exhaustive),
    ],
)
def test_greedy_and_beam_equal_hugging_face_golden(decoder_golden, name, scan_layers):
    fields, result = decoder_golden.read(name)
    # Rows end at different steps, and 0 is a token like any other.
    assert len({int((row == decoder_golden.EOS).argmax()) for row in result["greedy_tokens"]}) > 1
    assert result["prefixes"][:, 0].min() == 0 or 0 in result["greedy_tokens"][-1, :8]
    cases = [case for case in decoder_golden.BEAM_CASES if case[0] == "mean"]
    check_outputs(decoder_golden, fields, result, cases, scan_layers=scan_layers)


@pytest.mark.parity
@pytest.mark.parametrize(
    ("base", "scan_layers"),
    [
        pytest.param("GPT2", True, marks=pytest.mark.exhaustive),
        ("LLAMA", False),
        pytest.param("GPT2", False, marks=pytest.mark.exhaustive),
        pytest.param("LLAMA", True, marks=pytest.mark.exhaustive),
    ],
)
def test_greedy_and_beam_equal_hugging_face_now(decoder_golden, base, scan_layers):
    pytest.importorskip("transformers")
    # With one head of keys and values, and tied, where the committed Llama has two and is not.
    changes = {"tie_word_embeddings": True, "num_key_value_heads": 1} if base == "LLAMA" else {}
    fields = {**getattr(decoder_golden, base), **changes}
    result = decoder_golden.run_hugging_face(fields, seed=9)
    check_outputs(
        decoder_golden, fields, result, decoder_golden.BEAM_CASES, scan_layers=scan_layers
    )


@pytest.fixture(scope="module")
def llama(decoder_golden):
    """(model, params, batch) of the committed Llama."""
    fields, result = decoder_golden.read("hf_llama")
    return *build(fields, result["weights"]), prefix_batch(decoder_golden, result["prefixes"])


@pytest.mark.exhaustive
@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_prepared_weights_give_the_same_outputs(llama, method):
    model, params, batch = llama
    base = DecodeConfig(method=method, max_decode_length=6)
    found = [
        decode(model, params, batch, dataclasses.replace(base, prepare_weights=prepare))
        for prepare in (False, True)
    ]
    np.testing.assert_array_equal(found[0].tokens_BxKxT, found[1].tokens_BxKxT)
    np.testing.assert_allclose(found[0].scores_BxK, found[1].scores_BxK, atol=2e-5)


def test_prefixes_run_once_and_alone_and_steps_do_not_carry_them(decoder_golden, llama):
    """Samples and beams of a prefix read one copy of its keys and values."""
    model, params, batch = llama
    config = DecodeConfig(
        method="sample", num_samples=5, max_decode_length=3, prepare_weights=False
    )
    traced = jax.make_jaxpr(lambda p, b: decode_batch(model, p, b, jax.random.key(0), config))(
        params, batch
    )
    (loop,) = (e for e in traced.jaxpr.eqns if e.primitive.name == "while")
    rows, length = batch["decoder_prefix_tokens"].shape
    of_prefix = (rows, model.config.kv_heads, length, model.config.head_dim)
    constants = [v.aval.shape for v in loop.invars[: loop.params["body_nconsts"]]]
    carried = [v.aval.shape for v in loop.outvars]
    assert constants.count(of_prefix) == 2 * model.config.num_layers
    # What is carried are the samples' own keys and values, and nothing of a prefix's length.
    own = (rows * 5, model.config.kv_heads, 3, model.config.head_dim)
    assert carried.count(own) == 2 * model.config.num_layers
    assert not any(len(shape) == 4 and shape != own for shape in carried)


@pytest.mark.exhaustive
def test_samples_depend_on_key_and_row_only_and_score_as_continuations(decoder_golden, llama):
    model, params, batch = llama
    config = DecodeConfig(method="sample", num_samples=3, max_decode_length=6, top_k=8)
    key = jax.random.key(1)
    whole = decode(model, params, batch, config, key)
    assert (whole.tokens_BxKxT[:, 0] != whole.tokens_BxKxT[:, 1]).any()
    assert (whole.tokens_BxKxT == 0).sum() > (whole.lengths_BxK < 6).sum()

    # Another order, wider, with padding rows: the same outputs, and nothing for padding.
    order = np.array([4, 1, 0])
    part = {
        "decoder_prefix_tokens": np.pad(batch["decoder_prefix_tokens"][order], ((0, 1), (0, 3))),
        "decoder_prefix_lengths": np.append(batch["decoder_prefix_lengths"][order], 0),
        "row_ids": np.append(order, 77),
    }
    found = decode(model, params, part, config, key)
    np.testing.assert_array_equal(found.tokens_BxKxT[:3], whole.tokens_BxKxT[order])
    np.testing.assert_allclose(found.scores_BxK[:3], whole.scores_BxK[order], atol=2e-5)
    assert not found.tokens_BxKxT[3].any() and not found.lengths_BxK[3].any()

    scored = jax.jit(score_options, static_argnums=0)(
        model, params, batch, jnp.asarray(whole.tokens_BxKxT), jnp.asarray(whole.lengths_BxK)
    )
    np.testing.assert_array_equal(scored.tokens_BxO, whole.lengths_BxK)
    np.testing.assert_allclose(scored.log_likelihood_BxO, whole.scores_BxK, atol=2e-5)


@pytest.mark.exhaustive
@pytest.mark.parametrize("bidirectional", [False, True])
def test_option_scores_equal_score_batch_on_joined_rows(decoder_golden, bidirectional):
    """Prefix cache and continuation against one pass over the whole row."""
    fields, result = decoder_golden.read("hf_llama")
    options = {"inputs_bidirectional_attention": bidirectional}
    model, params = build(fields, result["weights"], scan_layers=True, **options)
    prefixes, rng = result["prefixes"], np.random.default_rng(2)
    options_BxOxT = rng.integers(0, decoder_golden.VOCAB, (len(prefixes), 2, 4), np.int32)
    lengths_BxO = np.asarray([[4, 1], [2, 3], [4, 0], [1, 4], [3, 2], [2, 2]])
    found = jax.jit(score_options, static_argnums=0)(
        model, params, prefix_batch(decoder_golden, prefixes), options_BxOxT, lengths_BxO
    )
    np.testing.assert_array_equal(found.tokens_BxO, lengths_BxO)

    width = prefixes.shape[1] + 4
    rows = {
        name: np.zeros((2 * len(prefixes), width), np.int32)
        for name in (
            "decoder_input_tokens",
            "decoder_target_tokens",
            "decoder_loss_weights",
            "decoder_causal_attention",
        )
    }
    for i, (b, o) in enumerate(np.ndindex(len(prefixes), 2)):
        prefix = prefixes[b, : decoder_golden.PREFIX_LENGTHS[b]]
        option = options_BxOxT[b, o, : lengths_BxO[b, o]]
        whole, start = np.concatenate([prefix, option]), len(prefix) - 1
        rows["decoder_input_tokens"][i, : len(whole)] = whole
        rows["decoder_target_tokens"][i, : len(whole) - 1] = whole[1:]
        rows["decoder_loss_weights"][i, start : start + len(option)] = 1
        rows["decoder_causal_attention"][i, : len(prefix)] = 1
    scores, weights, _ = jax.jit(model.score_batch)(params, rows)
    np.testing.assert_array_equal(weights, lengths_BxO.ravel())
    np.testing.assert_allclose(found.log_likelihood_BxO.ravel(), scores, atol=2e-5)


def test_a_length_is_needed_and_learned_positions_bound_it(decoder_golden):
    fields, result = decoder_golden.read("hf_gpt2")
    model, params = build(fields, result["weights"])
    batch = prefix_batch(decoder_golden, result["prefixes"])
    joined = {**batch, "decoder_target_tokens": np.zeros((6, 9), np.int32)}
    with pytest.raises(ConfigError, match="max_decode_length is None"):
        decode_batch(model, params, joined, None, DecodeConfig())
    decode_34 = functools.partial(decode_batch, model, params, batch, None)
    jax.eval_shape(lambda: decode_34(DecodeConfig(max_decode_length=34)))
    with pytest.raises(ConfigError, match="41 positions, and the model has learned 40"):
        jax.eval_shape(lambda: decode_34(DecodeConfig(max_decode_length=35)))
