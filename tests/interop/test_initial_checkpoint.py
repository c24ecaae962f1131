"""Runs that start from checkpoints of others, and what partial loading says."""

import dataclasses

import jax
import numpy as np
import pytest
from foreign_checkpoints import golden, write_hugging_face

from flan_jax import checkpoint, checkpoint_arrays, evaluate, starting, trainable
from flan_jax.checkpoint_params import make_base, restore_params, save_params
from flan_jax.errors import CheckpointError, ConfigError
from flan_jax.interop import detect
from flan_jax.interop.hf_t5 import config_from_hf, params_from_hf
from flan_jax.mesh import PjitPartitioner
from flan_jax.models.encoder_decoder import EncoderDecoderModel
from flan_jax.models.lora import LoraConfig
from flan_jax.models.t5 import Transformer
from flan_jax.optimizers import SGD
from flan_jax.schedules import create_learning_rate_scheduler

FIELDS, WEIGHTS, _ = golden("t5_1_1")
ONE_DEVICE = jax.sharding.SingleDeviceSharding(jax.devices("cpu")[0])


@pytest.fixture
def folder(tmp_path):
    return write_hugging_face(tmp_path / "hf", FIELDS, WEIGHTS)


@pytest.fixture
def said():
    return []


def make(**changes) -> EncoderDecoderModel:
    config = config_from_hf(FIELDS, **changes)
    return EncoderDecoderModel(Transformer(config), optimizer_def=SGD())


def expected(model) -> dict:
    plain = dataclasses.replace(model.config, prompt_length=0, lora=None, vocab_size=32)
    return checkpoint_arrays.flat(params_from_hf(WEIGHTS, plain))


def restore(path, model, shardings=ONE_DEVICE, **options) -> dict:
    found = restore_params(path, model.abstract_params(), shardings, config=model.config, **options)
    return checkpoint_arrays.flat(found)


def begin(model, path, tmp_path, said, patterns=None, **options):
    partitioner = PjitPartitioner(fsdp=2, data=1, num_partitions=2, devices=4)
    restore_cfg = checkpoint.RestoreCheckpointConfig(str(path), **options)
    cfg = checkpoint.CheckpointConfig(restore=restore_cfg)
    selection = trainable.select(model.abstract_params(), patterns)
    schedule = create_learning_rate_scheduler()
    plan = starting.make_plan(model, selection, schedule, partitioner)
    saver = checkpoint.Checkpointer(tmp_path / "run", say=said.append)
    start = starting.begin(plan, partitioner, saver, cfg, 0, None, None, said.append)
    return plan, saver, start


def test_a_run_starts_from_a_hugging_face_directory(folder, tmp_path, said):
    model = make(scan_layers=True)
    plan, _, start = begin(model, folder, tmp_path, said)
    found = checkpoint_arrays.flat(start.state.params)
    for name, array in expected(model).items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    shardings = checkpoint_arrays.flat(plan.shardings.params)
    assert all(found[name].sharding == shardings[name] for name in found)
    assert not found["token_embedder/embedding"].sharding.is_fully_replicated
    assert any("optimizer and step start anew" in line for line in said)


@pytest.mark.parametrize("kind", ["legacy", "legacy/checkpoint_20", "orbax"])
def test_t5x_runs_and_checkpoints_are_found(t5x_sample, kind):
    found = checkpoint.RestoreCheckpointConfig(str(t5x_sample / kind)).find()
    assert str(found) == str(t5x_sample / kind.split("/")[0] / "checkpoint_20")
    with pytest.raises(CheckpointError, match="not one checkpoint"):
        checkpoint.RestoreCheckpointConfig(str(t5x_sample / "orbax"), "specific").find()


def test_trained_parts_stand_on_a_base_of_another_library(folder, tmp_path, said):
    """A soft prompt trained on a Hugging Face model: saved alone, restored with its base."""
    model = make(prompt_length=4)
    _, saver, start = begin(model, folder, tmp_path, said, patterns=("/prompt/",))
    assert "encoder/prompt/prompt/prompt (4, 16): not in" in "\n".join(said)
    assert "keeps its initial value" in "\n".join(said)
    assert start.base == make_base(detect.detect(folder).directory)
    with saver:
        saver.save(3, start.state, b"", {"elapsed_s": 0.0}, force=True, base=start.base)
    found = restore(tmp_path / "run", model)
    prompt = start.state.params["encoder"]["prompt"]["prompt"]["prompt"]
    np.testing.assert_array_equal(found["encoder/prompt/prompt/prompt"], prompt)
    for name, array in expected(model).items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    resumed = begin(model, folder, tmp_path, said, patterns=("/prompt/",))[2]
    assert resumed.step == 3 and "frozen parameters from" in "\n".join(said)

    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="which has changed: its files have fingerprint"):
        restore(tmp_path / "run", model)


def test_trained_arrays_may_be_in_the_base_too(folder, tmp_path, said):
    model = make(scan_layers=True)
    patterns = ("relpos_bias", "encoder/encoder/mlp")
    _, saver, start = begin(model, folder, tmp_path, said, patterns=patterns)
    changed = jax.tree.map(lambda x: x + 1, start.state.params)
    state = dataclasses.replace(start.state, params=changed)
    with saver:
        saver.save(3, state, b"", {"elapsed_s": 0.0}, force=True, base=start.base)
    resumed = begin(model, folder, tmp_path, said, patterns=patterns)[2]
    jax.tree.map(np.testing.assert_array_equal, resumed.state.params, changed)
    jax.tree.map(np.testing.assert_array_equal, resumed.frozen, start.frozen)


