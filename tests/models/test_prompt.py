"""The soft prompt in the network: a prompt of embedded tokens is those tokens written out."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flan_jax.decode import api
from flan_jax.decode.config import DecodeConfig
from flan_jax.errors import ConfigError
from flan_jax.models import sizes
from flan_jax.models.blocks import DecoderLayer, EncoderLayer
from flan_jax.models.encoder_decoder import EncoderDecoderModel
from flan_jax.models.t5 import T5Config, Transformer

PROMPT_TOKENS = (5, 9, 31)


def _tree(params):
    flat, _ = jax.tree_util.tree_flatten_with_path(params)
    return {jax.tree_util.keystr(p, simple=True, separator="/"): x for p, x in flat}


@pytest.fixture(params=[pytest.param("unscanned", marks=pytest.mark.exhaustive), "scanned"])
def pair(request, tiny, make):
    """(model with a prompt, its parameters, model without, its parameters)."""
    config = dataclasses.replace(tiny, num_decoder_layers=1, scan_layers=request.param == "scanned")
    plain, params = make(config)
    embedding_VxD = params["token_embedder"]["embedding"]
    prompt = {"prompt": {"prompt": jnp.take(embedding_VxD, jnp.asarray(PROMPT_TOKENS), axis=0)}}
    prompted = {**params, "encoder": {**params["encoder"], "prompt": prompt}}
    network = Transformer(dataclasses.replace(config, prompt_length=len(PROMPT_TOKENS)))
    return network, prompted, plain, params


@pytest.fixture
def written_out(batch):
    """The batch with the prompt's tokens in front of the inputs."""
    tokens_BxL = batch["encoder_input_tokens"]
    front_BxP = np.tile(np.int32(PROMPT_TOKENS), (len(tokens_BxL), 1))
    return {**batch, "encoder_input_tokens": np.concatenate([front_BxP, tokens_BxL], axis=1)}


def test_the_parameter_has_the_name_shape_and_axes_of_google_researchs_prompt_tuning(tiny):
    models = [
        EncoderDecoderModel(Transformer(dataclasses.replace(tiny, prompt_length=length)))
        for length in (0, 7)
    ]
    without, given = (_tree(model.abstract_params()) for model in models)
    assert given.keys() - without.keys() == {"encoder/prompt/prompt/prompt"}
    leaf = given["encoder/prompt/prompt/prompt"]
    assert leaf.shape == (7, tiny.emb_dim) and leaf.dtype == jnp.float32
    axes = models[1].logical_axes()["encoder"]["prompt"]["prompt"]["prompt"]
    assert axes == ("prompt", "embed")
    assert sizes.count_params(models[1].config) == sum(x.size for x in given.values())


def test_first_values_are_drawn_evenly_on_both_sides_of_zero():
    config = T5Config(
        vocab_size=8, emb_dim=64, num_heads=1, num_encoder_layers=1, num_decoder_layers=1,
        head_dim=4, mlp_dim=4, prompt_length=50,
    )  # fmt: skip
    params = jax.jit(EncoderDecoderModel(Transformer(config)).init)(jax.random.key(0))
    prompt_PxD = np.asarray(params["encoder"]["prompt"]["prompt"]["prompt"])
    assert -0.5 <= prompt_PxD.min() < -0.49 and 0.49 < prompt_PxD.max() <= 0.5
    assert abs(prompt_PxD.mean()) < 0.02


def test_logits_are_those_of_the_tokens_written_out(pair, batch, written_out, run):
    network, prompted, plain, params = pair
    found = run(network, prompted, batch)
    expected = run(plain, params, written_out)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)
    # The prompt is read at all, and its place matters.
    moved = jax.tree.map(lambda x: x, prompted)
    rows = moved["encoder"]["prompt"]["prompt"]
    rows["prompt"] = rows["prompt"][::-1]
    assert np.abs(run(network, moved, batch) - found).max() > 1e-3


@pytest.mark.parametrize(
    ("pair", "config"),
    [
        ("unscanned", DecodeConfig()),
        ("scanned", DecodeConfig(method="beam", beam_size=3)),
        ("unscanned", DecodeConfig(method="sample", num_samples=2, temperature=0.7)),
    ],
    ids=["greedy", "beam", "sample"],
    indirect=["pair"],
)
def test_decoding_is_that_of_the_tokens_written_out(pair, batch, written_out, config, fast_jit):
    network, prompted, plain, params = pair
    key = jax.random.key(3)

    def decode(module, values, features):
        model = EncoderDecoderModel(module)
        return fast_jit(lambda p, b: model.predict_batch(p, b, key, config))(values, features)

    found, expected = decode(network, prompted, batch), decode(plain, params, written_out)
    np.testing.assert_array_equal(found.tokens_BxKxT, expected.tokens_BxKxT)
    np.testing.assert_allclose(found.scores_BxK, expected.scores_BxK, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pair", ["unscanned"], indirect=True)
def test_scores_are_those_of_the_tokens_written_out(pair, batch, written_out, fast_jit):
    network, prompted, plain, params = pair
    options_BxOxT = np.stack([batch["decoder_target_tokens"], batch["decoder_input_tokens"]], 1)

    def score(module, values, features):
        model = EncoderDecoderModel(module)

        def both(p, b):
            options = api.score_options(model, p, b, options_BxOxT)
            return model.score_batch(p, b)[0], options

        return fast_jit(both)(values, features)

    found, expected = score(network, prompted, batch), score(plain, params, written_out)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pair", ["unscanned"], indirect=True)
def test_packed_rows_are_refused(pair, batch):
    network, prompted, _, _ = pair
    segments = {
        f"{side}_segment_ids": (batch[name] > 0).astype(np.int32)
        for side, name in (
            ("encoder", "encoder_input_tokens"),
            ("decoder", "decoder_target_tokens"),
        )
    }
    with pytest.raises(ConfigError, match="pack = False"):
        jax.eval_shape(network.apply, {"params": prompted}, **batch, **segments)


@pytest.mark.parametrize("length", [-1, 2.0, True])
def test_a_length_that_is_none_is_refused(tiny, length):
    with pytest.raises(ConfigError, match="prompt_length"):
        dataclasses.replace(tiny, prompt_length=length)


def test_attention_weights_can_be_left_out_of_dropout(tiny, make, batch, fast_jit):
    both = [dataclasses.replace(tiny, dropout_rate=0.5, attention_dropout=on) for on in (1, 0)]
    for layer, lengths in ((EncoderLayer, (9,)), (DecoderLayer, (6, 9))):
        whole, fewer = (layer.dropout_sizes(config, *lengths) for config in both)
        assert {n: size for n, size in whole.items() if not n.endswith("_weights")} == fewer
        assert len(fewer) < len(whole)
    _, params = make(tiny)
    rngs = {"dropout": jax.random.key(0)}
    found = fast_jit(Transformer(both[1]).apply)({"params": params}, **batch, rngs=rngs)
    assert np.isfinite(found).all()
