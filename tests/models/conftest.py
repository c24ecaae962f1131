"""Fixtures: a tiny configuration, a batch with padding, and models made once."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from flan_jax.models.decoder import DecoderConfig, DecoderOnlyTransformer
from flan_jax.models.decoder_only import DecoderOnlyModel
from flan_jax.models.decoder_sizes import decoder_config
from flan_jax.models.t5 import T5Config, Transformer

TINY = T5Config(
    vocab_size=48,
    emb_dim=16,
    num_heads=3,
    num_encoder_layers=1,
    num_decoder_layers=2,
    head_dim=4,
    mlp_dim=24,
    mlp_activations=("gelu", "linear"),
    dropout_rate=0.0,
    scan_layers=False,
)


# What the decoder-only families differ in, on one tiny shape.
DECODER_SHAPE = {
    "vocab_size": 48,
    "emb_dim": 12,
    "num_heads": 4,
    "head_dim": 6,
    "num_layers": 2,
    "mlp_dim": 20,
    "dropout_rate": 0.0,
}


@pytest.fixture
def tiny() -> T5Config:
    """One encoder and two decoder layers, gated, untied, unscanned."""
    return TINY


@pytest.fixture
def batch() -> dict[str, np.ndarray]:
    """Three rows of different lengths: encoder tokens 3x9, decoder tokens 3x6, padded with 0."""
    rng = np.random.default_rng(7)
    inputs = rng.integers(2, 48, (3, 9)).astype(np.int32)
    targets = rng.integers(2, 48, (3, 6)).astype(np.int32)
    for row, (inputs_length, targets_length) in enumerate(((9, 6), (4, 3), (7, 5))):
        inputs[row, inputs_length:] = 0
        targets[row, targets_length:] = 0
    return {
        "encoder_input_tokens": inputs,
        "decoder_input_tokens": np.pad(targets, ((0, 0), (1, 0)))[:, :-1],
        "decoder_target_tokens": targets,
    }


@functools.cache
def _draw(config: T5Config) -> dict:
    """Random parameters without compiling an init; all far enough from quiet to show errors."""
    tokens = jax.ShapeDtypeStruct((1, 2), np.int32)
    init = functools.partial(Transformer(config).init, enable_dropout=False)
    shapes = nn.meta.unbox(jax.eval_shape(init, jax.random.key(0), tokens, tokens, tokens))
    rng = np.random.default_rng(1)
    spread = {"embedding": 1.0, "rel_embedding": 0.5, "kernel": config.emb_dim**-0.5, "scale": 0.2}

    def draw(path, leaf):
        name = path[-1].key
        values = spread[name] * rng.standard_normal(leaf.shape) + (name == "scale")
        return jnp.asarray(values, leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, shapes["params"])


@functools.cache
def _draw_decoder(config: DecoderConfig) -> dict:
    """Random parameters; scales and biases are drawn too, so that each of them matters."""
    model = DecoderOnlyModel(DecoderOnlyTransformer(config))
    rng = np.random.default_rng(1)
    # Tied logits of about one, with and without the factor D**-0.5.
    spread = {"embedding": 1.0 if config.scale_tied_logits else 0.3, "rel_embedding": 0.5}

    def draw(path, leaf):
        name = path[-1].key
        width = leaf.shape[0] ** -0.5 if name == "kernel" else 0.2
        values = spread.get(name, width) * rng.standard_normal(leaf.shape) + (name == "scale")
        return jnp.asarray(values, leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, model.abstract_params())


@pytest.fixture
def decoder():
    """`decoder(family, **changes) -> (model, params)` of a tiny one of a decoder-only family.

    Families are those of `decoder_sizes`; `model` holds options of the model.
    """

    def build(family, model=None, **changes):
        config = decoder_config(f"{family}_tiny", **{**DECODER_SHAPE, **changes})
        return DecoderOnlyModel(DecoderOnlyTransformer(config), **model or {}), _draw_decoder(
            config
        )

    return build


@pytest.fixture
def make():
    """`make(config) -> (model, params)`; parameters of a configuration are drawn once."""
    return lambda config: (Transformer(config), _draw(config))


@pytest.fixture
def fast_jit():
    """jax.jit without machine-code optimisation: these functions run once and compile for long."""
    return functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture
def run(fast_jit):
    """`run(model, params, batch, **options)`: jitted `__call__`, dropout off."""

    def call(model, params, batch, **options):
        apply = fast_jit(functools.partial(model.apply, enable_dropout=False, **options))
        return np.asarray(apply({"params": params}, **batch))

    return call


@pytest.fixture(scope="session")
def t5_golden(golden_maker):
    """The module tests/golden/make_t5_golden.py."""
    return golden_maker("make_t5_golden")
