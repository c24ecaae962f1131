"""The same two training steps on one device and on meshes of eight."""

import functools

import jax
import numpy as np
import pytest

from flan_jax import state as state_lib
from flan_jax import step as step_lib
from flan_jax import testing
from flan_jax.adafactor import Adafactor, ScheduledTransformation
from flan_jax.mesh import PjitPartitioner
from flan_jax.models.encoder_decoder import EncoderDecoderModel
from flan_jax.models.t5 import Transformer

STEPS = 2
NUM_TASKS = 2
# Compiling is nearly all the time of this test; optimised code is not its subject.
COMPILER_OPTIONS = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}


class RecordingAdafactor:
    """Adafactor that keeps the last gradient in its state, where the test can read it."""

    inner = Adafactor(min_dim_size_to_factor=8)

    def make(self, learning_rate_fn, logical_axes=None):
        inner = self.inner.make(learning_rate_fn, logical_axes)

        def init(params):
            return inner.init(params), jax.tree.map(lambda p: 0.0 * p, params)

        def update(grads, state, params):
            updates, new_state = inner.update(grads, state[0], params)
            return updates, (new_state, grads)

        return ScheduledTransformation(init, update, learning_rate_fn)

    def state_logical_axes(self, abstract_params, logical_axes):
        return self.inner.state_logical_axes(abstract_params, logical_axes), logical_axes


def packed_batch(rows: int = 8, encoder: int = 12, decoder: int = 8) -> dict[str, np.ndarray]:
    """Random tokens, two segments a row, some padding at the end of each."""
    rng = np.random.default_rng(3)
    batch = {}
    for side, length in (("encoder", encoder), ("decoder", decoder)):
        ends = rng.integers(length - 3, length + 1, rows)
        cuts = rng.integers(2, length - 4, rows)
        index_BxL = np.arange(length)[None]
        segment_ids = np.where(index_BxL < cuts[:, None], 1, 2)
        segment_ids = np.where(index_BxL < ends[:, None], segment_ids, 0)
        positions = np.where(segment_ids == 2, index_BxL - cuts[:, None], index_BxL)
        tokens = np.where(segment_ids > 0, rng.integers(1, 16, (rows, length)), 0)
        name = "encoder_input_tokens" if side == "encoder" else "decoder_target_tokens"
        batch[name] = tokens
        batch[f"{side}_segment_ids"] = segment_ids
        batch[f"{side}_positions"] = np.where(segment_ids > 0, positions, 0)
    targets, segments = batch["decoder_target_tokens"], batch["decoder_segment_ids"]
    shifted = np.pad(targets, ((0, 0), (1, 0)))[:, :-1]
    batch["decoder_input_tokens"] = np.where(batch["decoder_positions"] > 0, shifted, 0)
    batch["decoder_loss_weights"] = (segments > 0).astype(np.int32)
    batch["decoder_task_ids"] = np.where(segments > 0, rng.integers(0, NUM_TASKS, (rows, 1)), 0)
    return {name: np.asarray(array, np.int32) for name, array in batch.items()}


def first_params(abstract_params, shardings):
    """The same random parameters on any mesh."""
    rng = np.random.default_rng(1)
    params = jax.tree.map(
        lambda leaf: rng.normal(scale=0.3, size=leaf.shape).astype(leaf.dtype), abstract_params
    )
    return jax.device_put(params, shardings)


