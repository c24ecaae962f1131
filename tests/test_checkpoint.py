import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time
from typing import Any

import flax.struct
import gin
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flan_jax import checkpoint_files
from flan_jax.checkpoint import (
    CheckpointConfig,
    Checkpointer,
    RestoreCheckpointConfig,
    SaveCheckpointConfig,
    check_writable,
    find_checkpoint,
    restore_params,
)
from flan_jax.errors import CheckpointError, ConfigError, NotFoundError
from flan_jax.mesh import PjitPartitioner

HERE = pathlib.Path(__file__).parent
PYTHONPATH = f"{HERE.parent}{os.pathsep}{HERE}"
ONE_DEVICE = jax.sharding.SingleDeviceSharding(jax.devices()[0])
EVERY_STEP = SaveCheckpointConfig(period=1, keep=3)


@flax.struct.dataclass
class State:
    step: Any
    params: Any
    opt_state: Any


AXES = State(
    step=(),
    params={
        "encoder": {"wi": {"kernel": ("embed", "mlp")}},
        "norm": ("embed",),
        "half": ("vocab", "embed"),
    },
    opt_state=None,
)


def make_state(seed: int = 0, width: int = 8) -> State:
    keys = jax.random.split(jax.random.key(seed), 3)
    params = {
        "encoder": {"wi": {"kernel": jax.random.normal(keys[0], (width, 16))}},
        "norm": jax.random.normal(keys[1], (width,)),
        "half": jax.random.normal(keys[2], (16, width), jnp.bfloat16),
    }
    opt_state = optax.chain(optax.identity(), optax.scale_by_adam()).init(params)
    opt_state = jax.tree.map(lambda x: x + jnp.asarray(seed + 0.37, x.dtype), opt_state)
    return State(jnp.asarray(seed, jnp.int32), params, opt_state)


def shardings_on(partitioner: PjitPartitioner, state: State) -> State:
    adam = state.opt_state[1]._replace(count=(), mu=AXES.params, nu=AXES.params)
    axes = AXES.replace(opt_state=(state.opt_state[0], adam))
    return partitioner.shardings(state, axes)


def assert_same(found: Any, expected: Any):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for (path, a), b in zip(
        jax.tree.leaves_with_path(found), jax.tree.leaves(expected), strict=True
    ):
        assert a.dtype == b.dtype, path
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes(), path


@pytest.fixture
def said():
    return []


@pytest.fixture
def three_steps(tmp_path):
    """A MODEL_DIR with checkpoints 1, 2 and 3; the state of step n is make_state(n)."""
    with Checkpointer(tmp_path, EVERY_STEP) as saver:
        for step in (1, 2, 3):
            saver.save(step, make_state(step), b"position %d" % step, {"elapsed_s": float(step)})
    return tmp_path


def test_round_trip_keeps_every_bit(tmp_path):
    state = make_state(5)
    data_state = bytes(range(256))
    extra = {"elapsed_s": 1.5, "nested": {"a": [1, None, "x"]}}
    with Checkpointer(tmp_path, EVERY_STEP) as saver:
        assert saver.save(5, state, data_state, extra)
        assert not saver.save(5, state, data_state, extra, force=True)
        restored = saver.restore(jax.eval_shape(lambda: state), ONE_DEVICE)
    assert_same(restored.state, state)
    assert (restored.step, restored.data_state, restored.extra) == (5, data_state, extra)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint_5"]


def test_arrays_may_be_donated_while_they_are_written(tmp_path):
    big = {"w": jnp.arange(1 << 20, dtype=jnp.float32)}
    overwrite = jax.jit(lambda tree: jax.tree.map(lambda x: -x - 1, tree), donate_argnums=0)
    with Checkpointer(tmp_path, EVERY_STEP) as saver:
        for step in (1, 2):
            state = State(jnp.int32(step), big, ())
            saver.save(step, state, b"", {})
            big = overwrite(big)
        restored = saver.restore(state, ONE_DEVICE, step=1)
    np.testing.assert_array_equal(restored.state.params["w"], np.arange(1 << 20, dtype=np.float32))


