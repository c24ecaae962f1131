"""Our T5 against T5X's own logits for a checkpoint that T5X wrote."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from flax import linen as nn
from flax import traverse_util
from t5x_sample import T5X_SAMPLE, read_t5x

from flan_jax.models.scan import to_scanned
from flan_jax.models.t5 import Transformer


@pytest.fixture
def checkpoint(shared_data):
    folder = shared_data / "t5x_checkpoint"
    with np.load(folder / "reference_logits.npz") as file:
        arrays = dict(file)
    saved = read_t5x(folder / "legacy" / "checkpoint_20")
    params = {key[7:]: value for key, value in saved.items() if key.startswith("target/")}
    return traverse_util.unflatten_dict(params, sep="/"), arrays


def test_tree_and_shapes_are_those_of_t5x(checkpoint):
    params, _ = checkpoint
    tokens = jax.ShapeDtypeStruct((1, 2), np.int32)
    abstract = jax.eval_shape(
        lambda key, x: Transformer(T5X_SAMPLE).init(key, x, x, x, enable_dropout=False),
        jax.random.key(0),
        tokens,
    )
    shapes = jax.tree.map(lambda x: x.shape, nn.meta.unbox(abstract)["params"])
    assert shapes == jax.tree.map(lambda x: x.shape, params)


@pytest.mark.parametrize("scan_layers", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_logits_equal_those_of_t5x(checkpoint, packed, scan_layers, fast_jit):
    params, arrays = checkpoint
    config = dataclasses.replace(T5X_SAMPLE, scan_layers=scan_layers)
    if scan_layers:
        params = to_scanned(params)
    names = ("encoder_segment_ids", "decoder_segment_ids", "encoder_positions", "decoder_positions")
    apply = fast_jit(functools.partial(Transformer(config).apply, enable_dropout=False))
    logits = apply(
        {"params": params},
        arrays["packed_encoder_input_tokens" if packed else "encoder_input_tokens"],
        arrays["decoder_input_tokens"],
        arrays["decoder_target_tokens"],
        **({name: arrays[name] for name in names} if packed else {}),
    )
    expected = arrays["packed_logits" if packed else "logits"]
    np.testing.assert_allclose(logits, expected, atol=1e-4, rtol=0)
