"""Our GPT-2, Llama and Qwen 2 against Hugging Face's on random weights: committed, and live."""

import numpy as np
import pytest

from flan_jax.errors import CheckpointError, ConfigError
from flan_jax.interop.hf_decoder import config_from_hf, params_from_hf
from flan_jax.models.decoder import DecoderOnlyTransformer
from flan_jax.models.decoder_only import DecoderOnlyModel
from flan_jax.models.rotary import RotaryScaling


def assert_same_logits(jit, fields, result, **overrides):
    config = config_from_hf(fields, **overrides)
    params = params_from_hf(result["weights"], config)
    tokens = result["tokens"]
    batch = {"decoder_input_tokens": tokens, "decoder_target_tokens": tokens}
    logits = jit(DecoderOnlyModel(DecoderOnlyTransformer(config)).logits)(params, batch)
    np.testing.assert_allclose(logits, result["logits"], atol=1e-4, rtol=0)
    # Random weights must give logits that a mistake would move by more than the tolerance.
    assert np.std(result["logits"]) > 0.3


@pytest.mark.parametrize("scan_layers", [False, True])
@pytest.mark.parametrize("name", ["hf_gpt2", "hf_llama"])
def test_logits_equal_the_committed_ones(decoder_golden, name, scan_layers, fast_jit):
    fields, result = decoder_golden.read(name)
    assert_same_logits(fast_jit, fields, result, scan_layers=scan_layers, dropout_rate=0.0)


@pytest.mark.parity
@pytest.mark.parametrize(
    ("base", "changes"),
    [
        ("GPT2", {"n_inner": 18, "activation_function": "gelu", "layer_norm_epsilon": 1e-3}),
        ("GPT2", {"tie_word_embeddings": False}),
        ("LLAMA", {"tie_word_embeddings": True, "num_key_value_heads": 4}),
        ("LLAMA", {"rope_parameters": {"rope_type": "default", "rope_theta": 50.0}}),
        ("LLAMA", {"model_type": "qwen2", "num_key_value_heads": 1, "head_dim": 4}),
    ],
    ids=["gpt2", "gpt2-untied", "llama-tied-mha", "llama-rope", "qwen2"],
)
def test_logits_equal_live_ones(decoder_golden, base, changes, fast_jit):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    given = {**getattr(decoder_golden, base), **changes}
    model = decoder_golden.make_model(given, seed=5)
    tokens = decoder_golden.make_tokens(seed=5)["tokens"]
    result = {
        "tokens": tokens,
        "weights": {name: value.numpy() for name, value in model.state_dict().items()},
        "logits": model(_long(tokens)).logits.detach().numpy(),
    }
    # What transformers writes to config.json, not what was asked for.
    assert_same_logits(fast_jit, model.config.to_dict(), result)


def _long(tokens):
    import torch

    return torch.from_numpy(tokens).long()


def test_names_without_the_prefix_and_stored_masks_are_read(decoder_golden):
    """As in the released GPT-2 files."""
    fields, result = decoder_golden.read("hf_gpt2")
    config = config_from_hf(fields, scan_layers=False)
    bare = {name.removeprefix("transformer."): x for name, x in result["weights"].items()}
    bare["h.0.attn.bias"] = np.ones((1, 1, 4, 4), np.float32)
    found, expected = params_from_hf(bare, config), params_from_hf(result["weights"], config)
    np.testing.assert_array_equal(
        found["decoder"]["layers_1"]["self_attention"]["key"]["kernel"],
        expected["decoder"]["layers_1"]["self_attention"]["key"]["kernel"],
    )


def test_missing_left_over_and_misshapen_weights_are_named(decoder_golden):
    fields, result = decoder_golden.read("hf_llama")
    config = config_from_hf(fields)
    gone = "model.layers.1.mlp.up_proj.weight"
    weights = {name: x for name, x in result["weights"].items() if name != gone}
    with pytest.raises(CheckpointError, match=r"layers\.1\.mlp\.up_proj\.weight: missing"):
        params_from_hf(weights, config)
    extra = {**result["weights"], "model.layers.2.mlp.up_proj.weight": np.ones((2, 2), np.float32)}
    with pytest.raises(CheckpointError, match=r"layers\.2\.mlp\.up_proj\.weight: no place"):
        params_from_hf(extra, config)
    with pytest.raises(CheckpointError, match=r"k_proj\.weight: shape \(12, 16\)"):
        params_from_hf(result["weights"], config_from_hf(fields, num_kv_heads=4))


def test_untied_weights_do_not_pass_as_tied(decoder_golden):
    fields, result = decoder_golden.read("hf_llama")
    with pytest.raises(CheckpointError, match=r"lm_head\.weight"):
        params_from_hf(result["weights"], config_from_hf({**fields, "tie_word_embeddings": True}))


def test_both_spellings_of_rotary_fields(decoder_golden):
    fields = {**decoder_golden.CASES["hf_llama"]}
    new = config_from_hf(fields)
    rope = fields.pop("rope_parameters")
    old = config_from_hf(
        {
            **fields,
            "rope_theta": rope["rope_theta"],
            "rope_scaling": {k: v for k, v in rope.items() if k != "rope_theta"},
        }
    )
    assert new == old
    assert (new.rotary_base, new.rotary_scaling) == (100.0, RotaryScaling(8.0, 1.0, 4.0, 8))


@pytest.mark.parametrize(
    ("base", "changes", "message"),
    [
        ("GPT2", {"model_type": "gpt3"}, "model_type is 'gpt3'.*'gpt2'"),
        ("GPT2", {"activation_function": "mish"}, "activation_function is 'mish'"),
        ("GPT2", {"scale_attn_by_inverse_layer_idx": True}, "inverse_layer_idx is True"),
        ("GPT2", {"n_head": None}, "no 'n_head'"),
        ("LLAMA", {"mlp_bias": True}, "mlp_bias is True"),
        ("LLAMA", {"head_dim": None, "hidden_size": 15}, "hidden_size is 15"),
        ("LLAMA", {"rope_parameters": {"rope_type": "yarn"}}, "kind 'yarn'"),
    ],
)
def test_what_has_no_counterpart_is_refused(decoder_golden, base, changes, message):
    with pytest.raises(ConfigError, match=message):
        config_from_hf({**getattr(decoder_golden, base), **changes})