def run(partitioner: PjitPartitioner, num_microbatches: int = 1):
    """Returns (metrics of each step, last state, its shardings)."""
    optimizer = RecordingAdafactor()
    model = EncoderDecoderModel(Transformer(testing.tiny_t5_config()), optimizer_def=optimizer)
    axes = model.logical_axes()
    tx = optimizer.make(lambda step: 0.01, axes)
    abstract = state_lib.abstract_state(model, tx)
    shardings = partitioner.shardings(
        abstract, state_lib.state_logical_axes(abstract, axes, optimizer)
    )
    partitioner.check_batch_size(8, num_microbatches)
    batch = partitioner.put_batch(packed_batch())
    step = step_lib.make_train_step(
        model, tx, num_microbatches, NUM_TASKS, seed=5, grad_shardings=shardings.params
    )
    jitted = jax.jit(
        step,
        out_shardings=(shardings, partitioner.replicated),
        donate_argnums=0,
        compiler_options=COMPILER_OPTIONS,
    )
    # Adafactor's slots start at zero.
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), abstract)
    state = jax.device_put(zeros, shardings)
    state = state.replace(params=first_params(abstract.params, shardings.params))
    metrics = []
    with partitioner.activate():
        for _ in range(STEPS):
            state, values = jitted(state, batch)
            metrics.append(jax.device_get(values))
    assert jitted._cache_size() == 1  # The second step met the layouts the first one left.
    return metrics, state, shardings


@functools.cache
def on_one_device():
    return run(PjitPartitioner(devices=1))[:2]


def assert_close(found, expected, tolerance):
    for (path, a), b in zip(
        jax.tree.leaves_with_path(found), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(
            np.asarray(a), np.asarray(b), atol=tolerance, rtol=tolerance, err_msg=str(path)
        )


@pytest.mark.parametrize(
    ("mesh", "num_microbatches"),
    [
        pytest.param({"data": 8}, 1, marks=pytest.mark.exhaustive),
        pytest.param({"data": 4, "num_partitions": 2}, 1, marks=pytest.mark.exhaustive),
        pytest.param({"fsdp": 4, "num_partitions": 2}, 1, marks=pytest.mark.exhaustive),
        ({"slices": 2, "fsdp": 2, "devices": 4}, 2),
    ],
    ids=["data8", "data4-model2", "fsdp4-model2", "slice2-fsdp2-microbatches2"],
)
def test_meshes_agree_with_one_device(mesh, num_microbatches):
    expected_metrics, expected = on_one_device()
    metrics, state, shardings = run(PjitPartitioner(**mesh), num_microbatches)

    for found, wanted in zip(metrics, expected_metrics, strict=True):
        assert bool(found.all_finite)
        assert_close(found, wanted, 1e-5)
    assert metrics[0].loss != metrics[1].loss
    assert int(state.step) == STEPS
    _, gradients = state.opt_state
    assert max(float(np.abs(g).max()) for g in jax.tree.leaves(gradients)) > 1e-3
    assert_close(gradients, expected.opt_state[1], 1e-5)
    assert_close(state.params, expected.params, 1e-5)
    assert_close(state.opt_state[0], expected.opt_state[0], 1e-5)

    for array, sharding in zip(jax.tree.leaves(state), jax.tree.leaves(shardings), strict=True):
        assert array.sharding.is_equivalent_to(sharding, array.ndim)


def test_dropout_masks_do_not_depend_on_the_mesh():
    """The loss with half of everything dropped tells masks apart far beyond rounding."""
    model = EncoderDecoderModel(Transformer(testing.tiny_t5_config(dropout_rate=0.5)))
    abstract, axes = model.abstract_params(), model.logical_axes()
    losses = []
    for partitioner in (PjitPartitioner(devices=1), PjitPartitioner(fsdp=4, num_partitions=2)):
        params = first_params(abstract, partitioner.shardings(abstract, axes))
        batch = partitioner.put_batch(packed_batch())
        loss = jax.jit(
            lambda params, batch: model.loss_fn(params, batch, jax.random.key(7)).loss,
            compiler_options=COMPILER_OPTIONS,
        )
        with partitioner.activate():
            losses.append(float(loss(params, batch)))
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def test_tiny_t5_is_cut_as_the_rules_say():
    partitioner = PjitPartitioner(fsdp=4, num_partitions=2)
    model = EncoderDecoderModel(Transformer(testing.tiny_t5_config()))
    report = partitioner.coverage_report(model.abstract_params(), model.logical_axes())
    whole = {row.path for row in report.rows if row.replicated}
    # Everything is cut; the small rest is over the model axis or fsdp alone.
    assert whole == set()
    assert report.device_bytes < report.total_bytes / 6