def test_restore_onto_other_meshes(tmp_path):
    state = make_state(7)
    eight = PjitPartitioner(num_partitions=2, fsdp=2)
    placed = jax.device_put(state, shardings_on(eight, state))
    with Checkpointer(tmp_path, EVERY_STEP) as saver:
        saver.save(7, placed, b"", {})
        for partitioner in (
            eight,
            PjitPartitioner(fsdp=8),
            PjitPartitioner(devices=4, num_partitions=4),
            PjitPartitioner(devices=1),
        ):
            wanted = shardings_on(partitioner, state)
            found = saver.restore(jax.eval_shape(lambda: state), wanted).state
            assert_same(found, state)
            for array, sharding in zip(
                jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True
            ):
                assert array.sharding == sharding


def test_keep_policy(tmp_path):
    cfg = SaveCheckpointConfig(period=2, keep=2, keep_period=4)
    small = State(jnp.int32(0), {"w": jnp.ones(2)}, ())
    with Checkpointer(tmp_path, cfg) as saver:
        saved = [s for s in range(1, 13) if saver.save(s, small, b"", {})]
        assert saved == [2, 4, 6, 8, 10, 12]
        saver.wait()
        assert checkpoint_files.list_steps(tmp_path) == [4, 8, 10, 12]
        assert saver.latest_valid_step() == 12
        with pytest.raises(CheckpointError, match="step 12, later than step 11"):
            saver.save(11, small, b"", {}, force=True)


def test_saving_by_time(tmp_path, monkeypatch):
    saver = Checkpointer(tmp_path, SaveCheckpointConfig(period=None, time_period_s=60.0))
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 30.0)
    assert not saver.should_save(5)
    monkeypatch.setattr(time, "monotonic", lambda: now + 61.0)
    assert saver.should_save(5)
    assert not saver.should_save(0)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"keep": 1}, "keep is 1: at least 2"),
        ({"period": 0}, "period must be above 0"),
        ({"period": 100, "keep_period": 250}, "not a multiple of period=100.*Nearest: 200"),
    ],
)
def test_save_settings(kwargs, message):
    with pytest.raises(ConfigError, match=message):
        SaveCheckpointConfig(**kwargs)


def test_gin_binds_t5x_names():
    gin.clear_config()
    gin.parse_config(
        """
        utils.CheckpointConfig:
          save = @utils.SaveCheckpointConfig()
          restore = @utils.RestoreCheckpointConfig()
        utils.SaveCheckpointConfig:
          period = 50
          keep = 4
        utils.RestoreCheckpointConfig:
          path = '/somewhere'
          mode = 'specific'
        """
    )
    cfg = CheckpointConfig()
    gin.clear_config()
    assert cfg.save.period == 50 and cfg.save.keep == 4
    assert cfg.restore.path == "/somewhere"
    with pytest.raises(NotFoundError, match="Did you mean 'latest'"):
        RestoreCheckpointConfig(path="/x", mode="lastest")


# ------------------------------------------------------------------- damage


def array_file(directory: pathlib.Path) -> pathlib.Path:
    """The largest data file of the parameters."""
    content = (directory / "params" / "ocdbt.process_0" / "d").iterdir()
    return max(content, key=lambda p: p.stat().st_size)


def truncate(path: pathlib.Path):
    os.truncate(path, path.stat().st_size // 2)


def flip_a_byte(path: pathlib.Path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (truncate, "bytes instead of"),
        (os.remove, "is missing"),
        (flip_a_byte, "has changed"),
    ],
)
def test_damaged_newest_checkpoint_leads_to_the_previous(three_steps, said, spoil, why):
    spoil(array_file(three_steps / "checkpoint_3"))
    with Checkpointer(three_steps, EVERY_STEP, say=said.append) as saver:
        assert saver.latest_valid_step() == 2
        assert any("checkpoint_3 is damaged" in line and why in line for line in said)
        assert "Using the previous checkpoint, checkpoint_2." in said
        restored = saver.restore(make_state(), ONE_DEVICE)
        assert restored.step == 2 and restored.data_state == b"position 2"
        assert_same(restored.state, make_state(2))
        with pytest.raises(CheckpointError, match=f"checkpoint_3 is damaged: .*{why}"):
            saver.restore(make_state(), ONE_DEVICE, step=3)
        # The run reaches step 3 again: the damaged one makes way, without being lost.
        assert saver.save(3, make_state(30), b"", {})
    assert (three_steps / "checkpoint_3.damaged").is_dir()
    assert Checkpointer(three_steps).latest_valid_step() == 3


