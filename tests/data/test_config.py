"""DatasetConfig refuses what no run could use, before any data is touched."""

import subprocess
import sys

import gin
import pytest

from flan_jax.data.config import DatasetConfig, derive_seed
from flan_jax.errors import ConfigError

GOOD = {
    "mixture_or_task_name": "toy",
    "task_feature_lengths": {"inputs": 8, "targets": 4},
    "split": "train",
    "batch_size": 2,
    "shuffle": True,
    "seed": 0,
}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("task_feature_lengths", {"inputs": 0, "targets": 4}, "'inputs'.*found 0"),
        ("task_feature_lengths", {"inputs": 8, "targets": -1}, "'targets'.*found -1"),
        ("task_feature_lengths", {"inputs": 8.5, "targets": 4}, "found 8.5"),
        ("task_feature_lengths", {"inputs": 8}, "no length for targets"),
        ("task_feature_lengths", {}, "no length for targets, only for nothing"),
        ("task_feature_lengths", {"targets": 4, "inptus": 8}, "Did you mean 'inputs'"),
        ("task_feature_lengths", 512, "must map"),
        ("batch_size", 0, "batch_size.*found 0"),
        ("batch_size", True, "batch_size.*found True"),
        ("packing_window", 0, "packing_window"),
        ("snapshot_period", -1, "snapshot_period"),
        ("max_examples", 0, "max_examples.*found 0"),
        ("max_examples", 32, "in_memory = True"),
        ("split", "", "split"),
        ("seed", None, "seed is None.*RANDOM_SEED"),
        ("seed", -3, "found -3"),
        ("mixture_or_task_name", "", "MIXTURE_OR_TASK_NAME"),
    ],
)
def test_bad_values_are_refused(field, value, said):
    with pytest.raises(ConfigError, match=said):
        DatasetConfig(**{**GOOD, field: value})


def test_gin_builds_it_under_its_t5x_name():
    with gin.unlock_config():
        gin.parse_config(
            """
            train/utils.DatasetConfig:
              mixture_or_task_name = 'toy'
              task_feature_lengths = {'inputs': 8, 'targets': 4}
              split = 'train'
              batch_size = 2
              shuffle = True
              seed = 0
              pack = True
              module = 'tasks.toy'
            """
        )
    try:
        with gin.config_scope("train"):
            cfg = DatasetConfig()  # type: ignore[call-arg]
    finally:
        gin.clear_config()
    assert cfg == DatasetConfig(**GOOD, pack=True, module="tasks.toy")
    assert cfg.modules == ("tasks.toy",)


def test_derived_seeds_depend_on_seed_and_name_alone():
    assert derive_seed(3, "a") == derive_seed(3, "a")
    seeds = {derive_seed(seed, name) for seed in range(20) for name in ("a", "b", "ab")}
    assert len(seeds) == 60
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_configuration_modules_import_no_tensorflow():
    code = (
        "import sys, flan_jax.data.config, flan_jax.data.vocabularies, flan_jax.data.loader, "
        "flan_jax.data.packing, flan_jax.data.live, flan_jax.testing\n"
        "print([m for m in ('seqio', 'tensorflow') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
