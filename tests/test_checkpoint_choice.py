import json

import pytest
from etils import epath

from flan_jax import cli
from flan_jax.checkpoint_choice import choose_checkpoint
from flan_jax.checkpoint_files import step_dir, write_manifest
from flan_jax.errors import CheckpointError, ConfigError, NotFoundError

LOSSES = {0: 5.0, 10: 2.0, 20: 1.5, 30: 1.5, 40: 1.9}


def last_digits(path):
    """A scorer: 20 is best."""
    return -abs(int(path.rpartition("_")[2]) - 20)


@pytest.fixture
def run(tmp_path):
    """A MODEL_DIR with checkpoints of steps 10 to 40, evaluated at each and at step 0."""
    for step in list(LOSSES)[1:]:
        directory = step_dir(tmp_path, step)
        (directory / "params").mkdir(parents=True)
        (directory / "params" / "data").write_text(f"step {step}")
        write_manifest(epath.Path(directory), step, checksums=True)
    lines = [{"kind": "train", "step": 40, "loss": 0.1}]
    for step, loss in LOSSES.items():
        lines.append({"kind": "train_eval", "step": step, "task": "a", "loss": loss - 0.5})
        lines.append({"kind": "train_eval", "step": step, "task": "b", "loss": loss + 0.5})
        lines.append({"kind": "infer_eval", "step": step, "task": "a", "rougeL": step % 40})
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return str(tmp_path)


def test_the_lowest_validation_loss_of_all_tasks_and_of_equals_the_first(run):
    choice = choose_checkpoint(run)
    assert choice.step == 20 and choice.path == f"{run}/checkpoint_20"
    assert choice.scores == {10: 2.0, 20: 1.5, 30: 1.5, 40: 1.9}


def test_the_highest_of_another_metric(run):
    assert choose_checkpoint(run, "rougeL", highest=True).step == 30


def test_a_scorer_of_the_users(run):
    assert choose_checkpoint(run, scorer=last_digits).step == 20
    assert choose_checkpoint(run, scorer=lambda path: -last_digits(path)).step == 40


def test_the_command_line(run, capsys):
    assert cli.main(["choose", run]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "lowest loss:" and shown[2] == "  step 20: 1.5 *"
    assert shown[-1] == f"{run}/checkpoint_20"
    assert cli.main(["choose", run, "--metric=rougeL", "--highest"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{run}/checkpoint_30"
    assert cli.main(["choose", run, "--scorer=builtins:len"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{run}/checkpoint_10"


def test_what_is_missing_is_named(run, tmp_path):
    with pytest.raises(NotFoundError, match=r"'lss'.*\['loss', 'rougeL'\].*Did you mean 'loss'"):
        choose_checkpoint(run, "lss")
    with pytest.raises(NotFoundError, match="No module named 'no_such'"):
        choose_checkpoint(run, scorer="no_such:f")
    with pytest.raises(ConfigError, match="is no function.*Did you mean 'len'"):
        choose_checkpoint(run, scorer="builtins:lenn")
    with pytest.raises(CheckpointError, match="holds no checkpoint_<step>"):
        choose_checkpoint(str(tmp_path / "none"))


def test_a_damaged_winner_is_refused(run):
    (epath.Path(run) / "checkpoint_20" / "params" / "data").write_text("cut")
    with pytest.raises(CheckpointError, match="damaged"):
        choose_checkpoint(run)


def test_checkpoints_of_other_steps_than_evaluations_are_an_error(run):
    (epath.Path(run) / "metrics.jsonl").write_text(
        json.dumps({"kind": "train_eval", "step": 15, "task": "a", "loss": 1.0}) + "\n"
    )
    with pytest.raises(CheckpointError, match="keep_period = EVAL_PERIOD"):
        choose_checkpoint(run)
