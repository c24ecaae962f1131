import jax.numpy as jnp
import pytest

from flan_jax import nan_report, skipping, state
from flan_jax.checkpoint import Checkpointer, SaveCheckpointConfig
from flan_jax.errors import CheckpointError, ConfigError


def test_windows():
    skips = skipping.parse([(8, 9), (3, 5), (6, 6)], 10)
    assert skips.windows == ((3, 6), (8, 9))
    assert [step for step in range(1, 11) if skips.holds(step)] == [3, 4, 5, 6, 8, 9]
    assert skips.until(2) == [] and skips.until(4) == [[3, 4]]
    assert skips.until(8) == [[3, 6], [8, 8]]
    assert skipping.parse(None, 10).windows == ()


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ([(0, 2)], "expected 1 <= first <= last <= 10"),
        ([(5, 4)], "expected 1 <= first"),
        ([(5, 11)], "the steps of the run"),
        ([5], "expected pairs"),
        ([(1, 2.0)], "expected pairs"),
        ([(1, 4), (4, 6)], r"\(1, 4\) and \(4, 6\) overlap"),
    ],
)
def test_windows_that_make_no_sense(windows, message):
    with pytest.raises(ConfigError, match=message):
        skipping.parse(windows, 10)


def test_a_skipped_step_changes_the_number_alone():
    before = state.TrainState(jnp.int32(4), {"w": jnp.ones(2)}, {"m": jnp.zeros(2)})
    after = nan_report.pass_over(before)
    assert int(after.step) == 5 and after.step.dtype == jnp.int32
    assert after.params is before.params and after.opt_state is before.opt_state


@pytest.fixture
def said():
    return []


@pytest.fixture
def model_dir(tmp_path):
    """Checkpoints of the steps 10, 20 and 30 of a run that skipped 12 to 14."""
    skips = skipping.parse([(12, 14)], 100)
    with Checkpointer(tmp_path, SaveCheckpointConfig(period=10, keep=3)) as saver:
        for step in (10, 20, 30):
            now = state.TrainState(jnp.int32(step), {"w": jnp.ones(2)}, {})
            saver.save(step, now, b"", {skipping.EXTRA_KEY: skips.until(step)})
    return tmp_path


def go_back(model_dir, windows, said):
    skips = skipping.parse(windows, 100)
    with Checkpointer(model_dir, say=said.append) as saver:
        saver.go_back(skips.fit, skipping.explain_no_fit(skips))
        return saver.latest_valid_step()


@pytest.mark.parametrize(
    ("windows", "step", "renamed"),
    [
        ([(12, 14)], 30, []),
        ([(12, 14), (31, 40)], 30, []),
        ([(12, 14), (25, 40)], 20, ["checkpoint_30.superseded"]),
        ([(12, 14), (15, 16)], 10, ["checkpoint_20.superseded", "checkpoint_30.superseded"]),
        (None, 10, ["checkpoint_20.superseded", "checkpoint_30.superseded"]),
    ],
)
def test_a_run_goes_back_to_before_a_window_that_is_new(model_dir, said, windows, step, renamed):
    assert go_back(model_dir, windows, said) == step
    assert sorted(p.name for p in model_dir.glob("*.superseded")) == renamed
    assert len([line for line in said if "superseded" in line]) == len(renamed)


def test_without_an_early_enough_checkpoint_nothing_is_touched(model_dir, said):
    with pytest.raises(CheckpointError, match=r"of the steps 10, 20, 30\).*after 10 instead"):
        go_back(model_dir, [(5, 6), (12, 14)], said)
    assert sorted(p.name for p in model_dir.iterdir()) == [
        "checkpoint_10",
        "checkpoint_20",
        "checkpoint_30",
    ]


def test_a_fresh_run_and_one_from_before_this_setting(tmp_path, said):
    assert go_back(tmp_path, [(1, 2)], said) is None
    with Checkpointer(tmp_path, SaveCheckpointConfig(period=1)) as saver:
        saver.save(1, state.TrainState(jnp.int32(1), {"w": jnp.ones(2)}, {}), b"", {})
    assert go_back(tmp_path, None, said) == 1
