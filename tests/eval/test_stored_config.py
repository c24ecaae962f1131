"""A run's stored configuration is enough for `flan-jax eval`, `infer` and `logits`."""

import argparse

import gin
import pytest

from flan_jax import evaluate, gin_utils, infer
from flan_jax.errors import ConfigError

RUN = (
    "MODEL_DIR = '/old/place'",
    "MIXTURE_OR_TASK_NAME = 'some_task'",
    "TASK_FEATURE_LENGTHS = {'inputs': 16, 'targets': 8}",
    "TRAIN_STEPS = 10",
)


@pytest.fixture
def store(tmp_path):
    """Writes the configuration of a run into a MODEL_DIR and returns it."""

    def write(*bindings):
        text = gin_utils.parse(["models/tiny.gin", "runs/finetune.gin"], [*RUN, *bindings])
        (tmp_path / "config.gin").write_text(text)
        gin_utils.clear()
        return str(tmp_path)

    yield write
    gin_utils.clear()


def flags(command, **given):
    fields = {"gin_file": [], "gin_bindings": [], "gin_search_paths": [], "checkpoint": None}
    return argparse.Namespace(command=command, **{**fields, **given})


def test_eval_takes_the_runs_evaluation_data_and_newest_checkpoint(store):
    folder = store()
    args = flags("eval", gin_bindings=["eval_script.evaluate.num_examples = 3"])
    evaluate.parse_for("eval_script.evaluate", evaluate._FROM_A_RUN, folder, args)
    assert gin_utils.macro_value("CHECKPOINT_PATH") == folder
    assert gin_utils.macro_value("INFER_OUTPUT_DIR") == f"{folder}/infer_eval"
    assert gin.query_parameter("eval_script.evaluate.num_examples") == 3
    dataset = gin.query_parameter("eval_script.evaluate.dataset_cfg")
    assert dataset.scoped_selector == "infer_eval/utils.DatasetConfig"


def test_infer_falls_back_on_the_training_data_and_a_checkpoint_alone_will_do(store):
    folder = store("train_script.train.infer_eval_dataset_cfg = None")
    args = flags("infer", checkpoint=f"{folder}/checkpoint_7")
    evaluate.parse_for("infer_script.infer", infer._FROM_A_RUN, None, args)
    assert gin_utils.macro_value("CHECKPOINT_PATH") == f"{folder}/checkpoint_7"
    dataset = gin.query_parameter("infer_script.infer.dataset_cfg")
    assert dataset.scoped_selector == "train/utils.DatasetConfig"


def test_no_run_and_no_gin_file_is_refused_with_the_command_to_type(tmp_path):
    with pytest.raises(ConfigError, match="flan-jax eval MODEL_DIR"):
        evaluate.parse_for("eval_script.evaluate", evaluate._FROM_A_RUN, None, flags("eval"))
    with pytest.raises(ConfigError, match="has no config.gin"):
        evaluate.parse_for("eval_script.evaluate", (), str(tmp_path), flags("eval"))
