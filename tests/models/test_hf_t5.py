"""Our T5 against Hugging Face's on random weights: committed arrays, and live with torch."""

import functools
import json

import numpy as np
import pytest

from flan_jax.errors import CheckpointError, ConfigError
from flan_jax.interop.hf_t5 import config_from_hf, params_from_hf
from flan_jax.models.t5 import Transformer


def our_logits(jit, fields: dict, weights: dict, tokens: dict, scan_layers: bool) -> np.ndarray:
    config = config_from_hf(fields, scan_layers=scan_layers)
    params = params_from_hf(weights, config)
    targets = tokens["decoder_target_tokens"]
    inputs = np.pad(targets, ((0, 0), (1, 0)))[:, :-1]
    apply = jit(functools.partial(Transformer(config).apply, enable_dropout=False))
    return apply({"params": params}, tokens["encoder_input_tokens"], inputs, targets)


def mean_loss(logits: np.ndarray, targets: np.ndarray) -> float:
    logits = np.asarray(logits, np.float64)
    log_z = np.log(np.exp(logits).sum(-1))
    chosen = np.take_along_axis(logits, targets[..., None], -1)[..., 0]
    return float((log_z - chosen)[targets > 0].mean())


def assert_same(ours, result, tokens, atol) -> None:
    targets = tokens["decoder_target_tokens"]
    real = targets > 0
    np.testing.assert_allclose(ours[real], result["logits"][real], atol=atol, rtol=0)
    assert abs(mean_loss(ours, targets) - float(result["loss"])) < 1e-5


def load(folder, name: str) -> tuple[dict, dict, dict]:
    with np.load(folder / f"{name}.npz") as file:
        arrays = dict(file)
    weights = {key[8:]: value for key, value in arrays.items() if key.startswith("weights/")}
    return json.loads(str(arrays["config"])), weights, arrays


@pytest.mark.parametrize("scan_layers", [False, True])
@pytest.mark.parametrize("name", ["t5_1_0", "t5_1_1"])
def test_logits_and_loss_equal_the_committed_ones(t5_golden, name, scan_layers, fast_jit):
    fields, weights, arrays = load(t5_golden.FOLDER, name)
    ours = our_logits(fast_jit, fields, weights, arrays, scan_layers)
    assert_same(np.asarray(ours), arrays, arrays, atol=1e-4)
    # Random weights must give logits that a mistake would move by more than the tolerance.
    assert np.std(ours) > 0.3


def gated_tied(fields: dict) -> dict:
    return {**fields, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": True}


def relu_untied(fields: dict) -> dict:
    return {**fields, "feed_forward_proj": "relu", "tie_word_embeddings": False}


@pytest.mark.parity
@pytest.mark.parametrize("change", [gated_tied, relu_untied])
def test_logits_and_loss_equal_live_ones(t5_golden, change, fast_jit):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    fields = change({**t5_golden.COMMON, "num_decoder_layers": 3, "d_kv": 8})
    tokens = t5_golden.make_tokens(seed=11, lengths=((40, 20), (7, 31), (33, 2)))
    result = t5_golden.run_hugging_face(fields, tokens, seed=11)
    ours = our_logits(fast_jit, fields, result["weights"], tokens, scan_layers=False)
    assert_same(np.asarray(ours), result, tokens, atol=1e-4)


def test_a_missing_weight_is_named(t5_golden):
    fields, weights, _ = load(t5_golden.FOLDER, "t5_1_1")
    del weights["decoder.block.1.layer.2.DenseReluDense.wi_0.weight"]
    with pytest.raises(CheckpointError, match="block.1.layer.2.DenseReluDense.wi_0"):
        params_from_hf(weights, config_from_hf(fields))


def test_a_weight_left_over_is_named(t5_golden):
    fields, weights, _ = load(t5_golden.FOLDER, "t5_1_1")
    with pytest.raises(
        CheckpointError, match=r"9 arrays do not fit(.|\n)*encoder.block.1.*: no place in this"
    ):
        params_from_hf(weights, config_from_hf(fields, num_encoder_layers=1))


def test_untied_weights_do_not_pass_as_tied(t5_golden):
    fields, weights, _ = load(t5_golden.FOLDER, "t5_1_1")
    with pytest.raises(CheckpointError, match="logits_via_embedding to False"):
        params_from_hf(weights, config_from_hf(fields, logits_via_embedding=True))


def test_an_unknown_activation_is_refused(t5_golden):
    with pytest.raises(ConfigError, match="'gated-mish'; expected one of relu, gated-gelu"):
        config_from_hf({**t5_golden.COMMON, "feed_forward_proj": "gated-mish"})
