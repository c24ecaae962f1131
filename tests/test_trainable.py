"""Training a part of the parameters: selection, no gradient for the rest, checkpoints on a base."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flan_jax import starting, testing, trainable
from flan_jax import step as step_lib
from flan_jax.adafactor import Adafactor
from flan_jax.checkpoint import (
    CheckpointConfig,
    Checkpointer,
    RestoreCheckpointConfig,
    SaveCheckpointConfig,
    restore_params,
)
from flan_jax.checkpoint_params import find_base, make_base, read_base
from flan_jax.data.config import DatasetConfig
from flan_jax.errors import CheckpointError, ConfigError
from flan_jax.mesh import PjitPartitioner
from flan_jax.models.encoder_decoder import EncoderDecoderModel
from flan_jax.models.t5 import Transformer
from flan_jax.prompt_init import FromSampleOfEmbeddings
from flan_jax.state import TrainState

ONE_DEVICE = jax.sharding.SingleDeviceSharding(jax.devices()[0])
TREE = {"a": {"w": np.zeros((2, 3)), "b": np.zeros(3)}, "prompt": {"rows": np.zeros((4, 3))}}


def make_model(prompt_length=3, **changes):
    config = testing.tiny_t5_config(
        num_encoder_layers=1, num_decoder_layers=1, prompt_length=prompt_length, **changes
    )
    optimizer = Adafactor(multiply_by_parameter_scale=False, weight_decay_rate=1e-5)
    return EncoderDecoderModel(Transformer(config), optimizer_def=optimizer)


def make_batch(rows=8):
    rng = np.random.default_rng(0)
    inputs = rng.integers(1, 16, (rows, 5)).astype(np.int32)
    targets = rng.integers(1, 16, (rows, 4)).astype(np.int32)
    return {
        "encoder_input_tokens": inputs,
        "decoder_target_tokens": targets,
        "decoder_input_tokens": np.pad(targets, ((0, 0), (1, 0)))[:, :-1],
    }


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


# -------------------------------------------------------------------------- selection


def test_a_selection_takes_a_tree_apart_and_merge_puts_it_together():
    chosen = trainable.select(TREE, ["/b$", "prompt"])
    assert chosen.names == {"a/b", "prompt/rows"} and not chosen.complete
    trained, frozen = chosen.trained(TREE), chosen.frozen(TREE)
    assert jax.tree.map(np.shape, trained) == {"a": {"b": (3,)}, "prompt": {"rows": (4, 3)}}
    assert jax.tree.map(np.shape, frozen) == {"a": {"w": (2, 3)}}
    assert trainable.merge(trained, frozen) == TREE
    # Trees of axes have tuples for leaves.
    axes = {"a": {"w": ("x", "y"), "b": ("y",)}, "prompt": {"rows": ("p", "y")}}
    assert chosen.frozen(axes) == {"a": {"w": ("x", "y")}}
    assert chosen.share(TREE) == 15 / 21
    text = chosen.describe(TREE)
    assert "trained: 15 parameters in 2 array(s)" in text and "6 in 1" in text


def test_without_patterns_everything_is_trained():
    chosen = trainable.select(TREE, None)
    assert chosen.complete and chosen.trained(TREE) is TREE and chosen.frozen(TREE) == {}
    assert trainable.merge(TREE, {}) is TREE and trainable.merge(TREE, None) is TREE
    assert chosen.describe(TREE) == "trained: all 21 parameters"


@pytest.mark.parametrize(
    ("patterns", "match"),
    [
        ("prompt/row_s", r"matches no parameter. Did you mean 'prompt/rows'"),
        (["prompt", "zzzz"], r"'zzzz', which matches no parameter. .*named like 'a/b'"),
        ("(", "not a regular expression"),
        ([], "is empty"),
    ],
)
def test_wrong_patterns_are_explained(patterns, match):
    with pytest.raises(ConfigError, match=match):
        trainable.select(TREE, patterns)


def test_a_model_without_a_prompt_is_pointed_to_its_length():
    with pytest.raises(ConfigError, match="set prompt_length of its network"):
        trainable.select({"a": np.zeros(1)}, "/prompt/")


def test_a_model_without_adapters_is_pointed_to_their_field():
    with pytest.raises(ConfigError, match=r"network.T5Config.lora = @network.LoraConfig\(\)"):
        trainable.select({"a": np.zeros(1)}, "/lora_")


def choose(model=None, patterns="/prompt/", path="/base", init=None, pack=False):
    data = DatasetConfig("t", {"inputs": 4, "targets": 4}, "train", 8, False, 0, pack=pack)
    cfg = CheckpointConfig(restore=RestoreCheckpointConfig(path))
    return starting.choose(model or make_model(), patterns, cfg, init, {"train_dataset_cfg": data})


def test_what_freezing_and_a_prompt_need_is_checked_before_anything_is_read():
    assert choose().names == {"encoder/prompt/prompt/prompt"}
    with pytest.raises(ConfigError, match="train_dataset_cfg packs .*pack = False"):
        choose(pack=True)
    with pytest.raises(ConfigError, match="INITIAL_CHECKPOINT_PATH"):
        choose(path=None)
    with pytest.raises(ConfigError, match="no soft prompt"):
        choose(make_model(0), None, init=FromSampleOfEmbeddings())
    with pytest.raises(ConfigError, match="freezes the prompt"):
        choose(patterns="decoder", init=FromSampleOfEmbeddings())


# ------------------------------------------------------------------------------- step


def plan_on(partitioner, model=None, patterns="/prompt/"):
    model = model or make_model()
    selection = trainable.select(model.abstract_params(), patterns)
    return starting.make_plan(model, selection, lambda step: 0.3, partitioner)


def test_the_optimizer_holds_state_of_what_is_trained_only():
    plan = plan_on(PjitPartitioner(devices=1))
    shapes = [leaf.shape for leaf in jax.tree.leaves(plan.abstract.opt_state)]
    # The step, two unused factors, the second moment of the prompt, unused momentum.
    assert sorted(shapes) == [(), (1,), (1,), (1,), (3, 16)]
    report = plan.report(PjitPartitioner(devices=1))
    assert "encoder/prompt/prompt/prompt" in report and "trained: 48 parameters" in report
    assert "token_embedder" in plan.report(PjitPartitioner(devices=1), long=True)
    assert plan.trained_share < 0.02


def test_no_gradient_of_a_frozen_kernel_is_computed():
    """Counted in the compiled program: a third of the products of weights is not there."""
    model = make_model(scan_layers=False)
    partitioner = PjitPartitioner(devices=1)
    batch = make_batch(64)
    flops = {}
    for patterns in ("/prompt/", None):
        plan = plan_on(partitioner, model, patterns)
        step = step_lib.make_train_step(model, plan.tx)
        compiled = jax.jit(step).lower(plan.abstract, batch, plan.abstract_frozen).compile()
        flops[patterns] = compiled.cost_analysis()["flops"]
    assert flops["/prompt/"] < 0.75 * flops[None]


@pytest.mark.exhaustive
def test_a_step_is_that_of_the_whole_model_for_the_prompt_on_any_mesh():
    """The trained part moves as a full gradient says; sharded over fsdp and model axes as well."""
    model = make_model()
    params = jax.jit(model.init)(jax.random.key(1))
    batch = make_batch()

    def whole_gradient(params):
        sums = model.loss_fn(params, batch, None)
        return sums.loss / sums.weight

    expected = jax.jit(jax.grad(whole_gradient))(params)["encoder"]["prompt"]
    found = []
    for partitioner in (PjitPartitioner(devices=1), PjitPartitioner(fsdp=2, num_partitions=2)):
        plan = plan_on(partitioner, model)
        step = step_lib.make_train_step(
            model, plan.tx, num_microbatches=2, grad_shardings=plan.shardings.params
        )
        trained = plan.selection.trained(params)
        state = TrainState(jnp.zeros((), jnp.int32), trained, plan.tx.init(trained))
        with partitioner.activate():
            new, metrics = jax.jit(step, out_shardings=(plan.shardings, None))(
                jax.device_put(state, plan.shardings),
                partitioner.put_batch(batch),
                jax.device_put(plan.selection.frozen(params), plan.frozen_shardings),
            )
        norm = np.linalg.norm(expected["prompt"]["prompt"])
        np.testing.assert_allclose(float(metrics.grad_norm), norm, rtol=1e-4)
        found.append(new.params["encoder"]["prompt"]["prompt"]["prompt"])
    assert new.params.keys() == {"encoder"} and new.params["encoder"].keys() == {"prompt"}
    assert found[1].sharding.spec == jax.sharding.PartitionSpec(None, "fsdp")
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3, atol=1e-4)


# ------------------------------------------------------------------------ checkpoints


@dataclasses.dataclass
class Saved:
    """A base with all parameters but `prompt`, and a run that stands on it."""

    base: object
    run: object
    params: object
    abstract: object


@pytest.fixture(params=[True, False], ids=["checksums", "sizes only"])
def saved(request, tmp_path):
    params = {"body": {"w": jnp.arange(6.0).reshape(2, 3)}, "prompt": {"rows": jnp.full(3, 7.0)}}
    cfg = SaveCheckpointConfig(checksums=request.param)

    def write(folder, parts, step, **options):
        with Checkpointer(folder, cfg) as saver:
            saver.save(step, TrainState(jnp.int32(step), parts, {}), b"data", {}, True, **options)
        return folder / f"checkpoint_{step}"

    base = write(tmp_path / "base", {"body": params["body"]}, 3)
    run = write(tmp_path / "run", {"prompt": params["prompt"]}, 5, base=make_base(base))
    return Saved(base, run, params, jax.eval_shape(lambda: params))


def test_parameters_come_from_a_checkpoint_and_its_base(saved):
    assert_same(restore_params(saved.run, saved.abstract, ONE_DEVICE), saved.params)
    assert_same(restore_params(saved.run.parent, saved.abstract, ONE_DEVICE), saved.params)
    assert read_base(saved.base) is None and read_base(saved.run).path == str(saved.base)


def test_a_base_may_move_if_its_new_place_is_named(saved, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.move(saved.base.parent, moved)
    with pytest.raises(CheckpointError, match=r"does not exist.*RestoreCheckpointConfig.base_path"):
        restore_params(saved.run, saved.abstract, ONE_DEVICE)
    for place in (moved, moved / "checkpoint_3"):
        found = restore_params(saved.run, saved.abstract, ONE_DEVICE, base_path=place)
        assert_same(found, saved.params)


def test_a_base_that_changed_is_refused(saved):
    before = make_base(saved.base).fingerprint
    shutil.rmtree(saved.base)
    with Checkpointer(saved.base.parent) as saver:
        other = {"body": {"w": jnp.arange(6.0).reshape(2, 3)[::-1]}}
        saver.save(3, TrainState(jnp.int32(3), other, {}), b"", {}, True)
    assert make_base(saved.base).fingerprint != before
    with pytest.raises(CheckpointError, match="checkpoint_3, which has changed"):
        restore_params(saved.run, saved.abstract, ONE_DEVICE)


def test_a_damaged_base_is_refused(saved):
    next((saved.base / "params" / "d").iterdir()).unlink()
    with pytest.raises(CheckpointError, match="is damaged"):
        find_base(saved.run, read_base(saved.run))


def test_a_base_may_stand_on_a_base(saved, tmp_path):
    with Checkpointer(tmp_path / "third") as saver:
        tuned = {"more": jnp.ones(2)}
        base = make_base(saved.run)
        saver.save(1, TrainState(jnp.int32(1), tuned, {}), b"", {}, True, base=base)
    params = {**saved.params, **tuned}
    found = restore_params(tmp_path / "third", jax.eval_shape(lambda: params), ONE_DEVICE)
    assert_same(found, params)


def test_names_are_still_compared_through_the_base(saved):
    abstract = {**saved.abstract, "other": jax.ShapeDtypeStruct((1,), np.float32)}
    with pytest.raises(CheckpointError, match="params/other: not in the checkpoint"):
        restore_params(saved.run, abstract, ONE_DEVICE)
    initial = {"other": jnp.ones(1)}
    found = restore_params(
        saved.run, abstract, ONE_DEVICE, strict=False, initial=initial, say=lambda _: None
    )
    assert_same(found, {**saved.params, **initial})
    # What is optional may be lacking; what is not must be there.
    found = restore_params(
        saved.base,
        saved.abstract,
        ONE_DEVICE,
        initial={"prompt": {"rows": jnp.zeros(3)}},
        optional=("prompt/rows",),
        say=lambda _: None,
    )
    assert not np.asarray(found["prompt"]["rows"]).any()
    with pytest.raises(CheckpointError, match="no initial value"):
        restore_params(saved.base, saved.abstract, ONE_DEVICE, optional=("prompt/rows",))