def test_checkpoint_without_manifest_is_passed_over(three_steps, said):
    (three_steps / "checkpoint_3" / checkpoint_files.MANIFEST).unlink()
    (three_steps / "checkpoint_2" / checkpoint_files.MANIFEST).write_text("{")
    assert Checkpointer(three_steps, say=said.append).latest_valid_step() == 1
    assert "manifest.json is missing" in said[0] and "not readable" in said[1]


def test_nothing_whole_is_left(three_steps):
    for step in (1, 2, 3):
        truncate(array_file(three_steps / f"checkpoint_{step}"))
    with pytest.raises(CheckpointError, match="All 3 checkpoints .* Nothing is overwritten"):
        Checkpointer(three_steps, say=lambda _: None).latest_valid_step()
    with pytest.raises(CheckpointError, match="All 3 checkpoints .* are damaged"):
        find_checkpoint(three_steps, say=lambda _: None)


def test_manifest_without_checksums(tmp_path):
    cfg = SaveCheckpointConfig(period=1, checksums=False)
    with Checkpointer(tmp_path, cfg) as saver:
        saver.save(1, make_state(1), b"", {})
    manifest = json.loads((tmp_path / "checkpoint_1" / checkpoint_files.MANIFEST).read_text())
    assert all(entry.keys() == {"bytes"} for entry in manifest["files"].values())
    truncate(array_file(tmp_path / "checkpoint_1"))
    assert "bytes instead of" in checkpoint_files.damage(tmp_path / "checkpoint_1")


SAVE_FOREVER = """
    import sys, itertools
    import jax.numpy as jnp
    from test_checkpoint import State, Checkpointer, EVERY_STEP
    with Checkpointer(sys.argv[1], EVERY_STEP) as saver:
        for step in itertools.count(1):
            state = State(jnp.int32(step), {"w": jnp.full((1 << 21,), step, jnp.float32)}, ())
            saver.save(step, state, b"", {})
"""


def test_kill_during_a_save_leaves_the_previous_checkpoint(tmp_path, said):
    env = os.environ | {"PYTHONPATH": PYTHONPATH, "XLA_FLAGS": ""}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SAVE_FOREVER), str(tmp_path)], env=env
    )
    try:
        deadline = time.monotonic() + 60
        # Wait for a save to be half done after at least two were committed.
        while not (checkpoint_files.unfinished(tmp_path) and checkpoint_files.list_steps(tmp_path)):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    steps = checkpoint_files.list_steps(tmp_path)
    assert checkpoint_files.unfinished(tmp_path)
    with Checkpointer(tmp_path, EVERY_STEP, say=said.append) as saver:
        step = saver.latest_valid_step()
        assert step == max(steps)
        assert any("stopped while writing" in line for line in said)
        template = State(jnp.int32(0), {"w": jnp.zeros((1 << 21,))}, ())
        state = saver.restore(template, ONE_DEVICE).state
        assert set(np.unique(state.params["w"])) == {float(step)}
        saver.save(step + 1, state, b"", {})
    assert not checkpoint_files.unfinished(tmp_path)


# ------------------------------------------------------- other models, paths


def test_wrong_shapes_are_listed_before_loading(three_steps, monkeypatch):
    monkeypatch.setattr("flan_jax.checkpoint_arrays.read", lambda *_: pytest.fail("was loaded"))
    wanted = make_state(0, width=4)
    wanted.params["bias"] = jnp.zeros((3,))
    with pytest.raises(CheckpointError) as caught:
        Checkpointer(three_steps).restore(wanted, ONE_DEVICE)
    message = str(caught.value)
    assert "params/encoder/wi/kernel: checkpoint (8, 16), model (4, 16)" in message
    assert "params/bias: not in the checkpoint; model (3,)" in message
    assert "opt_state/1/mu/norm: checkpoint (8,), model (4,)" in message


