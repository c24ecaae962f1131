"""Each fault of the storage: what is said, with what code the run ends, and what is left."""

import errno
import os
import pathlib
import shutil
import subprocess
import time

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from faulty_storage import FaultyStorage, file_size_limit

from flan_jax import checkpoint_files, checkpoint_reading
from flan_jax.checkpoint import Checkpointer, SaveCheckpointConfig
from flan_jax.errors import CheckpointError, StorageError
from flan_jax.model_dir import check_same, identity

# Orbax's own threads may still call into an event loop that was closed when its write failed.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

HERE = jax.sharding.SingleDeviceSharding(jax.devices()[0])
QUICK = SaveCheckpointConfig(period=1, keep=2, retries=2, retry_wait_s=0.3)


@flax.struct.dataclass
class State:
    step: jax.Array
    params: dict


def state_of(step: int, size: int = 1 << 10) -> State:
    values = np.random.default_rng(step).normal(size=size).astype(np.float32)
    return State(jnp.int32(step), {"w": jnp.asarray(values)})


def save(saver: Checkpointer, step: int, **options) -> bool:
    return saver.save(step, state_of(step), b"rows", {"elapsed_s": 0.0}, **options)


def assert_whole(model_dir: pathlib.Path, *steps: int):
    """All of these checkpoints are there, as written."""
    assert checkpoint_files.list_steps(model_dir) == list(steps)
    with Checkpointer(model_dir, QUICK) as saver:
        for step in steps:
            assert checkpoint_files.damage(model_dir / f"checkpoint_{step}") is None
            found = saver.restore(state_of(0), HERE, step)
            np.testing.assert_array_equal(found.state.params["w"], state_of(step).params["w"])


@pytest.fixture
def said():
    return []


@pytest.fixture
def saver(tmp_path, said):
    """A MODEL_DIR with checkpoints 1 and 2, opened."""
    with Checkpointer(tmp_path, QUICK, say=said.append) as made:
        save(made, 1)
        save(made, 2)
        made.wait()
        yield made


@pytest.fixture
def storage(monkeypatch, tmp_path):
    return FaultyStorage(monkeypatch, tmp_path)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(checkpoint_reading, "_WAITS_S", (0.0, 0.0, 0.0))


# -------------------------------------------------------------------------- writing


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("rename", errno.EIO),
        ("open", errno.ENOSPC),
        ("makedirs", errno.ETIMEDOUT),
    ],
)
def test_a_fault_that_passes_costs_one_try(saver, storage, said, tmp_path, operation, code):
    storage.fail(operation, code=code, times=1, containing="checkpoint_3")
    save(saver, 3)
    saver.wait()  # The arrays are still there, so the same step is tried again.
    assert storage.failures == 1
    assert any("try 2 of 3" in line and "untouched" in line for line in said)
    steps = checkpoint_files.list_steps(tmp_path)
    assert steps[-2:] == [2, 3]  # One more may be left where the fault came after the rename.
    assert_whole(tmp_path, *steps)


