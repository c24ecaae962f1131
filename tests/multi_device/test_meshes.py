"""Every kind of mesh trains like one device, with the collectives that its layout asks for.

The golden counts lie in tests/golden/collectives.json; `python tests/multi_device/test_meshes.py`
writes them anew.
"""

import collections
import functools
import json
import os
import pathlib

import pytest

if __name__ == "__main__":
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import jax
import jax.numpy as jnp
import numpy as np

from flan_jax import starting, testing, trainable
from flan_jax.adafactor import Adafactor
from flan_jax.errors import TopologyError
from flan_jax.mesh import PjitPartitioner
from flan_jax.models.decoder import DecoderConfig, DecoderOnlyTransformer
from flan_jax.models.decoder_only import DecoderOnlyModel
from flan_jax.models.encoder_decoder import EncoderDecoderModel
from flan_jax.models.t5 import Transformer
from flan_jax.plan import costs, groups

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "collectives.json"
STEPS, ROWS, LENGTH, TARGETS = 5, 8, 16, 8
# Compiling is nearly all the time of this test; optimised code is not its subject.
COMPILER_OPTIONS = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}

MESHES = {
    "data8": {"data": 8},
    "fsdp8": {"fsdp": 8},
    "data4_fsdp2": {"data": 4, "fsdp": 2},
    "data2_model4": {"data": 2, "num_partitions": 4},
    "fsdp4_model2": {"fsdp": 4, "num_partitions": 2},
    "fsdp2_model4": {"fsdp": 2, "num_partitions": 4},
    "data2_fsdp2_model2": {"data": 2, "fsdp": 2, "num_partitions": 2},
    "slices2_data4": {"slices": 2, "data": 4},
    "slices2_fsdp4": {"slices": 2, "fsdp": 4},
    "slices2_fsdp2_model2": {"slices": 2, "fsdp": 2, "num_partitions": 2},
    "slices2_data2_model2": {"slices": 2, "data": 2, "num_partitions": 2},
}


def t5_model() -> EncoderDecoderModel:
    config = testing.tiny_t5_config(remat_policy="minimal")
    return EncoderDecoderModel(Transformer(config), optimizer_def=Adafactor())


def palm_model() -> DecoderOnlyModel:
    """Parallel blocks and one head of keys and values."""
    config = DecoderConfig(
        vocab_size=64,
        emb_dim=16,
        num_heads=4,
        num_kv_heads=1,
        head_dim=8,
        num_layers=2,
        mlp_dim=32,
        mlp_activations=("silu", "linear"),
        dropout_rate=0.0,
        parallel_block=True,
        positions="rotary",
        remat_policy="full",
    )
    return DecoderOnlyModel(DecoderOnlyTransformer(config), optimizer_def=Adafactor())


MODELS = {"t5": t5_model, "palm": palm_model}


def make_batch(model) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    sides = {"decoder": LENGTH if model.row_layout.decoder_only else TARGETS}
    if not model.row_layout.decoder_only:
        sides["encoder"] = LENGTH
    batch = {}
    for side, length in sides.items():
        tokens = rng.integers(1, 16, (ROWS, length))
        half = np.arange(length) >= length // 2
        batch[f"{side}_segment_ids"] = np.broadcast_to(1 + half, tokens.shape)
        positions = np.arange(length) - half * (length // 2)
        batch[f"{side}_positions"] = np.broadcast_to(positions, tokens.shape)
        batch["encoder_input_tokens" if side == "encoder" else "decoder_target_tokens"] = tokens
    targets = batch["decoder_target_tokens"]
    shifted = np.pad(targets, ((0, 0), (1, 0)))[:, :-1]
    batch["decoder_input_tokens"] = np.where(batch["decoder_positions"] > 0, shifted, 0)
    batch["decoder_loss_weights"] = np.ones_like(targets)
    batch["decoder_task_ids"] = np.zeros_like(targets)
    return {name: np.array(array, np.int32) for name, array in batch.items()}


def train(name: str, mesh: dict) -> tuple[list[float], dict[str, int]]:
    """Losses of five steps, and how many collectives of each kind and axis one step makes."""
    model, partitioner = MODELS[name](), PjitPartitioner(**mesh)
    plan = starting.make_plan(
        model, trainable.select(model.abstract_params(), None), lambda step: 0.03, partitioner
    )
    batch = partitioner.put_batch(make_batch(model))
    jitted = starting.jit_train_step(plan, {key: value.sharding for key, value in batch.items()})
    rng = np.random.default_rng(1)
    arrays = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), plan.abstract)
    params = jax.tree.map(
        lambda leaf: rng.normal(scale=0.3, size=leaf.shape).astype(leaf.dtype), arrays.params
    )
    state = jax.device_put(arrays.replace(params=params), plan.shardings)
    with partitioner.activate():
        compiled = jitted.lower(state, batch, {}).compile(COMPILER_OPTIONS)
    losses = []
    for _ in range(STEPS):
        state, metrics = compiled(state, batch, {})
        losses.append(float(metrics.loss))
    counts: dict[str, int] = collections.Counter()
    for each in costs.analyze(compiled.as_text()).collectives:
        axes = groups.mesh_axes(each.groups, dict(partitioner.mesh.shape))
        counts[f"{each.kind} over {'+'.join(axes)}"] += round(each.calls)
    return losses, dict(sorted(counts.items()))