def test_other_dtype_in_the_state_is_an_error(three_steps):
    wanted = jax.tree.map(lambda x: x.astype(jnp.float32), make_state())
    with pytest.raises(CheckpointError, match="params/half: checkpoint bfloat16, model float32"):
        Checkpointer(three_steps).restore(wanted, ONE_DEVICE)


def test_other_optimizer_is_an_error(three_steps):
    wanted = make_state().replace(opt_state=(jnp.zeros(()),))
    with pytest.raises(CheckpointError, match="opt_state/1/count: only in the checkpoint"):
        Checkpointer(three_steps).restore(wanted, ONE_DEVICE)


def test_restore_params(three_steps):
    expected = make_state(3).params
    for path in (three_steps, three_steps / "checkpoint_3"):
        assert_same(restore_params(path, expected, ONE_DEVICE), expected)
    assert_same(restore_params(three_steps, expected, ONE_DEVICE, step=1), make_state(1).params)

    half = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.bfloat16), expected)
    cast = jax.tree.map(lambda x: x.astype(jnp.bfloat16), expected)
    assert_same(restore_params(three_steps, half, ONE_DEVICE), cast)

    with pytest.raises(CheckpointError, match=r"params/norm: checkpoint \(8,\), model \(4,\)"):
        restore_params(three_steps, make_state(0, width=4).params, ONE_DEVICE)


def test_restore_params_not_strict(three_steps, said):
    wanted = {"norm": jnp.zeros((8,)), "adapter": jnp.full((2,), 9.0)}
    with pytest.raises(CheckpointError, match="params/adapter: not in the checkpoint"):
        restore_params(three_steps, wanted, ONE_DEVICE)
    with pytest.raises(CheckpointError, match="no initial value"):
        restore_params(three_steps, wanted, ONE_DEVICE, strict=False)
    found = restore_params(
        three_steps, wanted, ONE_DEVICE, strict=False, initial=wanted, say=said.append
    )
    assert_same(found, {"norm": make_state(3).params["norm"], "adapter": wanted["adapter"]})
    assert "params/adapter" in said[0] and "params/half" in said[1]


def test_paths_that_are_no_checkpoint(three_steps, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(CheckpointError, match="holds no checkpoint.*found nothing"):
        find_checkpoint(empty)
    (empty / "config.gin").write_text("")
    with pytest.raises(CheckpointError, match="found config.gin"):
        find_checkpoint(empty)
    with pytest.raises(CheckpointError, match="is a file"):
        find_checkpoint(empty / "config.gin")
    with pytest.raises(CheckpointError, match="does not exist. Did you mean 'checkpoint_3'"):
        find_checkpoint(three_steps / "checkpoint_33")
    with pytest.raises(CheckpointError, match="no checkpoint of step 9; it has 1, 2, 3"):
        find_checkpoint(three_steps, step=9)
    assert Checkpointer(empty / "absent").latest_valid_step() is None

    specific = RestoreCheckpointConfig(path=str(three_steps), mode="specific")
    with pytest.raises(CheckpointError, match="not one checkpoint"):
        specific.find()
    latest = RestoreCheckpointConfig(path=str(three_steps))
    assert latest.find().name == "checkpoint_3"
    assert RestoreCheckpointConfig().find() is None


# ------------------------------------------------------------- MODEL_DIR


def test_writable_dir_is_made_and_left_clean(tmp_path):
    path = check_writable(tmp_path / "a" / "b")
    assert path.is_dir() and not list(path.iterdir())


@pytest.mark.parametrize("path", ["runs/one", "", "~/runs"])
def test_relative_model_dir(path):
    with pytest.raises(ConfigError, match="absolute path"):
        check_writable(path)


def test_model_dir_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        check_writable(tmp_path / "file")
    with pytest.raises(ConfigError, match="not writable.*Not a directory"):
        check_writable(tmp_path / "file" / "run")


def test_model_dir_of_another_user(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can act as another user")
    # Parents are opened so that only the directory itself refuses.
    parent = tmp_path
    while parent != parent.parent and parent.stat().st_uid == 0 and parent.name != "tmp":
        parent.chmod(0o755)
        parent = parent.parent
    os.seteuid(65534)
    try:
        with pytest.raises(ConfigError, match="not writable.*belongs to root.*chown -R 65534"):
            check_writable(tmp_path)
    finally:
        os.seteuid(0)