def test_adapters_on_top(folder, said):
    model = make(lora=LoraConfig(rank=2, alpha=4, kernels=("attention/(query|value)",)))
    names = checkpoint_arrays.flat(model.abstract_params())
    added = {name for name in names if "lora" in name}
    initial = jax.tree.map(lambda leaf: np.full(leaf.shape, 7, np.float32), model.abstract_params())
    with pytest.raises(CheckpointError, match="lora_a, for which the format has no place"):
        restore(folder, model, initial=initial)
    found = restore(folder, model, initial=initial, optional=added, say=said.append)
    assert added and all(np.all(found[name] == 7) for name in added)
    assert len(said) == len(added)
    assert all(any(line.startswith(f"{name} (") for line in said) for name in added)


def grown_checkpoint(kind, folder, tmp_path) -> str:
    if kind == "ours":
        return str(save_params(tmp_path / "ours", 0, params_from_hf(WEIGHTS, make().config)))
    return str(folder)


@pytest.mark.parametrize("kind", ["ours", "hugging face"])
@pytest.mark.parametrize("grow", ["mean", "init"])
def test_a_larger_vocabulary(folder, tmp_path, said, kind, grow):
    path = grown_checkpoint(kind, folder, tmp_path)
    model = make(vocab_size=40)
    with pytest.raises(CheckpointError, match=r"\(32, 16\)(.|\n)*\(40, 16\)"):
        restore(path, model)
    initial = jax.tree.map(lambda leaf: np.full(leaf.shape, 7, np.float32), model.abstract_params())
    partitioner = PjitPartitioner(fsdp=4, data=1, devices=4)
    shardings = partitioner.shardings(model.abstract_params(), model.logical_axes())
    found = restore(path, model, shardings, grow_vocabulary=grow, initial=initial, say=said.append)
    old = expected(model)
    table, head = found["token_embedder/embedding"], found["decoder/logits_dense/kernel"]
    assert (table.shape, head.shape) == ((40, 16), (16, 40))
    np.testing.assert_array_equal(table[:32], old["token_embedder/embedding"])
    np.testing.assert_array_equal(head[:, :32], old["decoder/logits_dense/kernel"])
    if grow == "init":
        assert np.all(table[32:] == 7) and np.all(head[:, 32:] == 7)
    else:
        mean = np.asarray(old["token_embedder/embedding"], np.float64).mean(0)
        np.testing.assert_allclose(table[32:], np.tile(mean, (8, 1)), atol=1e-6)
        mean = np.asarray(old["decoder/logits_dense/kernel"], np.float64).mean(1)
        np.testing.assert_allclose(head[:, 32:], np.tile(mean[:, None], (1, 8)), atol=1e-6)
    lines = [line for line in said if "8 new tokens" in line]
    assert len(lines) == 2 and "token_embedder/embedding (32, 16) -> (40, 16)" in "\n".join(lines)


def test_a_smaller_vocabulary_is_refused(folder):
    with pytest.raises(CheckpointError, match=r"shared.weight: shape \(32, 16\).* is \(24, 16\)"):
        restore(folder, make(vocab_size=24), grow_vocabulary="mean")


def test_growing_is_a_choice_of_names(folder, tmp_path, said):
    with pytest.raises(ConfigError, match="grow_vocabulary is 'zeros'"):
        checkpoint.RestoreCheckpointConfig(grow_vocabulary="zeros")
    model = make(vocab_size=40, prompt_length=4)
    with pytest.raises(ConfigError, match="Make the larger checkpoint first: flan-jax import"):
        begin(model, folder, tmp_path, said, ("/prompt/",), grow_vocabulary="mean")


def test_import_grows_what_others_start_from(run, folder, tmp_path):
    size = "--gin.network.T5Config.vocab_size=40"
    said = run("import", folder, f"--model_dir={tmp_path / 'run'}", size, "--grow_vocabulary=mean")
    assert "8 new tokens start from the mean of all" in said
    found = restore(tmp_path / "run", make(vocab_size=40, scan_layers=True))
    np.testing.assert_array_equal(
        found["token_embedder/embedding"][:32], expected(make())["token_embedder/embedding"]
    )


def test_not_strict_takes_what_there_is(folder, said):
    model = make(num_encoder_layers=3, scan_layers=False)
    initial = jax.tree.map(lambda leaf: np.full(leaf.shape, 7, np.float32), model.abstract_params())
    with pytest.raises(ConfigError, match="num_encoder_layers: config.json 2, model 3"):
        restore(folder, model, initial=initial, strict=False)
    found = restore_params(
        folder,
        model.abstract_params(),
        ONE_DEVICE,
        initial=initial,
        strict=False,
        say=said.append,
    )
    assert np.all(found["encoder"]["layers_2"]["mlp"]["wo"]["kernel"] == 7)
    assert any(line.startswith("encoder/layers_2/mlp/wo/kernel (") for line in said)


def test_a_directory_named_like_a_step_is_not_one(tmp_path, capsys):
    folder = write_hugging_face(tmp_path / "flan_t5_11", FIELDS, WEIGHTS)
    cfg = checkpoint.RestoreCheckpointConfig(str(folder))
    model = make()
    _, step, directory = evaluate.restore(model, PjitPartitioner(devices=1), cfg)
    assert (step, directory.name) == (0, "flan_t5_11")
    capsys.readouterr()