def test_a_fault_in_the_background_is_tried_again_while_training_goes_on(
    saver, storage, said, tmp_path
):
    storage.fail("rename", code=errno.ESTALE, times=1, containing="checkpoint_3")
    state = state_of(3)
    saver.save(3, state, b"rows", {})
    jax.tree.map(lambda leaf: leaf.delete(), state)  # As the next step's donation does.
    deadline = time.monotonic() + 20
    step = 3
    while not saver.should_save(step) and time.monotonic() < deadline:
        time.sleep(0.01)  # The period is 1: asked about step 3 itself, only a failure is due.
    assert any("checkpoint 3 could not be written" in line for line in said)
    assert save(saver, 4, force=True)
    saver.wait()
    assert_whole(tmp_path, 2, 4)
    assert not checkpoint_files.unfinished(tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_fault_that_stays_ends_the_run_with_its_code(tmp_path, storage, said, code):
    saver = Checkpointer(tmp_path, QUICK, say=said.append)
    for step in (1, 2):
        save(saver, step)
    saver.wait()
    storage.fail("mkdir", "makedirs", "open", "rename", code=code, containing="checkpoint_3")
    with pytest.raises(StorageError, match="tried 3 times") as caught:
        save(saver, 3)
        saver.wait()
    assert caught.value.exit_code == 9
    assert "Earlier checkpoints are untouched" in str(caught.value)
    storage.mend()
    saver.close()
    assert_whole(tmp_path, 1, 2)


def test_an_error_that_ends_the_run_is_not_hidden_by_the_storage(tmp_path, storage, said):
    with pytest.raises(ZeroDivisionError):
        with Checkpointer(tmp_path, QUICK, say=said.append) as saver:
            save(saver, 1)
            saver.wait()
            storage.fail("makedirs", "open", code=errno.ENOSPC, containing="checkpoint_2")
            save(saver, 2)
            raise ZeroDivisionError
    assert any("could not be written" in line for line in said)
    storage.mend()
    assert_whole(tmp_path, 1)


def test_arrays_that_do_not_fit_are_tried_again_and_leave_the_others(tmp_path, said):
    saver = Checkpointer(tmp_path, QUICK, say=said.append)
    for step in (1, 2):
        save(saver, step)
    saver.wait()
    # TensorStore's own writes fail here, in C++.
    with file_size_limit(2000):
        with pytest.raises(StorageError, match="could not be written"):
            save(saver, 3)
            saver.wait()
    saver.close()
    assert_whole(tmp_path, 1, 2)
    with Checkpointer(tmp_path, QUICK, say=said.append) as again:
        assert again.latest_valid_step() == 2
        save(again, 3)
    assert not checkpoint_files.unfinished(tmp_path)
    assert_whole(tmp_path, 2, 3)


def test_too_little_room_is_seen_before_writing(saver, said, monkeypatch, tmp_path):
    usage = type("usage", (), {"free": 100})
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: usage)
        assert not save(saver, 3)
    assert "0.00 GB are free" in said[-1] and "try 2 of 3" in said[-1]
    assert_whole(tmp_path, 1, 2)
    saver.wait()
    assert_whole(tmp_path, 2, 3)


def test_storage_that_hangs_is_given_up(tmp_path, storage, said):
    cfg = SaveCheckpointConfig(period=1, timeout_s=0.2)
    saver = Checkpointer(tmp_path, cfg, say=said.append)
    save(saver, 1)
    saver.wait()
    storage.slow("rename", delay_s=1.5)
    save(saver, 2)
    with pytest.raises(StorageError, match=r"within 0 s .*timeout_s\): the storage hangs"):
        saver.wait()
    storage.mend()
    time.sleep(2.0)  # So that the slow thread has ended before its folder is removed.
    assert checkpoint_files.damage(tmp_path / "checkpoint_1") is None


def test_slow_storage_only_takes_longer(saver, storage, tmp_path):
    storage.slow("rename", "mkdir", delay_s=0.05)
    for step in (3, 4):
        assert save(saver, step)
    saver.wait()
    assert_whole(tmp_path, 3, 4)


def test_a_lost_mount_is_not_written_into(tmp_path, said):
    model_dir = tmp_path / "run"
    saver = Checkpointer(model_dir, QUICK, say=said.append)
    save(saver, 1)
    saver.wait()
    shutil.move(model_dir, tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="is gone"):
        save(saver, 2)
    model_dir.mkdir()
    with pytest.raises(StorageError, match="another directory than when the run began"):
        save(saver, 3)
    assert not list(model_dir.iterdir())
    assert_whole(tmp_path / "elsewhere", 1)


def test_identity_of_a_directory(tmp_path):
    assert identity("gs://bucket/run") is None
    check_same("gs://bucket/run", None)
    check_same(tmp_path, identity(tmp_path))


# -------------------------------------------------------------------------- reading


def test_a_read_that_fails_for_a_moment_is_asked_again(saver, storage, tmp_path):
    storage.fail("open", times=3, containing="checkpoint_2")
    assert saver.latest_valid_step() == 2
    assert storage.failures == 3


def test_a_file_that_cannot_be_read_leads_to_the_previous(saver, storage, said):
    storage.fail("open", containing="checkpoint_2/params")
    assert saver.latest_valid_step() == 1
    assert any("cannot be read: [Errno 5] Input/output error" in line for line in said)
    assert "Using the previous checkpoint, checkpoint_1." in said
    storage.mend()


@pytest.mark.parametrize("containing", ["checkpoint_2/params", "checkpoint_2/manifest.json"])
def test_lost_rights_are_no_damage(saver, storage, tmp_path, containing):
    storage.fail("open", code=errno.EACCES, containing=containing)
    with pytest.raises(StorageError, match="may not be read.*Mend the rights"):
        saver.latest_valid_step()
    storage.mend()
    assert_whole(tmp_path, 1, 2)


