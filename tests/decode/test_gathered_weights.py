"""Weights gathered once for decoding: the same tokens, and no gathering inside the loop."""

import jax
import numpy as np
import pytest

from flan_jax import testing
from flan_jax.decode import api
from flan_jax.decode.config import DecodeConfig
from flan_jax.mesh import PjitPartitioner
from flan_jax.models.encoder_decoder import EncoderDecoderModel
from flan_jax.models.t5 import Transformer
from flan_jax.plan import costs, groups


def _decode(partitioner, gather):
    """Tokens, and bytes gathered over fsdp by a loop of one step and by one of eleven."""
    model = EncoderDecoderModel(Transformer(testing.tiny_t5_config()))
    abstract, axes = model.abstract_params(), model.logical_axes()
    rng = np.random.default_rng(2)
    params = jax.tree.map(lambda x: rng.normal(scale=0.5, size=x.shape).astype(x.dtype), abstract)
    params = jax.device_put(params, partitioner.shardings(abstract, axes))
    batch = {"encoder_input_tokens": rng.integers(1, 16, (8, 6)).astype(np.int32)}
    config = DecodeConfig(max_decode_length=5, gather_weights=gather, prepare_weights=False)
    with partitioner.activate():
        decode = jax.jit(lambda params, batch: api.decode_batch(model, params, batch, None, config))
        compiled = decode.lower(params, partitioner.put_batch(batch)).compile()
    text = compiled.as_text()
    sizes = []
    for trips in (1, 11):
        found = costs.analyze(text, open_loop_trips=trips)
        sizes.append(
            sum(
                each.nbytes
                for each in found.collectives
                if "gather" in each.kind
                and "fsdp" in groups.mesh_axes(each.groups, dict(partitioner.mesh.shape))
            )
        )
    output = jax.device_get(compiled(params, partitioner.put_batch(batch)))
    return (output.tokens_BxKxT, output.scores_BxK), sizes


def assert_same(found, expected):
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-5)


def test_same_tokens_and_no_gathering_in_the_loop():
    expected, _ = _decode(PjitPartitioner(devices=1), None)
    assert len(np.unique(expected[1])) == 8
    mesh = {"fsdp": 4, "num_partitions": 2}
    output, (once, often) = _decode(PjitPartitioner(**mesh), True)
    assert_same(output, expected)
    output, (step_once, step_often) = _decode(PjitPartitioner(**mesh), False)
    assert_same(output, expected)
    # What is left in the loop is the embedding of one token a row.
    assert often - once < 0.05 * (step_often - step_once)
    assert step_often > 3 * often


@pytest.mark.exhaustive
def test_automatic_choice_gathers_small_models():
    output, (once, often) = _decode(PjitPartitioner(fsdp=8), None)
    assert_same(output, _decode(PjitPartitioner(devices=1), None)[0])
    assert often < 3 * once


@pytest.mark.parametrize("value", ["yes", 1])
def test_other_values_are_refused(value):
    with pytest.raises(Exception, match="gather_weights is"):
        DecodeConfig(gather_weights=value)
