"""Analytic FLOPs against XLA's own count of the compiled, unscanned program."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from flan_jax import flops
from flan_jax.models import t5
from flan_jax.models.sizes import t5_config


def _config(**overrides):
    return t5.T5Config(
        **{
            "vocab_size": 256,
            "dtype": "float32",
            "emb_dim": 64,
            "num_heads": 4,
            "num_encoder_layers": 2,
            "num_decoder_layers": 3,
            "head_dim": 32,
            "mlp_dim": 128,
            "mlp_activations": ("gelu", "linear"),
            "scan_layers": False,
            **overrides,
        }
    )


@pytest.mark.parametrize("activations", [("relu",), ("gelu", "linear")])
def test_forward_flops_match_the_compiled_program(activations, key):
    config = _config(mlp_activations=activations)
    batch, length, target = 2, 48, 16
    network = t5.Transformer(config)
    inputs = jnp.ones((batch, length), jnp.int32)
    targets = jnp.ones((batch, target), jnp.int32)
    params = jax.eval_shape(
        lambda: network.init(key, inputs, targets, targets, enable_dropout=False)
    )
    forward = jax.jit(
        lambda params: network.apply(params, inputs, targets, targets, enable_dropout=False)
    )
    counted = forward.lower(params).compile().cost_analysis()["flops"]
    # XLA also counts norms, softmax and masks, which are not model FLOPs.
    assert counted * 0.85 < flops.forward_flops(config, batch, length, target) <= counted


def test_decoder_parameters_do_not_see_input_tokens():
    config = _config()
    short = flops.forward_flops(config, 1, 100, 10)
    deep = flops.forward_flops(dataclasses.replace(config, num_decoder_layers=6), 1, 100, 10)
    joined = config.num_heads * config.head_dim
    per_layer = (deep - short) / 3
    seen_by_targets = 10 * (12 * config.emb_dim * joined + 6 * config.emb_dim * config.mlp_dim)
    seen_by_inputs = 100 * 4 * config.emb_dim * joined
    attention = 4 * 10 * 10 * joined + 4 * 10 * 100 * joined
    assert per_layer == seen_by_targets + seen_by_inputs + attention


def test_t5_xxl_step_is_near_six_flops_per_parameter_and_token():
    config = t5_config("t5_1_1_xxl")
    length = target = 512
    # Half of the parameters see each kind of token, so 6 N tokens would be twice too much.
    matmul_params = 10.87e9
    rough = 6 * matmul_params / 2 * (length + target)
    assert flops.train_flops(config, 1, length, target) == pytest.approx(rough, rel=0.15)


def test_unknown_chip_has_no_peak():
    assert flops.peak_flop_per_s("cpu") is None
    assert flops.peak_flop_per_s("TPU v4") == 275e12