@pytest.mark.parametrize("code", [errno.ESTALE, errno.EIO, errno.EACCES])
def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(tmp_path, storage, code):
    with Checkpointer(tmp_path, QUICK) as saver:
        save(saver, 1)
    storage.fail("listdir", code=code)
    with pytest.raises(StorageError):
        Checkpointer(tmp_path, QUICK).latest_valid_step()
    storage.mend()
    assert_whole(tmp_path, 1)


def all_files(directory: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def test_a_flipped_bit_in_any_file_is_found(saver, tmp_path):
    directory = tmp_path / "checkpoint_2"
    rng = np.random.default_rng(0)
    flipped = 0
    for path in all_files(directory):
        if path.name in ("_CHECKPOINT_METADATA", "commit_success.txt"):
            continue  # Times of writing; nothing reads them: see below.
        content = path.read_bytes()
        places = {0, len(content) - 1, *rng.integers(0, max(1, len(content)), 6).tolist()}
        for place in sorted(p for p in places if 0 <= p < len(content)):
            spoiled = bytearray(content)
            spoiled[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(spoiled)
            assert checkpoint_files.damage(directory) is not None, (path.name, place)
            flipped += 1
        path.write_bytes(content)
    assert flipped > 50
    assert checkpoint_files.damage(directory) is None


def test_a_flipped_bit_anywhere_in_the_manifest_is_found(saver, tmp_path):
    directory = tmp_path / "checkpoint_2"
    path = directory / checkpoint_files.MANIFEST
    content = path.read_bytes()
    for place in range(0, len(content), 5):
        spoiled = bytearray(content)
        spoiled[place] ^= 1 << (place // 5 % 8)
        path.write_bytes(spoiled)
        with pytest.raises(CheckpointError):
            checkpoint_files.read_manifest(directory)
    path.write_bytes(content)


def test_orbaxs_own_notes_are_not_needed(saver, tmp_path):
    for name in ("checkpoint_1", "checkpoint_2"):
        for note in ("_CHECKPOINT_METADATA", "commit_success.txt"):
            (tmp_path / name / note).write_bytes(b"\x00spoiled")
    assert_whole(tmp_path, 1, 2)
    save(saver, 3)
    saver.wait()
    assert_whole(tmp_path, 2, 3)


def test_a_manifest_of_the_first_format_is_still_read(saver, tmp_path):
    import json

    path = tmp_path / "checkpoint_2" / checkpoint_files.MANIFEST
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({"format": 1, "step": 2, "files": manifest["files"]}))
    assert checkpoint_files.damage(path.parent) is None
    path.write_text(json.dumps({**manifest, "format": 3}))
    assert "this version reads 1 and 2" in checkpoint_files.damage(path.parent)


def test_a_checkpoint_under_another_steps_name_is_damaged(saver, tmp_path):
    (tmp_path / "checkpoint_2").rename(tmp_path / "checkpoint_9")
    assert "is of step 2" in checkpoint_files.damage(tmp_path / "checkpoint_9")


# ------------------------------------------------------------- real file systems


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MiB of its own."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", path], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a file system needs root")
    yield path
    subprocess.run(["umount", "-l", path], capture_output=True, check=False)


def test_a_disk_that_fills_up_during_a_save(small_disk, said):
    saver = Checkpointer(small_disk, QUICK, say=said.append)
    for step in (1, 2):
        save(saver, step)
    saver.wait()
    free_bytes = shutil.disk_usage(small_disk).free
    (small_disk / "ballast").write_bytes(b"x" * (free_bytes - 3 * 4096))
    with pytest.raises(StorageError) as caught:
        save(saver, 3)
        saver.wait()
    assert caught.value.exit_code == 9
    (small_disk / "ballast").unlink()
    saver.close()
    assert_whole(small_disk, 1, 2)
    with Checkpointer(small_disk, QUICK) as again:
        save(again, 3)
    assert_whole(small_disk, 2, 3)


def test_a_disk_that_turns_read_only(small_disk, said):
    saver = Checkpointer(small_disk, QUICK, say=said.append)
    save(saver, 1)
    saver.wait()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StorageError, match="Read-only file system"):
        save(saver, 2)
        saver.wait()
    saver.close()
    assert os.statvfs(small_disk).f_flag & os.ST_RDONLY
    assert Checkpointer(small_disk).latest_valid_step() == 1
