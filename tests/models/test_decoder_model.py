"""DecoderOnlyModel: loss and scores by the weights given, never by token ids."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flan_jax import losses
from flan_jax.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def batch():
    """Three rows of inputs and targets, some targets being token 0, the last padded."""
    rng = np.random.default_rng(6)
    tokens = rng.integers(1, 48, (3, 8)).astype(np.int32)
    tokens[:, 5] = 0
    weights = np.zeros((3, 8), np.int32)
    weights[0, 3:], weights[1, 5:7], weights[2, 4:6] = 1, 1, 1
    tokens[2, 6:] = 0
    return {
        "decoder_target_tokens": tokens,
        "decoder_input_tokens": np.pad(tokens, ((0, 0), (1, 0)))[:, :-1],
        "decoder_loss_weights": weights,
        "decoder_task_ids": np.tile(np.arange(3, dtype=np.int32)[:, None], (1, 8)),
    }


def test_loss_and_score_are_those_of_the_logits_at_the_weights(decoder, batch, fast_jit):
    model, params = decoder("gpt2", model={"z_loss": 0.01, "label_smoothing": 0.1})

    @fast_jit
    def forward(params):
        score = model.score_batch(params, batch)
        return model.logits(params, batch), model.loss_fn(params, batch, None, 3), score

    logits, sums, (log_likelihood, weight, greedy) = forward(params)
    assert logits.dtype == jnp.float32
    token = losses.token_losses(
        logits, batch["decoder_target_tokens"], z_loss=0.01, label_smoothing=0.1
    )
    weights = jnp.float32(batch["decoder_loss_weights"])
    expected = losses.sum_losses(token, weights, batch["decoder_task_ids"], 3)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), sums, expected)
    np.testing.assert_array_equal(sums.task_weight_K, [5, 2, 2])
    best = np.asarray(logits).argmax(-1) == batch["decoder_target_tokens"]
    np.testing.assert_array_equal(greedy, (best * np.asarray(weights)).sum(-1))
    log_p = np.asarray(jax.nn.log_softmax(logits))
    picked = np.take_along_axis(log_p, batch["decoder_target_tokens"][:, :, None], axis=-1)
    by_hand = (picked[:, :, 0] * batch["decoder_loss_weights"]).sum(1)
    np.testing.assert_allclose(log_likelihood, by_hand, rtol=1e-4)
    np.testing.assert_array_equal(weight, [5, 2, 2])


@pytest.mark.exhaustive
def test_chunked_loss_equals_the_whole_with_dropout(decoder, batch, fast_jit):
    """Tied: the embedding gets gradient from the network and from every chunk."""

    def loss_and_gradient(**options):
        model, params = decoder("palm", model=options, dropout_rate=0.2)
        return fast_jit(
            jax.value_and_grad(lambda p: model.loss_fn(p, batch, jax.random.key(1)).loss)
        )(params)

    found, expected = loss_and_gradient(loss_chunk_size=3), loss_and_gradient()
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, atol=1e-4, rtol=1e-4), found, expected
    )


def test_what_a_batch_must_say_is_asked_for(decoder, batch):
    model, params = decoder("palm")
    bare = {name: x for name, x in batch.items() if name != "decoder_loss_weights"}
    for call in (model.score_batch, lambda p, b: model.loss_fn(p, b, None)):
        with pytest.raises(DataError, match="no 'decoder_loss_weights'.*0 may be a token"):
            call(params, bare)
    model, params = decoder("palm", model={"inputs_bidirectional_attention": True})
    with pytest.raises(DataError, match="no 'decoder_causal_attention'"):
        model.logits(params, batch)


def test_vocabulary_must_fit_the_embedding(decoder):
    model, _ = decoder("palm", model={"vocabulary": "its"})
    model.check_vocabulary(48)
    with pytest.raises(ConfigError, match=r"49 tokens .* only 48\. Set network.DecoderConfig"):
        model.check_vocabulary(49)
    assert model.vocabulary == model.input_vocabulary == model.output_vocabulary == "its"


def test_predictions_come_from_the_decode_package(monkeypatch, decoder, batch):
    from flan_jax.decode import api

    monkeypatch.setattr(api, "decode_batch", lambda *arguments: arguments)
    model, _ = decoder("palm")
    key, config = jax.random.key(0), api.DecodeConfig()
    assert model.predict_batch({}, batch, key, config) == (model, {}, batch, key, config)


def test_rows_beyond_the_learned_positions_are_refused(decoder):
    model, params = decoder("gpt2", max_positions=7)
    tokens = np.zeros((1, 8), np.int32)
    with pytest.raises(ConfigError, match="8 positions, and the model has learned 7"):
        model.logits(params, {"decoder_input_tokens": tokens, "decoder_target_tokens": tokens})