@functools.cache
def on_one_device(name: str) -> tuple[float, ...]:
    return tuple(train(name, {"devices": 1})[0])


_SLOW = (
    ("t5", "fsdp4_model2"),
    ("t5", "slices2_fsdp2_model2"),
    ("palm", "fsdp2_model4"),
    ("palm", "slices2_fsdp4"),
)


def _cases():
    for name in MODELS:
        for mesh in MESHES:
            mark = pytest.mark.slow if (name, mesh) in _SLOW else pytest.mark.exhaustive
            yield pytest.param(name, mesh, marks=mark, id=f"{name}-{mesh}")


@pytest.mark.parametrize(("name", "mesh"), list(_cases()))
def test_losses_and_collectives(name, mesh):
    losses, counts = train(name, MESHES[mesh])
    assert max(losses) - min(losses) > 0.01  # It learns something that could differ.
    np.testing.assert_allclose(losses, on_one_device(name), rtol=0, atol=1e-5)
    golden = json.loads(GOLDEN.read_text())
    if golden["jax"] != jax.__version__:
        pytest.skip(f"the counts are those of jax {golden['jax']}, this is {jax.__version__}")
    assert counts == golden["counts"][f"{name}-{mesh}"]


def test_rows_that_do_not_split_are_refused_with_the_nearest():
    partitioner = PjitPartitioner(fsdp=4, num_partitions=2)
    with pytest.raises(TopologyError, match="Nearest valid batch sizes: 4 or 8"):
        partitioner.check_batch_size(6)


def test_a_parameter_without_a_rule_is_refused_before_anything_compiles():
    rules = (("batch", "data"), ("embed", "fsdp"))
    partitioner = PjitPartitioner(fsdp=8, logical_axis_rules=rules)
    model = t5_model()
    with pytest.raises(TopologyError, match="has the logical axis .* for which there is no rule"):
        partitioner.shardings(model.abstract_params(), model.logical_axes())


def test_what_devices_do_not_divide_stays_whole():
    """A layout that cannot be had is left out, not an error: one decoded position, say."""
    from flan_jax.models.layers import STREAM_AXES, constrain

    partitioner = PjitPartitioner(fsdp=4, num_partitions=2)
    with partitioner.activate():
        made = jax.jit(lambda x: constrain(x, *STREAM_AXES))(jnp.ones((4, 1, 6)))
        split = jax.jit(lambda x: constrain(x, *STREAM_AXES))(jnp.ones((4, 8, 6)))
    assert made.sharding.shard_shape(made.shape) == (1, 1, 6)
    assert split.sharding.shard_shape(split.shape) == (1, 4, 6)


if __name__ == "__main__":
    found = {
        f"{name}-{mesh}": train(name, setting)[1]
        for name in MODELS
        for mesh, setting in MESHES.items()
    }
    GOLDEN.write_text(json.dumps({"jax": jax.__version__, "counts": found}, indent=1) + "\n")
